package gateway

import (
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"kring"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestAClientThatComesBeforeStartWaits: the listeners are open before the Dialer can be used.
func TestAClientThatComesBeforeStartWaits(t *testing.T) {
	s := newStage(t, nil)
	early := s.client("")
	r := early.give(kmsg.NewPtrApiVersionsRequest())
	own := s.client("a")
	own.ask(2)
	if s.dials > 0 {
		t.Fatalf("%d connections were begun before Start", s.dials)
	}
	s.tick(0)
	s.settle()
	if !r.job.Answered() {
		t.Error("there is no answer after Start")
	}
}

// TestBrokersThatNobodyHasSeenAreForgotten: clients name any broker, by the name of a TLS
// handshake, and need no right to do so.
func TestBrokersThatNobodyHasSeenAreForgotten(t *testing.T) {
	at := int32(0)
	s := ready(t, func(c *Config) { c.NodeOf = func(*kring.Conn) int32 { return at } })
	before := len(s.g.allNodes())
	for at = 1000; at < 1100; at++ {
		c := s.client("")
		c.ask(0)
		s.tick(time.Millisecond)
		if !c.closed && c.requests == nil {
			t.Fatal("its request was given up at once")
		}
		c.leave()
	}
	s.tick(time.Second)
	if n := len(s.g.allNodes()); n != before {
		t.Errorf("%d brokers are remembered, of %d", n, before)
	}
}

// TestTheBrokersOfAnUpstreamAreBounded: one that lies names as many as fit into a response.
func TestTheBrokersOfAnUpstreamAreBounded(t *testing.T) {
	s := newStage(t, nil)
	s.change = func(_ *stageLink, _ kmsg.Request, resp kmsg.Response) {
		if m, is := resp.(*kmsg.MetadataResponse); is {
			for id := range int32(2 * nodesMax) {
				m.Brokers = append(m.Brokers, kmsg.MetadataResponseBroker{NodeID: id, Host: "h", Port: 1})
			}
		}
	}
	s.tick(0)
	s.run()
	s.tick(time.Second)
	s.run()
	if n := len(s.g.allNodes()); n < 3 || n > nodesMax+1 {
		t.Errorf("%d brokers", n)
	}
	for id := int32(nodesMax); id < 3*nodesMax; id++ { // and by what clients are answered
		s.g.hear(Endpoint{Node: id, Host: []byte("other"), Port: 2})
	}
	if n := len(s.g.topology.Load().addresses); n > nodesMax {
		t.Errorf("%d addresses", n)
	}
}

// TestASessionOfManyYearsIsUsed: a token may be valid for longer than a sum of nanoseconds takes.
func TestASessionOfManyYearsIsUsed(t *testing.T) {
	year := (365 * 24 * time.Hour).Milliseconds()
	for _, millis := range []int64{year, 4 * year, 5 * year, 300 * year, math.MaxInt64 / 85, math.MaxInt64} {
		t.Run(fmt.Sprint(millis), func(t *testing.T) {
			who := &Identity{Mechanism: "PLAIN", User: "u", Password: "p"}
			s := newStage(t, func(c *Config) { c.IdentityOf = func(*kring.Conn) *Identity { return who } })
			s.change = func(_ *stageLink, _ kmsg.Request, resp kmsg.Response) {
				if a, is := resp.(*kmsg.SASLAuthenticateResponse); is {
					a.SessionLifetimeMillis = millis
				}
			}
			s.tick(0)
			for range 100 { // it would never settle
				for _, l := range append([]*stageLink(nil), s.links...) {
					l.open()
					l.leave(9)
					l.answer()
				}
			}
			for _, n := range s.g.Stats() {
				if n.Counts.Renewed > 0 {
					t.Errorf("it authenticates again and again: %d times", n.Counts.Renewed)
				}
			}
			if l := s.on(NoNode, LaneShort, 0); l.u.renewAt <= s.now {
				t.Errorf("authenticates again at %d, and now is %d", l.u.renewAt, s.now)
			}
		})
	}
}

// TestAWaitForNobodyEndsWithItsClient: else who asks to wait for 15 minutes and leaves, again
// and again, has all connections of their own.
func TestAWaitForNobodyEndsWithItsClient(t *testing.T) {
	s := ready(t, nil)
	for range 3 {
		c := s.client("a")
		c.give(shareFetch())
		s.run1(func(l *stageLink) { l.open(); l.leave(9) })
		c.leave()
		s.run1(func(l *stageLink) { l.end(nil, false) }, func(l *stageLink) bool { return l.asked != nil })
	}
	if n := s.lane(0, LaneOwn); n != 0 {
		t.Errorf("%d connections wait for clients that have gone", n)
	}
	writer := s.client("a")
	writer.ask(2) // acks=0: its own
	s.run()
	writer.ask(1)
	s.run1(func(l *stageLink) { l.leave(9) })
	writer.leave()
	if l := s.on(0, LaneOwn, 0); l.asked != nil {
		t.Errorf("what was written is cut off: %v", l.asked)
	}
}

func shareFetch() kmsg.Request {
	r := kmsg.NewPtrShareFetchRequest()
	r.Version, r.MaxWaitMillis = 1, math.MaxInt32
	return r
}

// run1 does one thing with every link, or with those that which chooses.
func (s *stage) run1(do func(*stageLink), which ...func(*stageLink) bool) {
	for range 4 {
		for _, l := range append([]*stageLink(nil), s.links...) {
			if len(which) == 0 || which[0](l) {
				do(l)
			}
			if l.u.life < lifeReady {
				l.answer()
			}
		}
	}
	s.look()
}

func (s *stage) lane(node int32, lane Lane) (n int) {
	for _, l := range s.links {
		if l.u.node.id == node && l.u.lanes.lane == lane {
			n++
		}
	}
	return n
}

// TestClientIDsThatComeAndGoKeepNoConnections: clients choose their ids.
func TestClientIDsThatComeAndGoKeepNoConnections(t *testing.T) {
	s := ready(t, func(c *Config) { c.PoolByClientID = true })
	c := s.client("a")
	r := c.give(describe("0/1"))
	s.run()
	if !r.job.Answered() {
		t.Fatal("there is no answer")
	}
	if n := s.mine(); n == 0 {
		t.Fatal("it had no connection of its client id")
	}
	c.leave()
	s.run()
	if n := s.mine(); n != 0 {
		t.Errorf("%d connections are left of a client id that has gone", n)
	}
}

func (s *stage) mine() (n int) {
	for _, l := range s.links {
		if l.u.lanes.pool.key.clientID != "" && l.asked == nil {
			n++
		}
	}
	return n
}

// slowToken is a stage with a client, at broker 0, whose identity has been asked for its token,
// and gives it once the test closes given. link is the connection that waits for it.
func slowToken(t *testing.T) (s *stage, r *stageRequest, link *stageLink, given chan struct{}) {
	asked, given := make(chan struct{}, 1), make(chan struct{})
	ctx := deadline(t)
	anybody, slow := &Identity{}, &Identity{Name: "slow", Mechanism: "OAUTHBEARER", Token: func() (string, error) {
		select {
		case asked <- struct{}{}:
		default: // another connection has said so
		}
		select {
		case <-given:
		case <-ctx.Done():
			t.Error("everybody waits for the token")
		}
		return "t", nil
	}}
	s = ready(t, func(c *Config) {
		c.IdentityOf = func(conn *kring.Conn) *Identity {
			if conn != nil && conn.Principal() == "User:slow" {
				return slow
			}
			return anybody
		}
	})
	c := s.client("a")
	c.conn.SetPrincipal("User:slow")
	r = c.give(describe("0/1"))
	s.run()
	<-asked
	for _, l := range s.links {
		if l.u.lanes.pool.key.identity == slow {
			link = l
		}
	}
	return s, r, link, given
}

// TestMakingATokenHoldsUpNobody: reading it, or deriving the key of SCRAM, takes milliseconds,
// and the goroutine of the answer before it is a processor's.
func TestMakingATokenHoldsUpNobody(t *testing.T) {
	s, r, link, given := slowToken(t)
	other := s.client("a")
	ro := other.give(describe("1/1"))
	s.run()
	if _, ok := other.await(ro); !ok {
		t.Error("another client of the broker was not served")
	}
	close(given)
	n, ctx := link.u.node, deadline(t)
	for sent := false; !sent; runtime.Gosched() {
		n.lock()
		sent = len(link.queued) > 0
		n.unlock()
		if ctx.Err() != nil {
			t.Fatal("the token was not sent")
		}
	}
	s.run()
	if _, ok := s.clients[0].await(r); !ok {
		t.Error("the client was not served with the token")
	}
}

func TestATokenThatDoesNotComeEndsItsConnection(t *testing.T) {
	s, _, link, given := slowToken(t)
	s.tick(s.g.cfg.OpenTimeout)
	if link.asked != nil {
		t.Fatalf("it was closed in time: %v", link.asked)
	}
	s.tick(time.Millisecond)
	if link.asked == nil || !strings.Contains(link.asked.Error(), "identity slow") {
		t.Errorf("closed: %v", link.asked)
	}
	close(given)
}

func TestATokenThatPanicsIsAFailedOne(t *testing.T) {
	who := &Identity{Name: "who", Mechanism: "OAUTHBEARER", Token: func() (string, error) { panic("oops") }}
	l, err := who.login()
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := l.nextBeside(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "oops") {
		t.Errorf("%v", err)
	}
}

// TestABrokerThatHasBeenAwayKeepsNobodyLong: who comes then waits for two seconds, also behind
// those who came when it was there, and wait for ten.
func TestABrokerThatHasBeenAwayKeepsNobodyLong(t *testing.T) {
	s := ready(t, nil)
	n := s.g.node(0)
	first := s.client("a").give(describe("0/1"))
	for n.failures <= 3 {
		for _, l := range append([]*stageLink(nil), s.links...) {
			if l.u.node == n {
				l.end(errors.New("connection refused"), false)
			}
		}
		s.tick(100 * time.Millisecond)
	}
	if first.job.Answered() {
		t.Fatal("the first gave up")
	}
	r := s.client("a").give(describe("1/1"))
	s.tick(downWait - time.Millisecond)
	if r.job.Answered() {
		t.Fatal("it did not wait")
	}
	s.tick(time.Millisecond)
	if !r.job.Answered() || first.job.Answered() {
		t.Errorf("after %v: %v, and the one before it: %v", downWait, r.job.Answered(), first.job.Answered())
	}
}

// TestAFrameWrittenToALinkThatHasEndedIsSentByAnother: its Done comes at any time, also when it
// is on its way again, and says nothing of that.
func TestAFrameWrittenToALinkThatHasEndedIsSentByAnother(t *testing.T) {
	s := ready(t, nil)
	c := s.client("a")
	r := c.give(describe("0/1"))
	s.run()
	c.await(r)
	old := s.on(0, LaneShort, 0)
	old.ended = true // and it has not been said yet
	r = c.give(describe("0/2"))
	if len(old.queued) != 1 {
		t.Fatalf("%d frames wait", len(old.queued))
	}
	late := old.queued[0]
	old.queued, old.ended = nil, false
	old.end(io.EOF, false)
	var again *stageLink
	for again == nil {
		s.tick(time.Second)
		for _, l := range append([]*stageLink(nil), s.links...) {
			l.open()
			if l.u.life < lifeReady {
				l.leave(9)
				l.answer()
			} else if l.u.lanes.lane == LaneShort && l.u.node.id == 0 && l.u.away.len() > 0 {
				again = l
			}
		}
	}
	late.Done(false, io.EOF)
	w := again.queued[0]
	again.read(w)
	again.answer() // before the kernel has done with it
	s.look()
	if r.job.Answered() {
		t.Error("it was answered while the Link has its memory")
	}
	again.queued = nil
	w.Done(true, nil)
	if _, ok := c.await(r); !ok {
		t.Error("there is no answer")
	}
	if n := again.u.unsent.Load(); n != 0 {
		t.Errorf("%d frames are said to be unsent", n)
	}
}

// TestMemoryThatTheKernelKeepsIsGivenUp: of the frame that was being sent, and where a response
// was being received; its client is closed.
func TestMemoryThatTheKernelKeepsIsGivenUp(t *testing.T) {
	s := ready(t, nil)
	c := s.client("a")
	warm := c.give(describe("0/1"))
	s.run()
	c.await(warm)
	r := c.give(describe("0/2"))
	l := s.on(0, LaneShort, 0)
	l.end(kring.ErrMemoryHeld, true)
	if !r.job.Answered() || !r.job.MemoryLost() {
		t.Errorf("it is answered: %t, and its memory is given up: %t", r.job.Answered(), r.job.MemoryLost())
	}
	other := s.client("a")
	warm = other.give(describe("1/1"))
	s.settle()
	other.await(warm)
	r = other.give(describe("1/2"))
	l = s.on(0, LaneShort, 0)
	l.leave(9)
	s2 := l.u.away.first()
	if into, err := l.events.FrameBegins(receiveIntoFrom, s2.correlation); into == nil || err != nil {
		t.Fatalf("%v, %v", into, err)
	}
	l.end(kring.ErrMemoryHeld, false)
	if !r.job.Answered() || !r.job.MemoryLost() {
		t.Errorf("a response was being received: it is answered: %t, and its memory is given up: %t", r.job.Answered(), r.job.MemoryLost())
	}
}

// TestMemoryThatTheKernelKeepsIsGivenUpWhoeverClosed: also when the gateway itself has closed the
// connection, for another reason.
func TestMemoryThatTheKernelKeepsIsGivenUpWhoeverClosed(t *testing.T) {
	s := ready(t, nil)
	c := s.client("a")
	warm := c.give(describe("0/1"))
	s.run()
	c.await(warm)
	r := c.give(describe("0/2"))
	l := s.on(0, LaneShort, 0)
	l.leave(9)
	if into, err := l.events.FrameBegins(receiveIntoFrom, l.u.away.first().correlation); into == nil || err != nil {
		t.Fatalf("%v, %v", into, err)
	}
	l.u.node.lock()
	l.u.close(errLate)
	l.u.node.unlock()
	l.ended, s.links = true, slices.DeleteFunc(s.links, func(x *stageLink) bool { return x == l })
	l.events.Closed(kring.ErrMemoryHeld)
	if !r.job.Answered() || !r.job.MemoryLost() {
		t.Errorf("it is answered: %t, and its memory is given up: %t", r.job.Answered(), r.job.MemoryLost())
	}
}

// TestAFrameThatIsSentAgainIsNotSaidToHaveLeft: what was said of its first connection is not of
// the next, which has its memory until it says so itself.
func TestAFrameThatIsSentAgainIsNotSaidToHaveLeft(t *testing.T) {
	s := ready(t, nil)
	c := s.client("a")
	warm := c.give(describe("0/1"))
	s.run()
	c.await(warm)
	r := c.give(describe("0/2"))
	old := s.on(0, LaneShort, 0)
	if len(old.queued) != 1 {
		t.Fatalf("%d frames wait", len(old.queued))
	}
	old.end(io.EOF, false) // Done comes first, and says that nothing of it was read
	again := s.inFlightAt(0)
	w := again.queued[0]
	again.read(w)
	again.answer() // before the kernel has done with it
	s.look()
	if r.job.Answered() {
		t.Error("it was answered while the Link has its memory")
	}
	again.queued = nil
	w.Done(true, nil)
	if _, ok := c.await(r); !ok {
		t.Error("there is no answer")
	}

	// And the same of what the broker may have read: a frame of which it has seen a part on one
	// connection was never sent again, but one that was not begun anywhere may always be.
	r = c.give(describe("0/3"))
	s.inFlightAt(0).end(io.EOF, false)
	s.inFlightAt(0).end(io.EOF, false)
	s.settle()
	if _, ok := c.await(r); !ok {
		t.Error("a frame that no broker has seen was given up")
	}
}

// inFlightAt is the connection of the short lane to a broker that has a request, once there is
// one.
func (s *stage) inFlightAt(node int32) *stageLink {
	s.t.Helper()
	for range 1000 {
		for _, l := range append([]*stageLink(nil), s.links...) {
			l.open()
			switch {
			case l.u.life < lifeReady:
				l.leave(9)
				l.answer()
			case l.u.lanes.lane == LaneShort && l.u.node.id == node && l.u.away.len() > 0:
				return l
			}
		}
		s.tick(time.Second)
	}
	s.t.Fatal("the request goes nowhere")
	return nil
}

// TestNewCredentialsAreForNewConnections, and for sessions that end; those that there are go on.
func TestNewCredentialsAreForNewConnections(t *testing.T) {
	read := func(lines string) *Credentials {
		c, err := ReadCredentials(strings.NewReader(lines), nil)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	now := read("User:a PLAIN up one\nUser:gone PLAIN x y\n")
	var shown []string
	s := ready(t, func(c *Config) {
		c.Connections = 1
		c.IdentityOf = func(conn *kring.Conn) *Identity {
			if conn == nil {
				return &noIdentity
			}
			return now.Of(conn)
		}
	})
	s.change = func(_ *stageLink, req kmsg.Request, resp kmsg.Response) {
		if a, is := req.(*kmsg.SASLAuthenticateRequest); is {
			shown = append(shown, string(a.SASLAuthBytes))
			resp.(*kmsg.SASLAuthenticateResponse).SessionLifetimeMillis = 100_000
		}
	}
	ask := func(group string) {
		t.Helper()
		c := s.client("a")
		c.conn.SetPrincipal("User:a")
		r := c.give(describe(fmt.Sprint(c.number, "/1")))
		s.run()
		if _, ok := c.await(r); !ok {
			t.Fatalf("%s: it was closed", group)
		}
	}
	wants := func(when string, want ...string) {
		t.Helper()
		if !slices.Equal(shown, want) {
			t.Fatalf("%s: it has authenticated by %q, want %q", when, shown, want)
		}
	}
	ask("at first")
	wants("at first", "\x00up\x00one")
	succeed := func(lines string) {
		next := read(lines)
		next.Succeed(now)
		now = next
	}
	succeed("User:a PLAIN up two\n")
	ask("with another password")
	wants("while the connection stands", "\x00up\x00one")
	s.tick(96 * time.Second)
	s.run()
	wants("when its session ends", "\x00up\x00one", "\x00up\x00two")
	succeed("User:a PLAIN other three\n")
	s.tick(96 * time.Second)
	s.run()
	ask("of another user")
	wants("of another user", "\x00up\x00one", "\x00up\x00two", "\x00other\x00three")
	if n := s.g.Stats()[1].Counts; n.Renewed != 1 || n.Opened != 2 {
		t.Errorf("%+v", n)
	}
	if now.byPrincipal["User:gone"] != nil || now.byPrincipal["User:a"] == nil {
		t.Error("who is no longer in the file is still somebody")
	}
}

// TestAnUpstreamThatClosesAtTheFirstRequestIsAskedLessAndLess, and it is said; what clients are
// answered says where brokers are.
func TestAnUpstreamThatClosesAtTheFirstRequestIsAskedLessAndLess(t *testing.T) {
	said := 0
	ann := &Identity{Name: "ann"}
	s := newStage(t, func(c *Config) {
		c.Events.Warning = func(text string) {
			if strings.Contains(text, "--upstream-sasl") {
				said++
			}
		}
		c.IdentityOf = func(conn *kring.Conn) *Identity {
			if conn == nil {
				return nil
			}
			return ann
		}
	})
	step := func() {
		for _, l := range append([]*stageLink(nil), s.links...) {
			l.open()
			l.leave(1 << 20)
			switch first := l.u.away.first(); {
			case first != nil && first.client == nil && first.req.Header.Key == keyMetadata:
				l.end(io.EOF, false)
			default:
				l.answer()
			}
		}
		s.tick(100 * time.Millisecond)
	}
	for range 600 {
		step()
	}
	if s.dials > 20 || said != 1 {
		t.Errorf("in a minute it was connected to %d times, and it was said %d times", s.dials, said)
	}
	c := s.client("") // by the bootstrap address
	r := c.give(kmsg.NewPtrMetadataRequest())
	for range 20 {
		step()
	}
	if _, ok := c.await(r); !ok || len(s.g.topology.Load().addresses) != 2 {
		t.Errorf("answered: %v, brokers that are known: %v", ok, s.g.topology.Load().addresses)
	}
}
