package acceptor

import (
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"kring/internal/rate"
)

// Gate is one listener's part of an Admission. Any goroutine may use it; whoever
// accepts for the listener does so through a Line of its own.
type Gate struct {
	admission *Admission
	name      string
	open      atomic.Int64
	meter     *rate.Meter
	counters  counters
	closed    bool          // guarded by admission.mu
	closing   uint64        // guarded by admission.mu; which one it was to be closed
	lines     []*Line       // guarded by admission.mu
	past      time.Duration // guarded by admission.mu; how long lines that ended were blocked
}

// Gate opens the gate of a listener. Each has a name of its own; who opens one
// of a name that was closed goes on with its counts, unless it is long ago.
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

// Close ends the listener; its lines must be closed. Connections that it let in
// keep their places until they leave.
func (g *Gate) Close() {
	a := g.admission
	a.mu.Lock()
	defer a.mu.Unlock()
	if !g.closed {
		g.closed = true
		a.listeners.Add(-1)
		a.closings++
		g.closing = a.closings
		a.forgetGates()
	}
}

// closedGatesMax is how many listeners that are gone keep their counts, for one of
// the same name to go on with.
const closedGatesMax = 64

// forgetGates forgets the gate that was closed longest ago, of those that nobody is
// behind any more, when there are too many. mu is held.
func (a *Admission) forgetGates() {
	var oldest *Gate
	closed := 0
	for _, g := range a.gates {
		if !g.closed {
			continue
		}
		if closed++; g.open.Load() == 0 && len(g.lines) == 0 && (oldest == nil || g.closing < oldest.closing) {
			oldest = g
		}
	}
	if closed > closedGatesMax && oldest != nil {
		delete(a.gates, oldest.name)
	}
}

// Open is how many connections this listener let in that are still there.
func (g *Gate) Open() int64 { return g.open.Load() }

// NewLine begins a Line for one goroutine that accepts, which must Close it.
func (g *Gate) NewLine(c LineConfig) *Line {
	l := &Line{gate: g, cfg: c}
	a := g.admission
	a.mu.Lock()
	defer a.mu.Unlock()
	g.lines = append(g.lines, l)
	all := append(slices.Clone(*a.lines.Load()), l)
	a.lines.Store(&all)
	return l
}

// forget takes a line out that has ended.
func (g *Gate) forget(l *Line) {
	a := g.admission
	a.mu.Lock()
	defer a.mu.Unlock()
	isIt := func(other *Line) bool { return other == l }
	g.past += time.Duration(l.blocked.Load())
	g.lines = slices.DeleteFunc(g.lines, isIt)
	all := slices.DeleteFunc(slices.Clone(*a.lines.Load()), isIt)
	a.lines.Store(&all)
}

// protected says that the listener does not wait for others' connections.
func (g *Gate) protected(l *limits) bool {
	return l.Protected == g.name && g.admission.listeners.Load() > 1
}

// record counts a new connection in the rates, and says how long it has to
// wait for them: at most one window.
func (g *Gate) record(l *limits, now int64) time.Duration {
	g.meter.Record(now, 1)
	if !g.protected(l) {
		g.admission.meter.Record(now, 1)
	}
	return g.delay(l, now)
}

// unrecord takes back what record counted.
func (g *Gate) unrecord(l *limits, now int64) {
	g.meter.Record(now, -1)
	if !g.protected(l) {
		g.admission.meter.Record(now, -1)
	}
}

func (g *Gate) delay(l *limits, now int64) (wait time.Duration) {
	if most := l.Listeners[g.name].RateMax; most > 0 {
		wait = g.meter.Throttle(now, most)
	}
	if most := l.Server.RateMax; most > 0 && !g.protected(l) {
		wait = max(wait, g.admission.meter.Throttle(now, most))
	}
	return min(wait, g.admission.windows.Size)
}

// take occupies a place of the listener and one of the server, or none.
func (g *Gate) take(l *limits) bool {
	if !occupy(&g.open, l.Listeners[g.name].ConnsMax) {
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
	if occupy(&a.open, l.Server.ConnsMax) {
		return true
	}
	// Nobody need be told: who waits for the listener's place waits for the
	// server's too.
	g.open.Add(-1)
	return false
}

// enter counts a connection of ip in, or says that it is over its address's
// rate (by how long a delay) or count.
func (g *Gate) enter(l *limits, ip netip.Addr, now int64) (delay time.Duration, full bool) {
	delay, full = g.admission.addresses.enter(ip, l.perIP(ip), now)
	return min(delay, g.admission.windows.Size), full
}
