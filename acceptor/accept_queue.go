package acceptor

import (
	"container/heap"
	"net/netip"
	"sync/atomic"
	"time"

	"kring/engine"
)

// AcceptQueueConfig of one AcceptQueue.
type AcceptQueueConfig struct {
	Network engine.Network
	// Assign hands an admitted connection to a processor; false if none takes it now.
	Assign func(engine.Accepted) bool
	// NoneWillTake says that no processor will ever take one; nil: some will.
	NoneWillTake func() bool
	// Wake makes the owner call Advance soon. It may be called by any goroutine.
	Wake func()
	// WaitingMax is how many connections may be queued that were accepted before
	// accepting stopped. One more is closed. All others wait in the kernel's queue.
	WaitingMax int
}

// AcceptQueue is where the connections stand that one goroutine accepted and that may
// not enter yet, or that no processor has room for. That goroutine owns it.
//
// The owner adds what it accepts, accepts nothing while the queue is Blocked, and
// calls Advance before it sleeps. So no thread waits: the kernel's queue holds
// clients back, as Kafka's does while its acceptor is blocked.
type AcceptQueue struct {
	quota *ListenerQuota
	cfg   AcceptQueueConfig

	// Owner: the goroutine that accepts.
	arrivals  []arrival // wait for a slot or for a rate, oldest first
	throttled throttledConns

	waitsForSlot atomic.Bool  // whoever frees a slot wakes the owner
	blockedSince atomic.Int64 // when it became blocked, 0 while it is not
	blockedNanos atomic.Int64 // how long it was blocked before, in nanoseconds
	queued       atomic.Int64 // length of arrivals
}

// arrival is an accepted connection that is within its address's bounds.
type arrival struct {
	engine.Accepted
	ip      netip.Addr
	limits  *limits // admitAt was computed by them; nil before the rates counted it
	admitAt int64   // when the rates allow it
	waited  bool    // it was counted as one that found no free slot
}

// Accepted adds a descriptor that was just accepted.
func (q *AcceptQueue) Accepted(fd engine.FD) {
	lq := q.quota
	lq.counters.accepted.Add(1)
	local, remote, err := q.cfg.Network.Addrs(fd)
	if err != nil { // the client has gone already
		q.refuse(fd, Gone)
		return
	}
	a := arrival{Accepted: engine.Accepted{FD: fd, Local: local, Remote: remote}, ip: canonicalAddr(remote.Addr())}
	if a.Preface = lq.prefaceOf(a.ip); a.Preface == engine.PrefaceRequired {
		a.ip = netip.Addr{} // Identify counts it, where it belongs
	}
	now := lq.admission.clock()
	switch delay, full := lq.countIP(lq.admission.limits.Load(), a.ip, now); {
	case delay > 0:
		q.throttle(fd, now, delay)
	case full:
		q.refuse(fd, AddressFull)
	case len(q.arrivals) >= max(q.cfg.WaitingMax, 1):
		q.refuseArrival(&a, TooManyWaiting)
	default:
		q.arrivals = append(q.arrivals, a)
		q.admitArrivals(now)
	}
}

// Refuse closes a descriptor that was just accepted and can't be served.
func (q *AcceptQueue) Refuse(fd engine.FD, why Refusal) {
	q.quota.counters.accepted.Add(1)
	q.refuse(fd, why)
}

// Failed counts an error that ended accepting.
func (q *AcceptQueue) Failed() { q.quota.counters.failures.Add(1) }

// Blocked reports whether connections are queued, so that nothing more should be
// accepted.
func (q *AcceptQueue) Blocked() bool { return len(q.arrivals) > 0 }

