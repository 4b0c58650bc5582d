package acceptor

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"kring/engine"
	"kring/internal/rate"
)

// AdmissionConfig of one Admission. The zero value limits nothing.
type AdmissionConfig struct {
	Limits Limits
	// Windows that rates are measured over. A connection waits for a rate at most
	// one window.
	Windows rate.Windows
	// Clock gives monotonic nanoseconds; nil is the system's. A test has its own.
	Clock func() int64
	// Evict, if set, is called when the protected listener brought the server over
	// its bound: exactly one connection of another listener has to be closed. The
	// accepting goroutine calls it; it must not block.
	Evict func()
	// ServerFull, if set, is called when a connection finds no free slot, at most once a
	// minute. The accepting goroutine calls it; it must not block.
	ServerFull func(ServerFull)
}

// Admission decides which connections a server accepts. All its listeners share
// one. Any goroutine may use it, and none waits for another: slots are atomic
// counts, and addresses are counted in shards.
type Admission struct {
	windows   rate.Windows
	clock     func() int64
	evict     func()
	limits    atomic.Pointer[limits]
	open      atomic.Int64 // with those of Inherit
	inherited atomic.Int64
	throttled atomic.Int64
	meter     *rate.Meter
	addresses *addresses
	follower  atomic.Pointer[Follower] // nil: nobody wants to know who leaves

	serverFull     func(ServerFull)
	serverFullTold atomic.Int64 // when it was called last, by clock; 0: never

	// waiting counts the queues whose first connection waits for a slot. Order: a
	// queue is counted before it tries for the last time, and a closing connection
	// frees its slot before it looks here. So one of the two sees the other.
	waiting atomic.Int32
	queues  atomic.Pointer[[]*AcceptQueue]

	mu        sync.Mutex                // for opening and closing listeners and queues
	quotas    map[string]*ListenerQuota // guarded by mu; some of them are closed
	closings  uint64                    // guarded by mu; how many listeners were closed
	closed    int                       // guarded by mu; of quotas
	listeners atomic.Int32              // open ones
}

// NewAdmission makes an Admission. The error names every fault of c.
func NewAdmission(c AdmissionConfig) (*Admission, error) {
	if err := errors.Join(c.Limits.Validate(), c.Windows.Validate()); err != nil {
		return nil, fmt.Errorf("limits on connections: %w", err)
	}
	a := &Admission{
		windows: c.Windows.WithDefaults(), clock: c.Clock, evict: c.Evict, serverFull: c.ServerFull,
		quotas: map[string]*ListenerQuota{},
	}
	if a.clock == nil {
		a.clock = monotonic
	}
	a.addresses = newAddresses(a.windows)
	a.meter = rate.New(a.windows, a.clock())
	a.limits.Store(c.Limits.compile())
	a.queues.Store(&[]*AcceptQueue{})
	return a, nil
}

// epoch makes monotonic nanoseconds out of the clock.
var epoch = time.Now()

func monotonic() int64 { return int64(time.Since(epoch)) }

// Set replaces all limits at once. On an error, which names every fault, nothing
// has changed. Open connections stay; queued ones are checked again at once. Any
// goroutine.
func (a *Admission) Set(l Limits) error {
	if err := l.Validate(); err != nil {
		return fmt.Errorf("limits on connections: %w", err)
	}
	a.limits.Store(l.compile())
	a.wakeAll()
	return nil
}

// Limits returns the current limits.
func (a *Admission) Limits() Limits { return a.limits.Load().Limits }

// Open is how many connections have a slot, those of Inherit not among them.
func (a *Admission) Open() int64 { return a.open.Load() - a.inherited.Load() }

// Queued is how many connections wait for a slot, a rate or a processor.
func (a *Admission) Queued() (n int64) {
	for _, q := range *a.queues.Load() {
		n += q.queued.Load()
	}
	return n
}

// Excess is how many connections more than the server's bound are open.
func (a *Admission) Excess() int64 {
	most := a.limits.Load().Server.ConnsMax
	if most == 0 {
		return 0
	}
	return max(a.open.Load()-most, 0)
}

// wakeWaiting wakes the queues that wait for a slot.
func (a *Admission) wakeWaiting() {
	if a.waiting.Load() == 0 {
		return
	}
	for _, l := range *a.queues.Load() {
		if l.waitsForSlot.Load() {
			l.cfg.Wake()
		}
	}
}

func (a *Admission) wakeAll() {
	for _, l := range *a.queues.Load() {
		l.cfg.Wake()
	}
}

// slot is one connection's share of the counts.
type slot struct {
	quota     *ListenerQuota
	ip        netip.Addr // Owner: the connection's, as throttled
	throttled bool
	left      atomic.Bool
}

// Identify is engine.Identifier's: what the acceptor did not know is judged as it would have
// been by it, and by the limits of now. The listener's and the server's rates have counted
// the connection already.
func (p *slot) Identify(client netip.Addr) (v engine.Verdict, hold time.Duration) {
	if p.left.Load() { // the connection drains: it counts no more
		return engine.WithinBounds, 0
	}
	lq, ip := p.quota, canonicalAddr(client)
	a := lq.admission
	lim := a.limits.Load()
	switch delay, full := lq.countIP(lim, ip, a.clock()); {
	case full:
		return engine.OverCount, 0
	case delay == 0:
		p.ip = ip
		return engine.WithinBounds, 0
	case !tryIncrementBounded(&a.throttled, lim.ThrottledConnsMax):
		return engine.OverRate, 0
	default:
		p.throttled = true
		lq.counters.throttled.Add(1)
		lq.counters.throttledNow.Add(1)
		lq.counters.throttledTime.Add(int64(delay))
		return engine.OverRate, delay
	}
}

// Release gives the slot back. A second call does nothing: it would give back
// another connection's slot.
func (p *slot) Release() {
	if p.left.Swap(true) {
		return
	}
	a := p.quota.admission
	a.addresses.removeConn(p.ip, a.clock())
	if p.throttled {
		p.quota.counters.throttledNow.Add(-1)
		a.throttled.Add(-1)
	}
	if p.quota.open.Add(-1) == 0 && p.quota.closed.Load() {
		p.quota.lastReleased()
	}
	a.open.Add(-1)
	a.told()
	a.wakeWaiting()
}

// tryIncrement adds 1 to n if n stays within most (0: no bound).
func tryIncrement(n *atomic.Int64, most int64) bool {
	for {
		old := n.Load()
		if most > 0 && old >= most {
			return false
		}
		if n.CompareAndSwap(old, old+1) {
			return true
		}
	}
}
