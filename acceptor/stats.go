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
	// Full: the server or the listener has no free slot, and Refuse is set.
	Full Refusal = iota
	// RateExceeded: the creation rate of the server or the listener is over its bound,
	// and Refuse is set.
	RateExceeded
	// AddressFull: the remote address has reached its bound on connections.
	AddressFull
	// AddressRate: the remote address is over its bound on new connections a second.
	// The connection was throttled first, unless ThrottledConnsMax was reached.
	AddressRate
	// TooManyWaiting: the queue of waiting connections was full.
	TooManyWaiting
	// Unassigned: every processor's inbox was full, and Refuse is set.
	Unassigned
	// NoDescriptor: no descriptor was left but the reserve's.
	NoDescriptor
	// Gone: the client closed the connection before it was admitted.
	Gone
	// Closing: the listener closed while the connection waited.
	Closing
	// RefusalCount is the number of reasons.
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

// counters of a ListenerQuota.
type counters struct {
	accepted, failures, delayed, throttled, waited atomic.Uint64
	delayTime, throttledTime, throttledNow         atomic.Int64
	refused                                        [RefusalCount]atomic.Uint64
}

// ListenerStats are the counts of one listener since it was opened.
type ListenerStats struct {
	Name string
	// Open connections of this listener.
	Open int64
	// Accepted counts accepted connections, Refused those that were closed unserved, by
	// reason. Failures counts errors that stopped accepting for a while.
	Accepted uint64
	Refused  [RefusalCount]uint64
	Failures uint64
	// AcceptRate is admitted connections a second, over the windows
	// [connection-accept-rate].
	AcceptRate float64
	// Delayed connections waited for a creation rate, DelayTime in total
	// [connection-accept-throttle-time]. Throttled connections were over their address's
	// rate and held open, ThrottledTime in total [ip-connection-accept-throttle-time].
	Delayed, Throttled       uint64
	DelayTime, ThrottledTime time.Duration
	// Waited connections found no free slot and were queued.
	Waited uint64
	// WaitingNow are queued for a slot or a rate, ThrottledNow are held open.
	WaitingNow, ThrottledNow int64
	// Blocked is how long connections were queued, so that nothing was accepted; with
	// several queues the sum [AcceptorBlockedPercent].
	Blocked time.Duration
}

// RefusedTotal is the sum over all reasons.
func (s *ListenerStats) RefusedTotal() (n uint64) {
	for _, r := range s.Refused {
		n += r
	}
	return n
}

// Stats returns the counts of all listeners, open and closed, sorted by name. Any
// goroutine.
func (a *Admission) Stats() []ListenerStats {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.clock()
	var all []ListenerStats
	for _, lq := range a.quotas {
		all = append(all, lq.stats(now))
	}
	slices.SortFunc(all, func(x, y ListenerStats) int { return strings.Compare(x.Name, y.Name) })
	return all
}

// stats is called with admission.mu held.
func (lq *ListenerQuota) stats(now int64) ListenerStats {
	c := &lq.counters
	s := ListenerStats{
		Name: lq.name, Open: lq.open.Load(), Accepted: c.accepted.Load(), Failures: c.failures.Load(),
		AcceptRate: lq.meter.Rate(now), Delayed: c.delayed.Load(), Throttled: c.throttled.Load(), Waited: c.waited.Load(),
		DelayTime: time.Duration(c.delayTime.Load()), ThrottledTime: time.Duration(c.throttledTime.Load()),
		ThrottledNow: c.throttledNow.Load(), Blocked: lq.pastBlocked,
	}
	for i := range s.Refused {
		s.Refused[i] = c.refused[i].Load()
	}
	for _, l := range lq.queues {
		s.WaitingNow += l.queued.Load()
		s.Blocked += time.Duration(l.blockedNanos.Load())
		if since := l.blockedSince.Load(); since != 0 {
			s.Blocked += time.Duration(max(now-since, 0))
		}
	}
	return s
}

// AcceptRate is admitted connections a second over all listeners but a protected one
// [broker-connection-accept-rate]. Any goroutine.
func (a *Admission) AcceptRate() float64 { return a.meter.Rate(a.clock()) }
