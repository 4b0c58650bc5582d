package gateway

import (
	"cmp"
	"slices"
	"time"

	"kring/kafka"
)

// NodeCounts are counts of one broker, since the start.
type NodeCounts struct {
	Sent         [lanesCount]uint64 // requests that went upstream, by lane
	Answered     uint64
	Refused      uint64 // requests of APIs that are not served
	Waited       uint64 // times that a client stood in line for a connection
	GivenUp      uint64 // times that it waited too long
	OwnFull      uint64 // of these, because no connection of its own was left
	Opened       uint64 // connections
	Closed       uint64
	OpenFailures uint64
	Cut          uint64 // clients' connections closed with an upstream one
	Resent       uint64 // requests that had not left when a connection was lost, and went by another
	Lost         uint64 // acks=0 requests that had not left
	Late         uint64 // connections closed because a request took too long
	NoRoom       uint64 // connections closed because there was no memory for a response
	Mismatches   uint64 // connections closed because a response was of another request
	Throttled    uint64 // responses that said so
	Renewed      uint64 // authentications again
}

// LaneStats are the connections of a lane now, over all principals.
type LaneStats struct {
	Lane    Lane
	Links   int // connections
	Most    int // that there may be
	Away    int // requests under way
	Waiting int // clients in line
}

// NodeStats is what is known of a broker. Node is NoNode for what goes to any.
type NodeStats struct {
	Node    int32
	Address kafka.Address
	State   string        // unknown, up or down
	Failure error         // why it is down
	RetryIn time.Duration // when it is tried again; 0: at once, or it is up
	Lanes   []LaneStats
	Counts  NodeCounts
}

// Stats is what is known of all brokers, in the order of their ids.
func (g *Gateway) Stats() []NodeStats {
	var all []NodeStats
	now := g.now()
	for _, n := range g.allNodes() {
		n.lock()
		s := NodeStats{Node: n.id, Address: n.address, State: n.state.String(), Failure: n.failure, Counts: n.counts,
			RetryIn: time.Duration(max(0, n.retryAt-now))}
		for lane := LaneShort; lane <= LaneOwn; lane++ {
			sum := LaneStats{Lane: lane}
			for _, p := range n.pools {
				l := &p.lanes[lane]
				sum.Links += len(l.links)
				sum.Most += l.most
				sum.Waiting += l.waits
				for _, u := range l.links {
					sum.Away += u.away.len()
				}
			}
			s.Lanes = append(s.Lanes, sum)
		}
		n.unlock()
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b NodeStats) int { return cmp.Compare(a.Node, b.Node) })
	return all
}
