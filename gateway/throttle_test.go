package gateway

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"kring"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// throttles has the broker throttle whoever asks for a group that begins with some text.
func (s *stage) throttles(begins string, by time.Duration) {
	s.change = func(_ *stageLink, req kmsg.Request, resp kmsg.Response) {
		if d, is := req.(*kmsg.DescribeGroupsRequest); is && strings.HasPrefix(d.Groups[0], begins) {
			resp.(*kmsg.DescribeGroupsResponse).ThrottleMillis = int32(by.Milliseconds())
		}
	}
}

// mutes has a client of its own throttled, and so its connection.
func (s *stage) mutes() {
	s.t.Helper()
	s.throttles("", 10*time.Second)
	c := s.client("a")
	c.asked++
	r := c.give(describeV1(c.tag()))
	s.run()
	if _, ok := c.await(r); !ok {
		s.t.Fatal("it was closed")
	}
	s.change = nil
}

// TestOthersGoByOtherConnectionsWhileALaneIsThrottled: the broker reads nothing of a connection
// that it throttled somebody on, whoever else's requests go by it. How many there are in its
// place has a bound, and they go when they are not needed any more.
func TestOthersGoByOtherConnectionsWhileALaneIsThrottled(t *testing.T) {
	s := ready(t, func(c *Config) { c.Connections = 2 })
	for n := range 4 {
		s.mutes()
		if links := s.lane(0, LaneShort); links > 4 {
			t.Fatalf("%d connections, with %d throttled clients", links, n+1)
		}
	}
	c := s.client("a")
	c.asked++
	r := c.give(describe(c.tag()))
	s.run()
	if r.job.Answered() || s.lane(0, LaneShort) != 4 {
		t.Fatalf("%d connections, and it was answered: %t, while the bound is 4, and all of them are throttled", s.lane(0, LaneShort), r.job.Answered())
	}
	s.tick(10 * time.Second)
	s.run()
	if _, ok := c.await(r); !ok {
		t.Error("it is not served when the throttle has ended")
	}
	s.settle()
	if links := s.lane(0, LaneShort); links != 2 {
		t.Errorf("%d connections are left", links)
	}
}

func producedTo(topic string) *kmsg.ProduceRequest {
	p := kmsg.NewPtrProduceRequest()
	p.Version, p.Acks, p.Topics = 9, 1, []kmsg.ProduceRequestTopic{{Topic: topic}}
	return p
}

// TestARequestOfAThrottledClientIsHeld: it goes by no other connection meanwhile, and is not
// said to have waited too long; that of another client goes on.
func TestARequestOfAThrottledClientIsHeld(t *testing.T) {
	s, c, held := throttled(t, 20*time.Second)
	other := s.client("a")
	for range 4 {
		s.tick(4 * time.Second)
		s.run()
	}
	if held.job.Answered() || c.seen != 1 {
		t.Fatal("the next request of a throttled client went to its broker")
	}
	r := other.give(describe("1/1"))
	s.run()
	if _, ok := other.await(r); !ok {
		t.Error("another client was not served")
	}
	s.tick(4 * time.Second)
	s.run()
	if _, ok := c.await(held); !ok {
		t.Error("its request was refused")
	}
}

// throttled is a stage whose client is throttled, and the request of it that is held meanwhile.
func throttled(t *testing.T, long time.Duration) (s *stage, c *stageClient, held *stageRequest) {
	t.Helper()
	s = ready(t, func(c *Config) { c.Connections = 2 })
	s.throttles("0/", long)
	c = s.client("a")
	c.asked = 2
	c.give(describeV1("0/1"))
	held = c.give(producedTo("0/2"))
	s.run()
	if held.job.Answered() {
		t.Fatal("the next request of a throttled client went to its broker")
	}
	return s, c, held
}

// TestAClosedGatewayEndsTheRequestsOfThrottledClients: nobody would go on with them.
func TestAClosedGatewayEndsTheRequestsOfThrottledClients(t *testing.T) {
	s, _, held := throttled(t, time.Hour)
	s.g.Close()
	s.run()
	if !held.job.Answered() {
		t.Error("a request waits in a gateway that is closed")
	}
}

// TestWhatFollowsAThrottledResponseIsNotLate: the broker has not read it before the throttle ends.
func TestWhatFollowsAThrottledResponseIsNotLate(t *testing.T) {
	s := ready(t, func(c *Config) { c.Connections = 1 })
	warm := s.client("a")
	r := warm.give(describe("0/1"))
	s.run()
	warm.await(r)
	s.throttles("1/", 2*time.Minute)
	first, second := s.client("a"), s.client("a")
	first.give(describeV1("1/1"))
	r = second.give(describe("2/1"))
	l := s.on(0, LaneShort, 0)
	l.leave(2)
	l.answer()
	s.look()
	s.tick(2*time.Minute + s.g.cfg.RequestTimeout - time.Second)
	if l.asked != nil {
		t.Fatalf("its connection was closed: %v", l.asked)
	}
	s.tick(time.Hour) // the process may have been stopped: the answer lies in the kernel
	if l.asked != nil {
		t.Fatalf("its connection was closed at the first look: %v", l.asked)
	}
	s.tick(tickEvery)
	if l.asked == nil || !errors.Is(l.asked, errLate) {
		t.Errorf("it may take for ever: %v", l.asked)
	}
	l.end(nil, false)
	s.look()
	if !r.job.Answered() {
		t.Error("its client was left alone")
	}
}

