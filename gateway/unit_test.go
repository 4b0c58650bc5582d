package gateway

import (
	"encoding/binary"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"kring"
	"kring/internal/kmsgtest"
	"kring/kafka"
	"kring/reqchan"

	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/xdg-go/scram"
)

func TestAddressesOfNodesAndBack(t *testing.T) {
	a := Addressing{Names: "b$(node)-x.example.com", NamesPort: 443}
	if err := a.Validate(); err != nil {
		t.Fatal(err)
	}
	for _, node := range []int32{0, 7, 1 << 30} {
		at, ok := a.AddressOf(node)
		if !ok || a.NodeOfName(at.Host) != node || a.NodeOfName(strings.ToUpper(at.Host)) != node {
			t.Errorf("node %d: %v", node, at)
		}
	}
	for _, name := range []string{"", "b-x.example.com", "b01-x.example.com", "b-1-x.example.com", "bootstrap.example.com", "b9999999999-x.example.com"} {
		if n := a.NodeOfName(name); n != NoNode {
			t.Errorf("%q is node %d", name, n)
		}
	}
	p := Addressing{Host: "gw.example.com", PortBase: 9100, Nodes: 3, AdvertisedPortBase: 19100}
	if at, ok := p.AddressOf(2); !ok || at != (kafka.Address{Host: "gw.example.com", Port: 19102}) || p.Port(2) != 9102 {
		t.Errorf("node 2: %v", at)
	}
	for _, node := range []int32{-1, 3} {
		if at, ok := p.AddressOf(node); ok {
			t.Errorf("node %d has %v", node, at)
		}
	}
}

func TestAFaultyAddressingIsSaid(t *testing.T) {
	for want, a := range map[string]Addressing{
		"65535": {Host: "h", PortBase: 65000, Nodes: 1000}, "Nodes 0": {Host: "h", PortBase: 9100}, "2147484646": {Host: "h", PortBase: math.MaxInt32, Nodes: 1000},
		"2147484647": {Host: "h", PortBase: 1, AdvertisedPortBase: math.MaxInt32, Nodes: 1001}, "0.0.0.0": {Host: "0.0.0.0", PortBase: 1, Nodes: 1},
		"$(node)": {Names: "broker.example.com", NamesPort: 1}, "NamesPort": {Names: "b$(node).example.com"},
	} {
		if err := a.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", a, err)
		}
	}
}

// TestTheCourseOfARequestIsWhatItSays compares with what kmsg reads.
func TestTheCourseOfARequestIsWhatItSays(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, key := range []int16{keyProduce, keyFetch, keyJoinGroup, keyShareFetch} {
		for version := int16(0); version <= kmsg.RequestForKey(key).MaxVersion(); version++ {
			for range 30 {
				req := kmsg.RequestForKey(key)
				kmsgtest.Fill(r, reflect.ValueOf(req).Elem())
				req.SetVersion(version)
				frame := kmsg.NewRequestFormatter(kmsg.FormatterClientID("me")).AppendRequest(nil, req, 1)[4:]
				h, err := kafka.ParseHeader(frame)
				if err != nil {
					t.Fatal(err)
				}
				checkCourse(t, req, courseOf(h, frame))
				checkMostAt(t, req, courseOf(h, frame), frame)
			}
		}
	}
}