// Advance admits the queued connections that may enter now. It returns the time until
// another may enter by the clock alone; negative: not before Wake.
func (q *AcceptQueue) Advance() time.Duration {
	if len(q.arrivals) == 0 && len(q.throttled) == 0 {
		return -1
	}
	now := q.quota.admission.clock()
	q.closeThrottled(now)
	wait := q.admitArrivals(now)
	if len(q.throttled) > 0 {
		if next := time.Duration(q.throttled[0].until - now); wait < 0 || next < wait {
			wait = next
		}
	}
	return wait
}

// Close closes all queued and throttled connections at once.
func (q *AcceptQueue) Close() {
	q.closeThrottled(1<<63 - 1)
	for i := range q.arrivals {
		q.refuseArrival(&q.arrivals[i], Closing)
	}
	q.arrivals = nil
	q.stopWaiting()
	q.noteUnblocked(q.quota.admission.clock())
	q.quota.removeQueue(q)
	q.quota.admission.wakeWaiting() // the wake that it got may be for another queue
}

// admitArrivals admits connections from the head of the queue. It returns when to try
// again; negative: when a slot is freed.
func (q *AcceptQueue) admitArrivals(now int64) time.Duration {
	for len(q.arrivals) > 0 {
		head := &q.arrivals[0]
		wait, in := q.admitHead(head, now)
		if !in {
			q.noteBlocked(now)
			return wait
		}
		q.arrivals = q.arrivals[1:]
	}
	q.noteUnblocked(now)
	return -1
}

// admitHead admits a connection, refuses it (both: done), or returns how long it
// waits.
func (q *AcceptQueue) admitHead(head *arrival, now int64) (wait time.Duration, done bool) {
	lim := q.quota.admission.limits.Load()
	if head.Slot == nil {
		var why Refusal
		if lim.Refuse {
			why, done = q.admitOrRefuse(head, lim, now)
		} else {
			wait, done = q.admitOrWait(head, lim, now)
		}
		switch {
		case !done && lim.Refuse:
			q.refuseArrival(head, why)
			if why == Full {
				q.reportServerFull(lim, now)
			}
			return 0, true
		case !done:
			return wait, false
		}
		q.stopWaiting()
		head.Slot = &slot{quota: q.quota, ip: head.ip}
	}
	switch {
	case q.cfg.Assign(head.Accepted):
	case lim.Refuse || q.cfg.NoneWillTake != nil && q.cfg.NoneWillTake():
		q.refuseArrival(head, Unassigned)
	default:
		return assignPause, false
	}
	return 0, true
}

// assignPause is how long a connection waits if all processors were full. They adopt
// some connections in every pass.
const assignPause = time.Millisecond

// admitOrWait takes a slot if the rates allow it and one is free; otherwise the
// connection waits.
func (q *AcceptQueue) admitOrWait(head *arrival, lim *limits, now int64) (wait time.Duration, in bool) {
	lq := q.quota
	switch {
	case head.limits == nil:
		delay := lq.recordConn(lim, now)
		head.limits, head.admitAt = lim, now+int64(delay)
		if delay > 0 {
			lq.counters.delayed.Add(1)
			lq.counters.delayTime.Add(int64(delay))
		}
	case head.limits != lim: // who waits for an old limit waits for the new one
		head.limits, head.admitAt = lim, min(head.admitAt, now+int64(lq.rateDelay(lim, now)))
	}
	if head.admitAt > now {
		q.stopWaiting()
		return time.Duration(head.admitAt - now), false
	}
	if lq.takeSlot(lim) || q.takeSlotOrWait(lim) {
		return 0, true
	}
	if !head.waited {
		head.waited = true
		lq.counters.waited.Add(1)
	}
	q.reportServerFull(lim, now)
	return serverFullInterval, false // a freed slot wakes; this is for the next report
}

// admitOrRefuse takes a slot if the rates allow it and one is free; otherwise it
// returns the reason to refuse.
func (q *AcceptQueue) admitOrRefuse(head *arrival, lim *limits, now int64) (why Refusal, in bool) {
	lq := q.quota
	q.stopWaiting()
	if head.limits == nil && lq.recordConn(lim, now) > 0 {
		lq.unrecordConn(lim, now) // or a storm of refused connections would keep out all others
		return RateExceeded, false
	}
	return Full, lq.takeSlot(lim)
}

