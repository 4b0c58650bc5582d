package acceptor

import (
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"kring/engine"
	"kring/internal/rate"
)

// ListenerQuota is one listener's part of an Admission. Any goroutine may use it. Each
// goroutine that accepts for the listener has an AcceptQueue of its own.
type ListenerQuota struct {
	admission   *Admission
	name        string
	open        atomic.Int64
	meter       *rate.Meter
	forwarders  atomic.Pointer[[]netip.Prefix] // canonical
	counters    counters
	closed      atomic.Bool    // changed under admission.mu
	closeNumber uint64         // guarded by admission.mu; which one it was to be closed
	queues      []*AcceptQueue // guarded by admission.mu
	pastBlocked time.Duration  // guarded by admission.mu; how long ended queues were blocked
}

// OpenListener makes the quota of a listener. Names are unique among open listeners. One
// that is opened again after Close goes on with its counts, unless they were forgotten.
func (a *Admission) OpenListener(name string) (*ListenerQuota, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	lq := a.quotas[name]
	switch {
	case lq == nil:
		lq = &ListenerQuota{admission: a, name: name, meter: rate.New(a.windows, a.clock())}
		a.quotas[name] = lq
	case !lq.closed.Load():
		return nil, fmt.Errorf("listener %s: there is one of this name: choose another", name)
	}
	if lq.closed.Swap(false) {
		a.closed--
	}
	a.listeners.Add(1)
	return lq, nil
}

// Close ends the listener; its queues must be closed. Connections that it admitted
// keep their slots until they end.
func (lq *ListenerQuota) Close() {
	a := lq.admission
	a.mu.Lock()
	defer a.mu.Unlock()
	if !lq.closed.Swap(true) {
		a.closed++
		a.listeners.Add(-1)
		a.closings++
		lq.closeNumber = a.closings
		a.forgetClosed()
	}
}

// closedListenersMax is how many closed listeners keep their counts, for a later one of
// the same name.
const closedListenersMax = 64

// forgetClosed forgets the listener that was closed longest ago and has no connection
// left, if too many are closed. mu is held.
func (a *Admission) forgetClosed() {
	if a.closed <= closedListenersMax {
		return
	}
	var oldest *ListenerQuota
	for _, lq := range a.quotas {
		if lq.over() && (oldest == nil || lq.closeNumber < oldest.closeNumber) {
			oldest = lq
		}
	}
	if oldest != nil {
		oldest.forget()
	}
}

// over says that nothing of a listener is left but its counts. mu is held.
func (lq *ListenerQuota) over() bool {
	return lq.closed.Load() && lq.open.Load() == 0 && len(lq.queues) == 0
}

// forget is for one that is over. mu is held.
func (lq *ListenerQuota) forget() {
	delete(lq.admission.quotas, lq.name)
	lq.admission.closed--
}

// lastReleased forgets a listener that was closed before its last connection ended, if too
// many are closed. Order: Close closes it before it looks for connections, and Release has
// counted this one out before it looks whether it is closed, so one of them forgets it.
func (lq *ListenerQuota) lastReleased() {
	a := lq.admission
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed > closedListenersMax && a.quotas[lq.name] == lq && lq.over() {
		lq.forget()
	}
}

// TrustForwarders has connections from these networks begin with a header that names their
// client (PROXY protocol), and no others; without any, nobody looks. It holds for what is
// accepted from here on.
func (lq *ListenerQuota) TrustForwarders(networks []netip.Prefix) {
	all := make([]netip.Prefix, len(networks))
	for i, p := range networks {
		all[i] = canonical(p)
	}
	lq.forwarders.Store(&all)
}

// prefaceOf says what a connection from a canonical address begins with. Clients of a Unix
// domain socket have no address, and are all alike.
func (lq *ListenerQuota) prefaceOf(ip netip.Addr) engine.Preface {
	networks := lq.forwarders.Load()
	switch {
	case networks == nil || len(*networks) == 0:
		return engine.PrefaceNone
	case !ip.IsValid() || slices.ContainsFunc(*networks, func(p netip.Prefix) bool { return p.Contains(ip) }):
		return engine.PrefaceRequired
	}
	return engine.PrefaceForbidden
}

// Open is how many connections of this listener are open.
func (lq *ListenerQuota) Open() int64 { return lq.open.Load() }

// NewAcceptQueue begins an AcceptQueue for one goroutine that accepts, which must Close it.
func (lq *ListenerQuota) NewAcceptQueue(c AcceptQueueConfig) *AcceptQueue {
	l := &AcceptQueue{quota: lq, cfg: c}
	a := lq.admission
	a.mu.Lock()
	defer a.mu.Unlock()
	lq.queues = append(lq.queues, l)
	all := append(slices.Clone(*a.queues.Load()), l)
	a.queues.Store(&all)
	return l
}

// removeQueue removes a queue that has ended.
func (lq *ListenerQuota) removeQueue(l *AcceptQueue) {
	a := lq.admission
	a.mu.Lock()
	defer a.mu.Unlock()
	isIt := func(other *AcceptQueue) bool { return other == l }
	lq.pastBlocked += time.Duration(l.blockedNanos.Load())
	lq.queues = slices.DeleteFunc(lq.queues, isIt)
	all := slices.DeleteFunc(slices.Clone(*a.queues.Load()), isIt)
	a.queues.Store(&all)
}

// protected reports whether this is the protected listener, and there are others.
func (lq *ListenerQuota) protected(l *limits) bool {
	return l.Protected == lq.name && lq.admission.listeners.Load() > 1
}

// recordConn counts a new connection in the rates and returns how long it has to
// wait for them: at most one window.
func (lq *ListenerQuota) recordConn(l *limits, now int64) time.Duration {
	lq.meter.Record(now, 1)
	if !lq.protected(l) {
		lq.admission.meter.Record(now, 1)
	}
	return lq.rateDelay(l, now)
}

// unrecordConn reverses recordConn.
func (lq *ListenerQuota) unrecordConn(l *limits, now int64) {
	lq.meter.Record(now, -1)
	if !lq.protected(l) {
		lq.admission.meter.Record(now, -1)
	}
}

func (lq *ListenerQuota) rateDelay(l *limits, now int64) (wait time.Duration) {
	if most := l.Listeners[lq.name].RateMax; most > 0 {
		wait = lq.meter.Throttle(now, most)
	}
	if most := l.Server.RateMax; most > 0 && !lq.protected(l) {
		wait = max(wait, lq.admission.meter.Throttle(now, most))
	}
	return min(wait, lq.admission.windows.Size)
}

// takeSlot takes a slot of the listener and one of the server, or neither.
func (lq *ListenerQuota) takeSlot(l *limits) bool {
	if !tryIncrement(&lq.open, l.Listeners[lq.name].ConnsMax) {
		return false
	}
	a := lq.admission
	if lq.protected(l) {
		a.open.Add(1)
		if a.Excess() > 0 && a.evict != nil {
			a.evict()
		}
		return true
	}
	if tryIncrement(&a.open, l.Server.ConnsMax) {
		return true
	}
	// No wake is needed: whoever waits for the listener's slot waits for the
	// server's too.
	lq.open.Add(-1)
	return false
}

// countIP counts a connection of ip, or returns that it is over its address's rate
// (delay > 0) or count (full).
func (lq *ListenerQuota) countIP(l *limits, ip netip.Addr, now int64) (delay time.Duration, full bool) {
	delay, full = lq.admission.addresses.addConn(ip, l.perIP(ip), now)
	return min(delay, lq.admission.windows.Size), full
}
