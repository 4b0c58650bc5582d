package acceptor

import (
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// Refusal says why an accepted connection was closed without being served. It
// is a closed set, counted per reason.
type Refusal uint8

// The reasons.
const (
	// Full: the server or the listener has no place, and Refuse is set.
	Full Refusal = iota
	// RateExceeded: their creation rate is over its bound, and Refuse is set.
	RateExceeded
	// AddressFull: its address has as many connections as it may.
	AddressFull
	// AddressRate: its address makes more connections a second than it may. It
	// was parked first, if there was room to.
	AddressRate
	// TooManyWaiting: the line of those that wait was full.
	TooManyWaiting
	// Unassigned: every processor's intake was full, and Refuse is set.
	Unassigned
	// NoDescriptor: there was no descriptor left but the reserve's.
	NoDescriptor
	// Gone: the client was gone before it was looked at.
	Gone
	// Closing: the listener closed while it waited.
	Closing
	// RefusalCount is how many there are.
	RefusalCount
)

var refusalNames = [RefusalCount]string{
	Full: "full", RateExceeded: "rate_exceeded", AddressFull: "address_full", AddressRate: "address_rate",
	TooManyWaiting: "too_many_waiting", Unassigned: "unassigned", NoDescriptor: "no_descriptor",
	Gone: "gone", Closing: "closing",
}

// String is the reason's stable name in logs and metrics.
func (r Refusal) String() string {
	if r < RefusalCount {
		return refusalNames[r]
	}
	return "unknown"
}

// counters of a Gate.
type counters struct {
	accepted, failures, delayed, parked, waited atomic.Uint64
	delayTime, parkedTime, parkedNow            atomic.Int64
	refused                                     [RefusalCount]atomic.Uint64
}

// ListenerStats are the counts of one listener since it began.
type ListenerStats struct {
	Name string
	// Open connections that it let in.
	Open int64
	// Accepted connections, and those closed again unserved, per reason. Failures
	// ended accepting for a while.
	Accepted uint64
	Refused  [RefusalCount]uint64
	Failures uint64
	// AcceptRate is how many connections a second were let in, over the windows
	// [connection-accept-rate].
	AcceptRate float64
	// Delayed connections waited for a creation rate, DelayTime in all
	// [connection-accept-throttle-time]. Parked ones were over their address's
	// rate and held open, ParkedTime in all [ip-connection-accept-throttle-time].
	Delayed, Parked       uint64
	DelayTime, ParkedTime time.Duration
	// Waited found no place when they came, and stood in line for one.
	Waited uint64
	// WaitingNow stand in line for a place or a rate, ParkedNow are held open.
	WaitingNow, ParkedNow int64
	// Blocked is for how long somebody stood in line, so that nothing was
	// accepted; with several lines, the sum [AcceptorBlockedPercent].
	Blocked time.Duration
}

// RefusedTotal is the sum over all reasons.
func (s *ListenerStats) RefusedTotal() (n uint64) {
	for _, r := range s.Refused {
		n += r
	}
	return n
}

// Stats reads the counts of all listeners there are and were, by name. Any
// goroutine.
func (a *Admission) Stats() []ListenerStats {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.clock()
	var all []ListenerStats
	for _, g := range a.gates {
		all = append(all, g.stats(now))
	}
	slices.SortFunc(all, func(x, y ListenerStats) int { return strings.Compare(x.Name, y.Name) })
	return all
}

// stats is called with admission.mu held.
func (g *Gate) stats(now int64) ListenerStats {
	c := &g.counters
	s := ListenerStats{
		Name: g.name, Open: g.open.Load(), Accepted: c.accepted.Load(), Failures: c.failures.Load(),
		AcceptRate: g.meter.Rate(now), Delayed: c.delayed.Load(), Parked: c.parked.Load(), Waited: c.waited.Load(),
		DelayTime: time.Duration(c.delayTime.Load()), ParkedTime: time.Duration(c.parkedTime.Load()),
		ParkedNow: c.parkedNow.Load(), Blocked: g.past,
	}
	for i := range s.Refused {
		s.Refused[i] = c.refused[i].Load()
	}
	for _, l := range g.lines {
		s.WaitingNow += l.length.Load()
		s.Blocked += time.Duration(l.blocked.Load())
		if since := l.since.Load(); since != 0 {
			s.Blocked += time.Duration(max(now-since, 0))
		}
	}
	return s
}

// AcceptRate is how many connections a second all listeners let in, but for a
// protected one [broker-connection-accept-rate]. Any goroutine.
func (a *Admission) AcceptRate() float64 { return a.meter.Rate(a.clock()) }
