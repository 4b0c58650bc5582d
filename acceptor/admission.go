package acceptor

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"kring/internal/rate"
)

// AdmissionConfig of one Admission. The zero value limits nothing.
type AdmissionConfig struct {
	Limits Limits
	// Windows that rates are measured over; a connection waits at most one of
	// them for a rate.
	Windows rate.Windows
	// Clock gives monotonic nanoseconds; nil is the system's. A test has its own.
	Clock func() int64
	// Evict, if set, is told when the protected listener brought the server over
	// its bound: somebody else's connection, and only one, has to go. Whoever
	// accepts calls it; it must not block.
	Evict func()
	// NoPlace, if set, is told when a connection finds no place, at most once a
	// minute. Whoever accepts calls it; it must not block.
	NoPlace func(NoPlace)
}

// Admission decides which connections may enter a server: one for all its
// listeners. Any goroutine may use it, and none waits for another: places are
// atomic counts, and addresses are counted in shards.
type Admission struct {
	windows   rate.Windows
	clock     func() int64
	evict     func()
	limits    atomic.Pointer[limits]
	open      atomic.Int64
	parked    atomic.Int64
	meter     *rate.Meter
	addresses *addresses

	noPlace     func(NoPlace)
	noPlaceTold atomic.Int64 // when it was called last, by clock; 0: never

	// waiting counts the lines whose head waits for a place. Order: a line says
	// that it waits before it tries for the last time, and who leaves frees the
	// place before looking here; so one of the two sees the other.
	waiting atomic.Int32
	lines   atomic.Pointer[[]*Line]

	mu        sync.Mutex       // held by who opens and closes gates and lines
	gates     map[string]*Gate // guarded by mu; also some that were closed
	closings  uint64           // guarded by mu; how many were closed
	listeners atomic.Int32     // gates that are open
}

// NewAdmission makes an Admission, or names every fault of c.
func NewAdmission(c AdmissionConfig) (*Admission, error) {
	if err := errors.Join(c.Limits.Validate(), c.Windows.Validate()); err != nil {
		return nil, fmt.Errorf("limits on connections: %w", err)
	}
	a := &Admission{
		windows: c.Windows.WithDefaults(), clock: c.Clock, evict: c.Evict, noPlace: c.NoPlace,
		gates: map[string]*Gate{},
	}
	if a.clock == nil {
		a.clock = monotonic
	}
	a.addresses = newAddresses(a.windows)
	a.meter = rate.New(a.windows, a.clock())
	a.limits.Store(c.Limits.compile())
	a.lines.Store(&[]*Line{})
	return a, nil
}

// epoch makes monotonic nanoseconds out of the clock.
var epoch = time.Now()

func monotonic() int64 { return int64(time.Since(epoch)) }

// Set changes all limits at once, or none and names every fault. Connections
// that are open stay; those that wait are looked at again at once. Any
// goroutine.
func (a *Admission) Set(l Limits) error {
	if err := l.Validate(); err != nil {
		return fmt.Errorf("limits on connections: %w", err)
	}
	a.limits.Store(l.compile())
	a.wakeAll()
	return nil
}

// Limits are those that hold.
func (a *Admission) Limits() Limits { return a.limits.Load().Limits }

// Open is how many connections have a place.
func (a *Admission) Open() int64 { return a.open.Load() }

// Excess is how many connections more than the server's bound are open.
func (a *Admission) Excess() int64 {
	most := a.limits.Load().Server.ConnsMax
	if most == 0 {
		return 0
	}
	return max(a.open.Load()-most, 0)
}

// AddressesKnown is how many remote addresses are remembered.
func (a *Admission) AddressesKnown() int { return a.addresses.known() }

// placeFreed lets the lines that wait try again.
func (a *Admission) placeFreed() {
	if a.waiting.Load() == 0 {
		return
	}
	for _, l := range *a.lines.Load() {
		if l.waiting.Load() {
			l.cfg.Wake()
		}
	}
}

func (a *Admission) wakeAll() {
	for _, l := range *a.lines.Load() {
		l.cfg.Wake()
	}
}

// place is what one connection occupies.
type place struct {
	gate *Gate
	ip   netip.Addr
	left atomic.Bool
}

// Leave gives it back; a second call would give back somebody else's, and is
// passed over.
func (p *place) Leave() {
	if p.left.Swap(true) {
		return
	}
	a := p.gate.admission
	a.addresses.leave(p.ip, a.clock())
	p.gate.open.Add(-1)
	a.open.Add(-1)
	a.placeFreed()
}

// occupy adds 1 to n if that stays within most (0: without bound).
func occupy(n *atomic.Int64, most int64) bool {
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