// takeSlotOrWait first marks the queue as waiting, so that a slot that is freed after
// the second try wakes it.
func (q *AcceptQueue) takeSlotOrWait(lim *limits) bool {
	if !q.waitsForSlot.Load() {
		q.waitsForSlot.Store(true)
		q.quota.admission.waiting.Add(1)
	}
	return q.quota.takeSlot(lim)
}

func (q *AcceptQueue) stopWaiting() {
	if q.waitsForSlot.Load() {
		q.waitsForSlot.Store(false)
		q.quota.admission.waiting.Add(-1)
	}
}

// refuseArrival refuses a queued connection.
func (q *AcceptQueue) refuseArrival(a *arrival, why Refusal) {
	q.refuse(a.FD, why)
	if a.Slot != nil {
		a.Slot.Release()
		return
	}
	adm := q.quota.admission
	adm.addresses.removeConn(a.ip, adm.clock())
}

func (q *AcceptQueue) refuse(fd engine.FD, why Refusal) {
	q.quota.counters.refused[why].Add(1) // before the client can see the close
	q.cfg.Network.Discard(fd)
}

// noteBlocked and noteUnblocked measure how long the queue was blocked.
func (q *AcceptQueue) noteBlocked(now int64) {
	if q.blockedSince.Load() == 0 {
		q.blockedSince.Store(max(now, 1))
	}
	q.queued.Store(int64(len(q.arrivals)))
}

func (q *AcceptQueue) noteUnblocked(now int64) {
	if since := q.blockedSince.Load(); since != 0 {
		q.blockedNanos.Add(now - since)
		q.blockedSince.Store(0)
		q.queued.Store(0)
	}
}

// throttle holds a connection over its address's rate open, and closes it after delay
// without serving it: a client that is closed at once comes back at once (KIP-612).
func (q *AcceptQueue) throttle(fd engine.FD, now int64, delay time.Duration) {
	lq := q.quota
	if !tryIncrementBounded(&lq.admission.throttled, lq.admission.limits.Load().ThrottledConnsMax) {
		q.refuse(fd, AddressRate)
		return
	}
	lq.counters.throttled.Add(1)
	lq.counters.throttledNow.Add(1)
	lq.counters.throttledTime.Add(int64(delay))
	heap.Push(&q.throttled, throttledConn{fd, now + int64(delay)})
}

// tryIncrementBounded is tryIncrement for a bound of which 0 means none at all.
func tryIncrementBounded(n *atomic.Int64, most int64) bool { return most > 0 && tryIncrement(n, most) }

// closeThrottled closes the throttled connections whose delay is over.
func (q *AcceptQueue) closeThrottled(now int64) {
	for len(q.throttled) > 0 && q.throttled[0].until <= now {
		c := heap.Pop(&q.throttled).(throttledConn)
		q.refuse(c.fd, AddressRate)
		q.quota.counters.throttledNow.Add(-1)
		q.quota.admission.throttled.Add(-1)
	}
}

// throttledConns is a heap with the next to close first. (Kafka's had the last first, which
// kept all others open as long as new ones came.)
type throttledConns []throttledConn

type throttledConn struct {
	fd    engine.FD
	until int64
}

func (p throttledConns) Len() int           { return len(p) }
func (p throttledConns) Less(i, j int) bool { return p[i].until < p[j].until }
func (p throttledConns) Swap(i, j int)      { p[i], p[j] = p[j], p[i] }
func (p *throttledConns) Push(x any)        { *p = append(*p, x.(throttledConn)) }
func (p *throttledConns) Pop() any {
	last := len(*p) - 1
	c := (*p)[last]
	*p = (*p)[:last]
	return c
}
