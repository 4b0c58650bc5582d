package capacity

import (
	"slices"
	"sync"
	"sync/atomic"

	"kring/internal/invariants"
	"kring/internal/queue"
)

// Capacity is a bound on bytes. Its methods may be called by any goroutine.
type Capacity struct {
	max     atomic.Int64
	_       [128]byte
	used    atomic.Int64
	_       [128]byte
	waiters waiters
}

// New bounds by n bytes.
func New(n int64) *Capacity {
	c := &Capacity{}
	c.max.Store(n)
	return c
}

// Used is how many bytes are taken.
func (c *Capacity) Used() int64 { return c.used.Load() }

// Max is how many can be reserved.
func (c *Capacity) Max() int64 { return c.max.Load() }

// SetMax changes the bound. Bytes that are taken beyond it stay taken until they are
// released. Waiting Takers are called if there is enough for them now. Invariant: no
// single reservation is larger.
func (c *Capacity) SetMax(n int64) {
	c.max.Store(n)
	c.wakeWaiters()
}

// TakeBeyond takes n bytes, also beyond the bound, for memory that exists already. It returns
// how many bytes are taken then.
func (c *Capacity) TakeBeyond(n int64) (used int64) { return c.used.Add(n) }

// Release gives back n bytes.
func (c *Capacity) Release(n int64) {
	left := c.used.Add(-n)
	invariants.Assert(left >= 0, "capacity: %d bytes released that were not reserved", -left)
	c.wakeWaiters()
}

// wakeWaiters calls waiting Takers. Order: the bytes are released before it is looked who
// waits; a Taker is counted as waiting before it tries a last time.
func (c *Capacity) wakeWaiters() {
	if c.waiters.count.Load() > 0 {
		c.waiters.wakeFitting(c)
	}
}

func (c *Capacity) reserve(n int64) bool {
	for {
		used := c.used.Load()
		if used+n > c.max.Load() {
			return false
		}
		if c.used.CompareAndSwap(used, used+n) {
			return true
		}
	}
}

// Taker reserves bytes for one goroutine, whose wake flag is wakeFlag.
type Taker struct {
	of       *Capacity
	wakeFlag *queue.WakeFlag

	isWaiting atomic.Bool // stored under waiters.mu
	wanted    int64       // guarded by waiters.mu; the least that it was refused
}

// NewTaker makes a Taker whose owner is woken by wakeFlag.
func (c *Capacity) NewTaker(wakeFlag *queue.WakeFlag) *Taker {
	return &Taker{of: c, wakeFlag: wakeFlag}
}

// Reserve takes n bytes, to be given back by Capacity.Release. If it returns false, the
// owner will be called when n bytes are free. Invariant: n is at most Max, or it would
// wait for ever.
//
// There is no queue: a large reservation may wait long under pressure. With a queue, two
// peers that announce large frames and then send nothing would block everybody.
func (t *Taker) Reserve(n int64) bool {
	invariants.Assert(n >= 0, "capacity: reservation of %d bytes", n)
	return t.of.reserve(n) || t.of.waiters.reserve(t, n)
}

// Waiting reports whether Reserve was refused and the call that it promised has not come.
func (t *Taker) Waiting() bool { return t.isWaiting.Load() }

// CancelWait cancels the promised call; for an owner that ends.
func (t *Taker) CancelWait() {
	h := &t.of.waiters
	h.mu.Lock()
	if t.isWaiting.Load() {
		h.remove(t)
	}
	h.mu.Unlock()
}

// waiters are the Takers that were refused. Each is called as soon as the least that it
// was refused is free, whoever else is called for the same bytes: a Taker that does not
// need them any more blocks nobody.
type waiters struct {
	count  atomic.Int32 // waiting; stored under mu, read without
	mu     sync.Mutex
	takers []*Taker // guarded by mu
}

// reserve is Reserve for a Taker that has to wait.
func (h *waiters) reserve(t *Taker, n int64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	before := t.isWaiting.Load()
	if !before {
		t.isWaiting.Store(true)
		t.wanted = n
		h.takers = append(h.takers, t)
		h.count.Store(int32(len(h.takers)))
	}
	// Order: that t waits is visible before it looks for bytes once more.
	if t.of.reserve(n) {
		if !before {
			h.remove(t)
		}
		return true
	}
	t.wanted = min(t.wanted, n)
	return false
}

// wakeFitting calls every Taker for which there is enough.
func (h *waiters) wakeFitting(c *Capacity) {
	h.mu.Lock()
	defer h.mu.Unlock()
	free := c.max.Load() - c.used.Load()
	h.takers = slices.DeleteFunc(h.takers, func(t *Taker) bool {
		if t.wanted > free {
			return false
		}
		t.isWaiting.Store(false)
		t.wakeFlag.NotifyAlways()
		return true
	})
	h.count.Store(int32(len(h.takers)))
}

// remove needs h.mu.
func (h *waiters) remove(t *Taker) {
	t.isWaiting.Store(false)
	h.takers = slices.DeleteFunc(h.takers, func(other *Taker) bool { return other == t })
	h.count.Store(int32(len(h.takers)))
}
