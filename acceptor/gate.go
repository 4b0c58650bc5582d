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

// Gate is one listener's part of an Admission. Any goroutine may use it. Each
// goroutine that accepts for the listener has an AcceptQueue of its own.
type Gate struct {
	admission   *Admission
	name        string
	open        atomic.Int64
	meter       *rate.Meter
	forwarders  atomic.Pointer[[]netip.Prefix] // canonical
	counters    counters
	closed      bool           // guarded by admission.mu
	closeNumber uint64         // guarded by admission.mu; which one it was to be closed
	queues      []*AcceptQueue // guarded by admission.mu
	pastBlocked time.Duration  // guarded by admission.mu; how long ended queues were blocked
}

// Gate opens the gate of a listener. Names are unique among open gates. A gate that
// is opened again after Close goes on with its counts, unless they were forgotten.
func (a *Admission) Gate(name string) (*Gate, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	g := a.gates[name]
	switch {
	case g == nil:
		g = &Gate{admission: a, name: name, meter: rate.New(a.windows, a.clock())}
		a.gates[name] = g
	case !g.closed:
		return nil, fmt.Errorf("listener %s: there is one of this name: choose another", name)
	}
	g.closed = false
	a.listeners.Add(1)
	return g, nil
}

// Close ends the listener; its queues must be closed. Connections that it admitted
// keep their slots until they end.
func (g *Gate) Close() {
	a := g.admission
	a.mu.Lock()
	defer a.mu.Unlock()
	if !g.closed {
		g.closed = true
		a.listeners.Add(-1)
		a.closings++
		g.closeNumber = a.closings
		a.forgetGates()
	}
}

// closedGatesMax is how many closed listeners keep their counts, for a later one of
// the same name.
const closedGatesMax = 64

// forgetGates forgets the gate that was closed longest ago and has no connection
// left, if too many are closed. mu is held.
func (a *Admission) forgetGates() {
	var oldest *Gate
	closed := 0
	for _, g := range a.gates {
		if !g.closed {
			continue
		}
		if closed++; g.open.Load() == 0 && len(g.queues) == 0 && (oldest == nil || g.closeNumber < oldest.closeNumber) {
			oldest = g
		}
	}
	if closed > closedGatesMax && oldest != nil {
		delete(a.gates, oldest.name)
	}
}

// TrustForwarders has connections from these networks begin with a header that names their
// client (PROXY protocol), and no others; without any, nobody looks. It holds for what is
// accepted from here on.
func (g *Gate) TrustForwarders(networks []netip.Prefix) {
	all := make([]netip.Prefix, len(networks))
	for i, p := range networks {
		all[i] = canonical(p)
	}
	g.forwarders.Store(&all)
}

// prefaceOf says what a connection from a canonical address begins with. Clients of a Unix
// domain socket have no address, and are all alike.
func (g *Gate) prefaceOf(ip netip.Addr) engine.Preface {
	networks := g.forwarders.Load()
	switch {
	case networks == nil || len(*networks) == 0:
		return engine.PrefaceNone
	case !ip.IsValid() || slices.ContainsFunc(*networks, func(p netip.Prefix) bool { return p.Contains(ip) }):
		return engine.PrefaceRequired
	}
	return engine.PrefaceForbidden
}

// Open is how many connections of this listener are open.
func (g *Gate) Open() int64 { return g.open.Load() }

// NewAcceptQueue begins an AcceptQueue for one goroutine that accepts, which must Close it.
func (g *Gate) NewAcceptQueue(c AcceptQueueConfig) *AcceptQueue {
	l := &AcceptQueue{gate: g, cfg: c}
	a := g.admission
	a.mu.Lock()
	defer a.mu.Unlock()
	g.queues = append(g.queues, l)
	all := append(slices.Clone(*a.queues.Load()), l)
	a.queues.Store(&all)
	return l
}

// removeQueue removes a queue that has ended.
func (g *Gate) removeQueue(l *AcceptQueue) {
	a := g.admission
	a.mu.Lock()
	defer a.mu.Unlock()
	isIt := func(other *AcceptQueue) bool { return other == l }
	g.pastBlocked += time.Duration(l.blockedNanos.Load())
	g.queues = slices.DeleteFunc(g.queues, isIt)
	all := slices.DeleteFunc(slices.Clone(*a.queues.Load()), isIt)
	a.queues.Store(&all)
}

// protected reports whether this is the protected listener, and there are others.
func (g *Gate) protected(l *limits) bool {
	return l.Protected == g.name && g.admission.listeners.Load() > 1
}

// recordConn counts a new connection in the rates and returns how long it has to
// wait for them: at most one window.
func (g *Gate) recordConn(l *limits, now int64) time.Duration {
	g.meter.Record(now, 1)
	if !g.protected(l) {
		g.admission.meter.Record(now, 1)
	}
	return g.rateDelay(l, now)
}

// unrecordConn reverses recordConn.
func (g *Gate) unrecordConn(l *limits, now int64) {
	g.meter.Record(now, -1)
	if !g.protected(l) {
		g.admission.meter.Record(now, -1)
	}
}

func (g *Gate) rateDelay(l *limits, now int64) (wait time.Duration) {
	if most := l.Listeners[g.name].RateMax; most > 0 {
		wait = g.meter.Throttle(now, most)
	}
	if most := l.Server.RateMax; most > 0 && !g.protected(l) {
		wait = max(wait, g.admission.meter.Throttle(now, most))
	}
	return min(wait, g.admission.windows.Size)
}

// takeSlot takes a slot of the listener and one of the server, or neither.
func (g *Gate) takeSlot(l *limits) bool {
	if !tryIncrement(&g.open, l.Listeners[g.name].ConnsMax) {
		return false
	}
	a := g.admission
	if g.protected(l) {
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
	g.open.Add(-1)
	return false
}

// countIP counts a connection of ip, or returns that it is over its address's rate
// (delay > 0) or count (full).
func (g *Gate) countIP(l *limits, ip netip.Addr, now int64) (delay time.Duration, full bool) {
	delay, full = g.admission.addresses.addConn(ip, l.perIP(ip), now)
	return min(delay, g.admission.windows.Size), full
}