// silent is a client that has an upstream connection of its own, if there is one.
func (s *stage) silent() *stageClient {
	c := s.client("a")
	c.ask(2)
	s.run()
	return c
}

// TestTheNextOfThoseWithTheirOwnConnectionIsToldSo: who comes when all are taken waits, is
// closed, counted and logged when none comes free in time, and served at once when one does.
func TestTheNextOfThoseWithTheirOwnConnectionIsToldSo(t *testing.T) {
	var warnings []string
	s := ready(t, func(c *Config) { c.Events.Warning = func(text string) { warnings = append(warnings, text) } })
	var have []*stageClient
	for range 3 {
		have = append(have, s.silent())
	}
	late, next := s.silent(), s.silent()
	if late.closed || late.seen > 0 || s.lane(0, LaneOwn) != 3 {
		t.Fatalf("%d connections, and the fourth was closed: %t", s.lane(0, LaneOwn), late.closed)
	}
	have[0].leave()
	s.run()
	if late.seen != 1 || next.seen != 0 {
		t.Fatalf("the place of who has gone: the first in line had %d requests served, the second %d", late.seen, next.seen)
	}
	s.tick(s.g.cfg.WaitTimeout)
	if !next.closed {
		t.Error("who waited too long is left alone")
	}
	another := s.silent()
	s.tick(s.g.cfg.WaitTimeout)
	if c := s.g.Stats()[1].Counts; !another.closed || c.OwnFull != 2 || c.GivenUp != 2 {
		t.Errorf("%+v", c)
	}
	if len(warnings) != 1 || !strings.Contains(warnings[0], "--upstream-own") {
		t.Errorf("%q", warnings)
	}
	s.tick(warnAgainEvery)
	s.silent()
	s.tick(s.g.cfg.WaitTimeout)
	if len(warnings) != 2 {
		t.Errorf("%d warnings, want another after a while", len(warnings))
	}
	share := s.client("a")
	r := share.give(shareFetch())
	s.tick(s.g.cfg.WaitTimeout)
	if !r.job.Answered() {
		t.Error("a member of a share group waits for ever")
	}
}

// TestNoPrincipalHasAllConnectionsOfClientsOwn: clients name their ids as they like.
func TestNoPrincipalHasAllConnectionsOfClientsOwn(t *testing.T) {
	who := map[string]*Identity{}
	s := ready(t, func(c *Config) {
		c.Dedicated, c.DedicatedAll = 6, 8
		c.IdentityOf = func(conn *kring.Conn) *Identity {
			if conn == nil {
				return &noIdentity
			}
			if who[conn.Principal()] == nil {
				who[conn.Principal()] = &Identity{Name: conn.Principal()}
			}
			return who[conn.Principal()]
		}
	})
	of := func(principal string, n int) (had int) {
		for range n {
			c := s.client("a")
			c.conn.SetPrincipal(principal)
			c.ask(2)
			s.run()
			had += c.seen
		}
		return had
	}
	for i, want := range []int{4, 2, 1} { // half of what the others leave
		if n := of("User:"+string(rune('a'+i)), 8); n != want {
			t.Errorf("principal %d has %d connections, want %d", i, n, want)
		}
	}
	if n := s.lane(0, LaneOwn); n > 8 {
		t.Errorf("%d connections", n)
	}
	last := s.client("a")
	last.conn.SetPrincipal("User:d")
	last.ask(2)
	s.run()
	if last.seen != 1 {
		t.Errorf("one more principal has none")
	}
	for _, c := range s.clients { // a place that is given back is another principal's at once
		if c.conn.Principal() == "User:a" && !c.gone && c.seen == 1 {
			c.leave()
		}
	}
	s.run()
	if n := s.lane(0, LaneOwn); n < 5 || s.g.node(0).owned != n {
		t.Errorf("%d connections, and %d are counted", n, s.g.node(0).owned)
	}
	for _, l := range append([]*stageLink(nil), s.links...) {
		l.end(io.EOF, false)
	}
	s.g.Close()
	for len(s.links) > 0 {
		s.links[0].end(nil, false)
	}
	if n := s.g.node(0).owned; n != 0 {
		t.Errorf("%d are still counted", n)
	}
}
