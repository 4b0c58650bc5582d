package acceptor

import (
	"container/heap"
	"net/netip"
	"sync/atomic"
	"time"

	"kring/engine"
)

// LineConfig of one Line.
type LineConfig struct {
	Network engine.Network
	// Assign hands an admitted connection to a processor; false when none takes
	// it now.
	Assign func(engine.Accepted) bool
	// Gone says that no processor will ever take one; nil: some will.
	Gone func() bool
	// Wake makes the owner call Proceed soon. Any goroutine calls it.
	Wake func()
	// WaitingMax is how many connections may wait that were accepted before
	// accepting stopped; one more is closed. The kernel's own queue is the place
	// for all others.
	WaitingMax int
}

// Line is where the connections stand that one goroutine accepted and that may
// not enter yet, or that no processor has room for. That goroutine owns it.
//
// The owner gives it what it accepts, accepts nothing while it is Blocked, and
// calls Proceed before it sleeps. So nobody waits in a thread: the kernel's
// queue holds the clients back, as Kafka's does while its acceptor is blocked.
type Line struct {
	gate *Gate
	cfg  LineConfig

	// Owner: the goroutine that accepts.
	queue  []arrival // wait for a place or for a rate, oldest first
	parked parked

	waiting atomic.Bool  // for a place: whoever frees one wakes the owner
	since   atomic.Int64 // when it was blocked, 0 while it is not
	blocked atomic.Int64 // nanoseconds that it was blocked before
	length  atomic.Int64 // of the queue
}

// arrival is an accepted connection that its address's bounds let in.
type arrival struct {
	engine.Accepted
	ip    netip.Addr
	by    *limits // that until was computed by; nil before the rates counted it
	until int64   // when the rates let it go on
	// waited: it was counted as one that found no place.
	waited bool
}

// Accepted takes a descriptor that was just accepted.
func (l *Line) Accepted(fd engine.FD) {
	g := l.gate
	g.counters.accepted.Add(1)
	local, remote, err := l.cfg.Network.Addrs(fd)
	if err != nil { // the client is gone already
		l.refuse(fd, Gone)
		return
	}
	a := arrival{Accepted: engine.Accepted{FD: fd, Local: local, Remote: remote}, ip: canonicalAddr(remote.Addr())}
	now := g.admission.clock()
	switch delay, full := g.enter(g.admission.limits.Load(), a.ip, now); {
	case delay > 0:
		l.park(fd, now, delay)
	case full:
		l.refuse(fd, AddressFull)
	case len(l.queue) >= max(l.cfg.WaitingMax, 1):
		l.drop(&a, TooManyWaiting)
	default:
		l.queue = append(l.queue, a)
		l.advance(now)
	}
}

// Refuse closes a descriptor that was just accepted and can't be served.
func (l *Line) Refuse(fd engine.FD, why Refusal) {
	l.gate.counters.accepted.Add(1)
	l.refuse(fd, why)
}

// Failed counts an error that ended accepting.
func (l *Line) Failed() { l.gate.counters.failures.Add(1) }

// Blocked says that nothing more should be accepted for now.
func (l *Line) Blocked() bool { return len(l.queue) > 0 }

// Proceed lets go on whoever can, and says how long until somebody else may, by
// the clock alone; negative: not before Wake.
func (l *Line) Proceed() time.Duration {
	if len(l.queue) == 0 && len(l.parked) == 0 {
		return -1
	}
	now := l.gate.admission.clock()
	l.unpark(now)
	wait := l.advance(now)
	if len(l.parked) > 0 {
		if next := time.Duration(l.parked[0].until - now); wait < 0 || next < wait {
			wait = next
		}
	}
	return wait
}

// Close closes whatever still stands here, at once.
func (l *Line) Close() {
	l.unpark(1<<63 - 1)
	for i := range l.queue {
		l.drop(&l.queue[i], Closing)
	}
	l.queue = nil
	l.endWait()
	l.flow(l.gate.admission.clock())
	l.gate.forget(l)
	l.gate.admission.placeFreed() // what woke it may be another's
}

// advance lets connections in from the head of the queue, and says when to try
// again; negative: when a place was freed.
func (l *Line) advance(now int64) time.Duration {
	for len(l.queue) > 0 {
		head := &l.queue[0]
		wait, in := l.tryHead(head, now)
		if !in {
			l.stand(now)
			return wait
		}
		l.queue = l.queue[1:]
	}
	l.flow(now)
	return -1
}

// tryHead lets a connection in, or refuses it, or says for how long it waits.
func (l *Line) tryHead(head *arrival, now int64) (wait time.Duration, done bool) {
	by := l.gate.admission.limits.Load()
	if head.Place == nil {
		var why Refusal
		if by.Refuse {
			why, done = l.enterNow(head, by, now)
		} else {
			wait, done = l.enterInTurn(head, by, now)
		}
		switch {
		case !done && by.Refuse:
			l.drop(head, why)
			if why == Full {
				l.tellNoPlace(by, now)
			}
			return 0, true
		case !done:
			return wait, false
		}
		l.endWait()
		head.Place = &place{gate: l.gate, ip: head.ip}
	}
	switch {
	case l.cfg.Assign(head.Accepted):
	case by.Refuse || l.cfg.Gone != nil && l.cfg.Gone():
		l.drop(head, Unassigned)
	default:
		return assignPause, false
	}
	return 0, true
}

