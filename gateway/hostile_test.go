package gateway

import (
	"fmt"
	"math"

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
