package gateway

import (
	"testing"
	"time"

	"kring/reqchan"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// closedFor says why the connection of a request that was answered is closed.
func (c *stageClient) closedFor(r *stageRequest) reqchan.CloseReason {
	c.s.t.Helper()
	if !r.job.Answered() {
		c.s.t.Fatal("it waits")
	}
	kind, _, why := r.job.Answer()
	if kind != reqchan.AnswerClose {
		c.s.t.Fatalf("answered with %v", kind)
	}
	return why
}

// leaveAll has all that was written leave; brokers answer no request of a client.
func (s *stage) leaveAll() {
	for _, l := range append([]*stageLink(nil), s.links...) {
		l.open()
		l.leave(1 << 20)
		if len(l.sent) > 0 && l.sent[0][1] == keyApiVersions {
			l.answer()
		}
		l.leave(1 << 20)
	}
}

// endAsked ends the connections that the gateway has closed.
func (s *stage) endAsked() {
	for _, l := range append([]*stageLink(nil), s.links...) {
		if l.asked != nil {
			l.end(nil, false)
		}
	}
	s.look()
}

// TestADrainWaitsForNothingThatWaits: neither for what stands in line for an upstream connection
// or is throttled, nor for what waits at a broker. What brokers are at work on goes on.
func TestADrainWaitsForNothingThatWaits(t *testing.T) {
	for _, mode := range []Mode{Multiplexed, Dedicated} {
		s := ready(t, func(c *Config) { c.Mode, c.Connections, c.Waiting, c.Depth, c.Dedicated = mode, 1, 1, 1, 8 })
		writes, polls, joins := s.client("a"), s.client("a"), s.client("a")
		join, fetch := kmsg.NewPtrJoinGroupRequest(), polls.fetch(600_000)
		writes.asked, polls.asked, joins.asked = 1, 1, 1
		join.Version, join.Group, join.RebalanceTimeoutMillis = 5, joins.tag(), 600_000
		fetch.Topics[0].Topic = polls.tag()
		produced, polled, joined := writes.give(producedTo(writes.tag())), polls.give(fetch), joins.give(join)
		for range 5 {
			s.leaveAll()
			s.tick(10 * time.Millisecond)
		}
		var inLine []*stageClient
		var lined []*stageRequest
		if mode == Multiplexed {
			for range 3 {
				c := s.client("a")
				c.asked = 1
				inLine, lined = append(inLine, c), append(lined, c.give(producedTo(c.tag())))
			}
		}
		s.g.Drain()
		s.tick(waitsStay / 2)
		for _, r := range append(lined, produced, polled, joined) {
			if r.job.Answered() {
				t.Fatal("it has no time to end by itself")
			}
		}
		s.tick(waitsStay / 2)
		s.endAsked()
		for i, r := range lined {
			if _, refused := inLine[i].await(r); !refused || inLine[i].seen > 0 {
				t.Error("who stood in line is closed, or was served")
			}
		}
		if polls.closedFor(polled) != reqchan.ServerDraining || joins.closedFor(joined) != reqchan.ServerDraining {
			t.Errorf("closed for %v and %v", polls.closedFor(polled), joins.closedFor(joined))
		}
		if produced.job.Answered() {
			t.Fatal("what a broker is at work on was ended")
		}
		for range 3 {
			for _, l := range append([]*stageLink(nil), s.links...) {
				l.answer()
			}
		}
		if _, served := writes.await(produced); !served {
			t.Error("what a broker has answered did not come")
		}
		s.finish()
	}
}

// TestADrainHoldsNobodyForAThrottle, however long a broker's is.
func TestADrainHoldsNobodyForAThrottle(t *testing.T) {
	s, c, held := throttled(t, time.Minute)
	s.g.Drain()
	s.tick(waitsStay)
	if _, served := c.await(held); !served {
		t.Error("it was closed, where it could be refused")
	}
}

// TestADrainFindsNothingOfAClientWhoseThrottleHasEnded: its requests have left by themselves, as
// another one came, before anybody looked who is throttled.
func TestADrainFindsNothingOfAClientWhoseThrottleHasEnded(t *testing.T) {
	s := ready(t, func(c *Config) { c.Connections = 2 })
	s.throttles("0/1", waitsStay)
	c, other := s.client("a"), s.client("a")
	c.asked, other.asked = 3, 1
	other.give(producedTo("1/1")) // so that there is a connection for the others
	s.run()
	c.give(describeV1("0/1"))
	asked := []*stageRequest{c.give(producedTo("0/2"))}
	s.run()
	if asked[0].job.Answered() {
		t.Fatal("the next request of a throttled client went to its broker")
	}
	s.g.Drain()
	s.now += int64(waitsStay)
	asked = append(asked, c.give(producedTo("0/3")))
	s.tick(0)
	s.run()
	for _, r := range asked {
		if _, served := c.await(r); !served {
			t.Error("it was closed")
		}
	}
	s.finish()
}