func checkCourse(t *testing.T, req kmsg.Request, c course) {
	t.Helper()
	span := func(ms int32) time.Duration { return min(time.Duration(max(ms, 0))*time.Millisecond, waitsMax) }
	var waits time.Duration
	lane := api(req.Key()).Lane
	switch req := req.(type) {
	case *kmsg.ProduceRequest:
		waits = span(req.TimeoutMillis)
		if req.Acks == 0 {
			lane = LaneOwn
		}
		if c.silent != (req.Acks == 0) {
			t.Errorf("acks %d: silent %v", req.Acks, c.silent)
		}
	case *kmsg.FetchRequest:
		waits = span(req.MaxWaitMillis)
		if waits == 0 {
			lane = LaneShort
		}
		if session := req.Version >= 7 && req.SessionID != 0; session != c.session {
			t.Errorf("Fetch %d: session %d: %v", req.Version, req.SessionID, c.session)
		}
	case *kmsg.JoinGroupRequest:
		waits = span(req.SessionTimeoutMillis)
		if req.Version >= 1 {
			waits = max(waits, span(req.RebalanceTimeoutMillis))
		}
	case *kmsg.ShareFetchRequest:
		waits = span(req.MaxWaitMillis)
	}
	if c.waits != waits || c.lane != lane {
		t.Errorf("API %d version %d: %v on lane %v, want %v on %v", req.Key(), req.GetVersion(), c.waits, c.lane, waits, lane)
	}
}

func checkMostAt(t *testing.T, req kmsg.Request, c course, frame []byte) {
	t.Helper()
	var most int32
	switch req := req.(type) {
	case *kmsg.FetchRequest:
		most = req.MaxBytes
		if req.Version < 3 {
			most = 0
		}
	case *kmsg.ShareFetchRequest:
		most = req.MaxBytes
	}
	var is int32
	if c.mostAt > 0 {
		is = int32(binary.BigEndian.Uint32(frame[c.mostAt:]))
	}
	if is != most {
		t.Errorf("API %d version %d: %d bytes at most, want %d", req.Key(), req.GetVersion(), is, most)
	}
}

func TestALengthThatOverflowsIsOneThatLeadsBehindTheRequest(t *testing.T) {
	huge := []byte{0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1, 0, 1, 0, 0, 0, 1}
	for _, key := range []int16{keyProduce, keyFetch, keyJoinGroup, keyShareFetch} {
		if c := courseOf(kafka.Header{Key: key, Version: 9}, huge); key != keyFetch && c.waits != 0 {
			t.Errorf("API %d: it waits %v", key, c.waits)
		}
	}
}