// assignPause is how long a connection waits until the processors are asked
// again that were all full: they adopt some in every pass.
const assignPause = time.Millisecond

// enterInTurn takes a place when the rates let it and there is one.
func (l *Line) enterInTurn(head *arrival, by *limits, now int64) (wait time.Duration, in bool) {
	g := l.gate
	switch {
	case head.by == nil:
		delay := g.record(by, now)
		head.by, head.until = by, now+int64(delay)
		if delay > 0 {
			g.counters.delayed.Add(1)
			g.counters.delayTime.Add(int64(delay))
		}
	case head.by != by: // who waits for an old limit waits for the new one
		head.by, head.until = by, min(head.until, now+int64(g.delay(by, now)))
	}
	if head.until > now {
		l.endWait()
		return time.Duration(head.until - now), false
	}
	if g.take(by) || l.takeOrWait(by) {
		return 0, true
	}
	if !head.waited {
		head.waited = true
		g.counters.waited.Add(1)
	}
	l.tellNoPlace(by, now)
	return noPlaceEvery, false // whoever frees a place wakes; this only tells again
}

// enterNow takes a place if the rates let it and there is one.
func (l *Line) enterNow(head *arrival, by *limits, now int64) (why Refusal, in bool) {
	g := l.gate
	l.endWait()
	if head.by == nil && g.record(by, now) > 0 {
		g.unrecord(by, now) // or a storm of refused ones would keep all others out
		return RateExceeded, false
	}
	return Full, g.take(by)
}

// takeOrWait says first that the line waits, so that a place that is freed
// after the second try wakes it.
func (l *Line) takeOrWait(by *limits) bool {
	if !l.waiting.Load() {
		l.waiting.Store(true)
		l.gate.admission.waiting.Add(1)
	}
	return l.gate.take(by)
}

func (l *Line) endWait() {
	if l.waiting.Load() {
		l.waiting.Store(false)
		l.gate.admission.waiting.Add(-1)
	}
}

// drop refuses a connection that stands in line.
func (l *Line) drop(a *arrival, why Refusal) {
	l.refuse(a.FD, why)
	if a.Place != nil {
		a.Place.Leave()
		return
	}
	adm := l.gate.admission
	adm.addresses.leave(a.ip, adm.clock())
}

func (l *Line) refuse(fd engine.FD, why Refusal) {
	l.gate.counters.refused[why].Add(1) // before its client can know
	l.cfg.Network.Discard(fd)
}

// stand and flow keep the time that the line was blocked.
func (l *Line) stand(now int64) {
	if l.since.Load() == 0 {
		l.since.Store(max(now, 1))
	}
	l.length.Store(int64(len(l.queue)))
}

func (l *Line) flow(now int64) {
	if since := l.since.Load(); since != 0 {
		l.blocked.Add(now - since)
		l.since.Store(0)
		l.length.Store(0)
	}
}

// park holds a connection over its address's rate open, until it is closed
// after delay without ever being served: a client that is closed at once comes
// back at once (KIP-612).
func (l *Line) park(fd engine.FD, now int64, delay time.Duration) {
	g := l.gate
	if !occupyBelow(&g.admission.parked, g.admission.limits.Load().ParkedMax) {
		l.refuse(fd, AddressRate)
		return
	}
	g.counters.parked.Add(1)
	g.counters.parkedNow.Add(1)
	g.counters.parkedTime.Add(int64(delay))
	heap.Push(&l.parked, parkedConn{fd, now + int64(delay)})
}

// occupyBelow is occupy where 0 means none.
func occupyBelow(n *atomic.Int64, most int64) bool { return most > 0 && occupy(n, most) }

// unpark closes the parked connections whose time is over.
func (l *Line) unpark(now int64) {
	for len(l.parked) > 0 && l.parked[0].until <= now {
		c := heap.Pop(&l.parked).(parkedConn)
		l.refuse(c.fd, AddressRate)
		l.gate.counters.parkedNow.Add(-1)
		l.gate.admission.parked.Add(-1)
	}
}

// parked is a heap: the first is the next whose time is over (Kafka's was the
// last, and kept all others open as long as new ones came).
type parked []parkedConn

type parkedConn struct {
	fd    engine.FD
	until int64
}

func (p parked) Len() int           { return len(p) }
func (p parked) Less(i, j int) bool { return p[i].until < p[j].until }
func (p parked) Swap(i, j int)      { p[i], p[j] = p[j], p[i] }
func (p *parked) Push(x any)        { *p = append(*p, x.(parkedConn)) }
func (p *parked) Pop() any {
	last := len(*p) - 1
	c := (*p)[last]
	*p = (*p)[:last]
	return c
}
