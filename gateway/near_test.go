package gateway

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"kring/reqchan"
)

// next is a tag that c has not used.
func (c *stageClient) next() string {
	c.asked++
	return fmt.Sprintf("%d/%d", c.number, c.asked)
}

// getOwnLinks has each client ask once, so that its processor has a connection.
func (s *stage) getOwnLinks(clients ...*stageClient) {
	for _, c := range clients {
		c.give(describe(c.next()))
		s.run()
		s.tick(time.Second)
		s.run()
	}
}

// TestARequestLeavesByAConnectionOfItsClientsProcessor when one has nothing to do there: by another
// processor's, each request and each answer would wake a second goroutine.
func TestARequestLeavesByAConnectionOfItsClientsProcessor(t *testing.T) {
	s := ready(t, nil)
	clients := map[uint32]*stageClient{0: s.client("a"), 1: s.client("a")}
	for processor, c := range clients {
		c.conn.ID.Processor = processor
		s.getOwnLinks(c)
	}
	for range 4 {
		for processor, c := range clients {
			r := c.give(describe(c.next()))
			for _, l := range s.links {
				if l.u.node.id == 0 && l.u.lanes.lane == LaneShort && l.u.away.len() > 0 && l.u.near != int(processor) {
					t.Errorf("a request of processor %d leaves by a connection of processor %d", processor, l.u.near)
				}
			}
			s.run()
			if _, ok := c.await(r); !ok {
				t.Fatal("it was not answered")
			}
		}
	}
}

// TestAClientThatMovedLeavesByConnectionsOfItsNewProcessor: by those of the one that it began on, it
// would wake a second goroutine for each request and each answer, for as long as it lives.
func TestAClientThatMovedLeavesByConnectionsOfItsNewProcessor(t *testing.T) {
	s := ready(t, nil)
	s.processors = []uint32{0, 1}
	c, other := s.client("a"), s.client("a")
	other.conn.ID.Processor = 1
	s.getOwnLinks(c, other)
	for _, now := range []uint32{1, 0, 1} {
		reqchan.ConnMoved(c.conn, now)
		r := c.give(describe(c.next()))
		if s.busy(int(now)) == nil || s.busy(1-int(now)) != nil {
			t.Errorf("the client lives on processor %d, and its request leaves by another's connection", now)
		}
		s.run()
		if _, ok := c.await(r); !ok {
			t.Fatal("it was not answered")
		}
	}
}

// TestConnectionsOfALaneAreSpreadOverTheProcessors: else the clients that come first have all of
// them on their processor, and those of others none. Clients may have begun on one that has ended.
func TestConnectionsOfALaneAreSpreadOverTheProcessors(t *testing.T) {
	for _, k := range []struct {
		most       int
		processors []uint32
		want       map[int]int
	}{
		{1, []uint32{0, 1}, map[int]int{0: 1}}, {3, []uint32{0, 1}, map[int]int{0: 2, 1: 1}}, {8, []uint32{0, 1}, map[int]int{0: 4, 1: 4}},
		{4, []uint32{1, 2}, map[int]int{1: 2, 2: 2}},
	} {
		s := ready(t, func(c *Config) { c.Connections = k.most })
		s.processors = k.processors
		for range 2 * k.most {
			c := s.client("a") // of processor 0, as all are
			c.give(describe(c.next()))
			s.run()
			for _, other := range s.clients { // and nobody is answered before the next one asks
				other.give(describe(other.next()))
			}
			for _, l := range s.links {
				l.open()
			}
		}
		s.run()
		got := map[int]int{}
		for _, l := range s.links {
			if l.u.node.id == 0 && l.u.lanes.lane == LaneShort {
				got[l.u.near]++
			}
		}
		if !maps.Equal(got, k.want) {
			t.Errorf("%d connections live on processors %v as %v, want %v", k.most, k.processors, got, k.want)
		}
	}
}

// TestARequestIsHandedOverWhenThatIsFaster than to wait for those before it, and only then.
func TestARequestIsHandedOverWhenThatIsFaster(t *testing.T) {
	for service, over := range map[time.Duration]bool{20 * time.Microsecond: false, 5 * time.Millisecond: true} {
		s := ready(t, func(c *Config) { c.Connections = 2 })
		s.processors = []uint32{0, 1}
		first, second, other := s.client("a"), s.client("a"), s.client("a")
		other.conn.ID.Processor = 1
		s.getOwnLinks(first, other)
		for range 200 { // what a request takes is learned
			first.give(describe(first.next()))
			l := s.busy(0)
			l.leave(1)
			s.now += int64(service)
			l.answer()
		}
		first.give(describe(first.next()))
		second.give(describe(second.next()))
		if handed := s.busy(1) != nil; handed != over {
			t.Errorf("requests take %v, one is under way on the client's processor and none on the other: the next one is handed over: %v", service, handed)
		}
		s.run()
	}
}

// busy is the connection to node 0 of a processor that has a request under way; nil: none has.
func (s *stage) busy(processor int) *stageLink {
	for _, l := range s.links {
		if l.u.node.id == 0 && l.u.near == processor && l.u.away.len() > 0 {
			return l
		}
	}
	return nil
}