// TestAClientThatComesAfterItsEndIsNotCounted: a request may still be with the handler when
// ConnClosed is called.
func TestAClientThatComesAfterItsEndIsNotCounted(t *testing.T) {
	g, err := New(Config{Bootstrap: []kafka.Address{{Host: "b", Port: 9092}}, Addressing: Addressing{Host: "g", PortBase: 9100, Nodes: 4}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	conn := &kring.Conn{}
	reqchan.EndConn(conn, kring.ReasonPeerReset)
	g.ConnClosed(conn, kring.ReasonPeerReset)
	if c := g.clientOf(conn); !c.gone || c.node.clients != 0 {
		t.Errorf("gone: %v, clients of its broker: %d", c.gone, c.node.clients)
	}
	g.ConnClosed(conn, kring.ReasonPeerReset)
	if n := g.node(NoNode).clients; n != 0 {
		t.Errorf("%d clients", n)
	}
}

func FuzzCourse(f *testing.F) {
	f.Add(int16(1), int16(12), []byte{0, 0, 0, 1, 0, 0, 0, 1})
	f.Fuzz(func(_ *testing.T, key, version int16, body []byte) {
		courseOf(kafka.Header{Key: key, Version: version}, body)
	})
}

// serverSCRAM is the server's side of an exchange.
func serverSCRAM(t *testing.T, password string, iterations int) *scram.ServerConversation {
	t.Helper()
	c, err := scram.SHA256.NewClient("u", password, "")
	if err != nil {
		t.Fatal(err)
	}
	stored, err := c.GetStoredCredentialsWithError(scram.KeyFactors{Salt: "salt", Iters: iterations})
	if err != nil {
		t.Fatal(err)
	}
	s, err := scram.SHA256.NewServer(func(string) (scram.StoredCredentials, error) { return stored, nil })
	if err != nil {
		t.Fatal(err)
	}
	return s.NewConversation()
}

func TestSCRAMIsDoneWithTheOneThatKnowsThePassword(t *testing.T) {
	who := &Identity{Mechanism: "SCRAM-SHA-256", User: "u", Password: "p"}
	for password, works := range map[string]bool{"p": true, "q": false} {
		server := serverSCRAM(t, password, 4096)
		l, err := who.login()
		if err != nil {
			t.Fatal(err)
		}
		var challenge []byte
		done := false
		for !done && err == nil {
			var token []byte
			if token, done, err = l.next(challenge); err == nil && !done {
				var answer string
				answer, err = server.Step(string(token))
				challenge = []byte(answer)
			}
		}
		if (err == nil) != works {
			t.Errorf("password %s: %v", password, err)
		}
	}
	l, _ := who.login()
	first, _, err := l.next(nil)
	if err != nil {
		t.Fatal(err)
	}
	nonce := strings.SplitAfter(string(first), "r=")[1]
	if _, _, err := l.next([]byte("r=" + nonce + "x,s=c2FsdA==,i=99999999")); !errors.Is(err, errAuthentication) {
		t.Errorf("so many iterations: %v", err)
	}
	l, _ = who.login()
	if _, _, err := l.next(nil); err != nil {
		t.Fatal(err)
	}
	if _, done, err := l.next([]byte("v=bm8=")); err == nil || done {
		t.Error("a server that proves nothing is believed")
	}
}

func TestAFailedTokenSaysWhy(t *testing.T) {
	who := &Identity{Mechanism: "OAUTHBEARER", Token: func() (string, error) { return "abc", nil }}
	l, err := who.login()
	if err != nil {
		t.Fatal(err)
	}
	if token, _, err := l.nextBeside(t.Context(), nil); err != nil || !strings.Contains(string(token), "Bearer abc\x01") {
		t.Fatalf("%q %v", token, err)
	}
	token, done, err := l.next([]byte(`{"status":"invalid_token"}`))
	if string(token) != "\x01" || done || err != nil {
		t.Fatalf("%q %v %v", token, done, err)
	}
	if _, _, err = l.next(nil); err == nil || !strings.Contains(err.Error(), "invalid_token") {
		t.Errorf("%v", err)
	}
}

func FuzzLogin(f *testing.F) {
	f.Add(uint8(1), []byte("r=x,s=c2FsdA==,i=4096"), []byte("v=x"))
	f.Fuzz(func(t *testing.T, kind uint8, a, b []byte) {
		who := &Identity{Mechanism: []string{"PLAIN", "SCRAM-SHA-256", "OAUTHBEARER"}[kind%3], User: "u", Password: "p", Token: func() (string, error) { return "t", nil }}
		l, err := who.login()
		if err != nil {
			t.Fatal(err)
		}
		for _, challenge := range [][]byte{nil, a, b, nil, nil} {
			_, done, err := l.next(challenge)
			if err != nil {
				return
			}
			if done && kind%3 == 1 {
				t.Fatal("who does not know the password was believed")
			}
			if done {
				return
			}
		}
		t.Fatal("an exchange without an end")
	})
}

func TestFaultsOfAConfigAreAllSaid(t *testing.T) {
	err := Config{Connections: -1, PassSASL: true, BackoffMin: time.Minute, WaitTimeout: time.Microsecond}.Validate()
	for _, want := range []string{"Bootstrap", "Connections", "PassSASL", "BackoffMin", "WaitTimeout", "Nodes"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not among the faults: %v", want, err)
		}
	}
	at := kafka.Address{Host: "gw", Port: 9101}
	if err := (Config{Bootstrap: []kafka.Address{at}, Addressing: Addressing{Host: "gw", PortBase: 9100, Nodes: 3}}).Validate(); err == nil || !strings.Contains(err.Error(), "itself") {
		t.Errorf("an upstream that is the gateway: %v", err)
	}
}

func TestCredentialsAreByPrincipal(t *testing.T) {
	byDefault := &Identity{Mechanism: "PLAIN", User: "gw", Password: "p"}
	c, err := ReadCredentials(strings.NewReader("# who\n\nUser:ann SCRAM-SHA-256 a s\nUser:bob PLAIN b s\n"), byDefault)
	if err != nil {
		t.Fatal(err)
	}
	ann, bob, other := new(kring.Conn), new(kring.Conn), new(kring.Conn)
	ann.SetPrincipal("User:ann")
	bob.SetPrincipal("User:bob")
	if c.Of(ann).User != "a" || c.Of(bob).User != "b" || c.Of(other) != byDefault || c.Of(nil) != byDefault {
		t.Errorf("%v %v %v", c.Of(ann), c.Of(bob), c.Of(other))
	}
	if c, err = ReadCredentials(strings.NewReader("User:bob PLAIN b s\nUser:ann PLAIN a s\n"), nil); err != nil {
		t.Fatal(err)
	}
	if own := c.Of(nil); own == nil || own.User != "b" || c.Of(other) != nil {
		t.Errorf("without a default the gateway is %v, and others are %v", own, c.Of(other))
	}
	next, err := ReadCredentials(strings.NewReader("User:ann PLAIN a s2\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if next.Succeed(c); next.Of(nil) != c.Of(ann) {
		t.Error("the gateway is not who comes first now")
	}
	_, err = ReadCredentials(strings.NewReader("User:x PLAIN hidden\nann PLAIN a hidden\nUser:a PLAIN a hidden\nUser:a PLAIN a hidden\nUser:b GSSAPI b hidden\n"+
		"User:c hidden PLAIN c\nUser:d d hidden SCRAM-SHA-256\nUser:e SCRAM-SHA-256 e hid\u0007den\nUser:f OAUTHBEARER hidden f\n"), nil)
	for _, want := range []string{"line 1", "line 2", "line 4", "line 5", "line 6", "line 7", "line 8", "line 9"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not among the faults: %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "hid") || strings.Contains(err.Error(), "GSSAPI") || strings.Contains(err.Error(), "\u0007") {
		t.Errorf("a word of the file is shown, and words may have changed places: %v", err)
	}
}

func TestABrokerThatEndsAConnectionIsKnown(t *testing.T) {
	for err, want := range map[error]bool{
		io.EOF: true, &kring.UpstreamError{Err: io.ErrUnexpectedEOF}: true, &kring.UpstreamError{Err: syscall.ECONNRESET}: true,
		&net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}: true,
		errLate: false, errIdle: false, &kring.UpstreamError{Err: os.ErrDeadlineExceeded}: false,
	} {
		if got := closedByPeer(err); got != want {
			t.Errorf("%v: by the broker: %v", err, got)
		}
	}
}

// unanswered is a stage with a client that has sent a Produce with acks=0.
func unanswered(t *testing.T) (*stage, *stageClient) {
	s := newStage(t, nil)
	s.tick(0)
	s.run()
	c := s.client("ab")
	c.ask(2)
	s.run()
	return s, c
}

// ofClients does something with each connection that is a client's own.
func (s *stage) ofClients(do func(*stageLink)) {
	for _, l := range append([]*stageLink(nil), s.links...) {
		if l.u.owner != nil {
			do(l)
		}
	}
}

// TestAProducerWithoutAnswersIsToldThatItsBrokerRefused: by the end of its connection, as by a
// broker, which has no other way to say that another leads the partition. It would go on to lose
// all of its records.
func TestAProducerWithoutAnswersIsToldThatItsBrokerRefused(t *testing.T) {
	for _, err := range []error{io.EOF, syscall.ECONNRESET, syscall.EPIPE} {
		s, c := unanswered(t)
		s.ofClients(func(l *stageLink) { l.end(err, false) })
		c.ask(2)
		s.look()
		if !c.closed {
			t.Errorf("%v: the client's connection goes on", err)
		}
		s.finish()
	}
}

// TestAProducerWithoutAnswersGoesOnWhenNothingWasRefused: the processor of its connection has
// retired or died, or its broker has ended it long after the last record, for idleness.
func TestAProducerWithoutAnswersGoesOnWhenNothingWasRefused(t *testing.T) {
	for _, k := range []struct {
		err   error
		after time.Duration
	}{
		{&kring.UpstreamError{Reason: kring.ReasonListenerRemoved}, 0}, {&kring.UpstreamError{Reason: kring.ReasonEngineFailed}, 0}, {io.EOF, time.Minute},
	} {
		s, c := unanswered(t)
		s.tick(k.after)
		s.ofClients(func(l *stageLink) { l.end(k.err, false) })
		s.run()
		c.ask(2)
		s.run()
		if c.closed || c.seen != 2 {
			t.Errorf("%v after %v: closed: %t, the broker got %d of 2 requests", k.err, k.after, c.closed, c.seen)
		}
		s.finish()
	}
}

// TestAProducerWithoutAnswersGoesOnWhenTheGatewayEndsItsConnection: nothing was refused, and what
// was read of it would be lost.
func TestAProducerWithoutAnswersGoesOnWhenTheGatewayEndsItsConnection(t *testing.T) {
	s, c := unanswered(t)
	s.ofClients(func(l *stageLink) {
		l.u.node.lock()
		l.u.retire()
		l.u.node.unlock()
	})
	s.run()
	c.ask(2)
	s.run()
	if c.closed || c.seen != 2 {
		t.Errorf("closed: %t, the broker got %d of 2 requests", c.closed, c.seen)
	}
	s.finish()
}

// TestAProducerWithoutAnswersWaitsForTheNextBootstrapAddress: the first one that does not answer
// says nothing of the others, which are tried at once.
func TestAProducerWithoutAnswersWaitsForTheNextBootstrapAddress(t *testing.T) {
	for dead := 1; dead <= 2; dead++ {
		s := newStage(t, func(c *Config) {
			c.Bootstrap = []kafka.Address{{Host: "one", Port: 1}, {Host: "two", Port: 1}}
		})
		s.tick(0)
		c := s.client("")
		c.ask(2)
		for range dead {
			for _, l := range append([]*stageLink(nil), s.links...) {
				l.end(syscall.ECONNREFUSED, false)
			}
			s.look()
		}
		if none := dead == 2; c.closed != none {
			t.Errorf("%d of 2 addresses do not answer: closed: %t", dead, c.closed)
		}
		s.run()
		if dead == 1 && c.seen != 1 {
			t.Errorf("the broker at the second address got %d requests", c.seen)
		}
		s.finish()
	}
}

// TestAProducerWithoutAnswersIsClosedWhileItsBrokerIsAway: the broker's machine would refuse its
// connection, and it would keep its records until it knows another leader. While it waited here,
// all that it sends would be lost: for ten seconds, and each time that it comes again.
func TestAProducerWithoutAnswersIsClosedWhileItsBrokerIsAway(t *testing.T) {
	s, c := unanswered(t)
	refuse := func() {
		for len(s.links) > 0 {
			s.links[0].end(syscall.ECONNREFUSED, false)
		}
	}
	s.tick(time.Minute) // its broker's end of the connection refuses nothing
	refuse()
	c.ask(2)
	refuse() // the attempt that this made
	s.look()
	if !c.closed {
		t.Error("it waits for the attempt after the one that failed")
	}
	for range 3 { // with and without an attempt
		again := s.client("ab")
		again.ask(2)
		refuse()
		s.look()
		if !again.closed {
			t.Error("it waits when it comes again")
		}
		s.tick(s.g.cfg.BackoffMin / 2)
		refuse()
	}
	waits := s.client("ab")
	waits.ask(1)
	refuse()
	s.look()
	if waits.closed {
		t.Error("who is told what became of its records does not wait for the broker")
	}
	s.tick(s.g.cfg.BackoffMax)
	last := s.client("ab")
	last.ask(2)
	s.run()
	if last.closed || last.seen != 1 {
		t.Errorf("the broker is back: closed: %t, it got %d requests", last.closed, last.seen)
	}
	s.finish()
}
