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
	max    atomic.Int64
	_      [128]byte
	used   atomic.Int64
	_      [128]byte
	hungry hungry
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

// SetMax changes the bound. What is taken beyond it stays so until it is released;
// Takers that wait are called if there is enough for them now. Invariant: no one
// reservation is larger.
func (c *Capacity) SetMax(n int64) {
	c.max.Store(n)
	c.callHungry()
}

// Take takes n bytes, also beyond the bound, for what is there already; it gives what is
// taken then.
func (c *Capacity) Take(n int64) (used int64) { return c.used.Add(n) }

// Release gives back n bytes.
func (c *Capacity) Release(n int64) {
	left := c.used.Add(-n)
	invariants.Assert(left >= 0, "capacity: %d bytes released that were not reserved", -left)
	c.callHungry()
}

// callHungry calls who waits. Order: the bytes are there before it is looked who waits
// for them; a Taker says that it waits before it looks for bytes a last time.
func (c *Capacity) callHungry() {
	if c.hungry.count.Load() > 0 {
		c.hungry.call(c)
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

// Taker reserves for one goroutine, which sleeps at a bell.
type Taker struct {
	of   *Capacity
	bell *queue.Doorbell

	isHungry atomic.Bool // stored under hungry.mu
	wants    int64       // guarded by hungry.mu; the least that it was refused
}

// NewTaker makes a Taker whose owner sleeps at bell.
func (c *Capacity) NewTaker(bell *queue.Doorbell) *Taker { return &Taker{of: c, bell: bell} }

// Reserve takes n bytes, to be given back by Capacity.Release. If it returns false the
// owner will be called when n bytes are free. Invariant: n is at most Max, or it would
// wait for ever.
//
// Whoever comes while the bytes are there gets them, so under pressure a large
// reservation may have to wait long. The other way round, two peers that announce
// large frames and then send nothing would keep everybody waiting.
func (t *Taker) Reserve(n int64) bool {
	invariants.Assert(n >= 0, "capacity: reservation of %d bytes", n)
	return t.of.reserve(n) || t.of.hungry.reserve(t, n)
}

// Hungry says that Reserve was refused, and that the call that it promised has not come.
func (t *Taker) Hungry() bool { return t.isHungry.Load() }

// Leave gives up what was promised; for an owner that ends.
func (t *Taker) Leave() {
	h := &t.of.hungry
	h.mu.Lock()
	if t.isHungry.Load() {
		h.remove(t)
	}
	h.mu.Unlock()
}

// hungry are the Takers that found no bytes. Each of them is called as soon as there
// are enough for the least it was refused, whoever else is called too: one that doesn't
// need them any more then holds up nobody.
type hungry struct {
	count  atomic.Int32 // waiting; stored under mu, read without
	mu     sync.Mutex
	takers []*Taker // guarded by mu
}

// reserve is Reserve for a Taker that has to wait.
func (h *hungry) reserve(t *Taker, n int64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	before := t.isHungry.Load()
	if !before {
		t.isHungry.Store(true)
		t.wants = n
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
	t.wants = min(t.wants, n)
	return false
}

// call calls everybody for whom there is enough.
func (h *hungry) call(c *Capacity) {
	h.mu.Lock()
	defer h.mu.Unlock()
	free := c.max.Load() - c.used.Load()
	h.takers = slices.DeleteFunc(h.takers, func(t *Taker) bool {
		if t.wants > free {
			return false
		}
		t.isHungry.Store(false)
		t.bell.Call()
		return true
	})
	h.count.Store(int32(len(h.takers)))
}

// remove needs h.mu.
func (h *hungry) remove(t *Taker) {
	t.isHungry.Store(false)
	h.takers = slices.DeleteFunc(h.takers, func(other *Taker) bool { return other == t })
	h.count.Store(int32(len(h.takers)))
}
