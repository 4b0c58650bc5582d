package budget

import (
	"container/list"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// SmallBytes is the largest piece that counts in the small share. A quarter of
	// the budget is for that share alone, so that large unread responses never block
	// small ones.
	SmallBytes   = 64 << 10
	smallDivisor = 4
	// SmallestBytes is the assumed size of a response of an API without large ones.
	SmallestBytes = 4 << 10
	// roomDivisor: one response may take this part of what is free. So the more is taken,
	// the less another connection gets, and some is always left.
	roomDivisor = 16
	// apis is how many APIs are distinguished.
	apis = 128
)

// Budget is a number of bytes that responses may take. What is taken is always
// counted, also beyond the bound: memory that exists can't be refused any more. The
// bound is kept because callers ask before they take. A nil Budget bounds nothing.
type Budget struct {
	// tight is read before every request and seldom written; it has a cache line of its
	// own.
	tight atomic.Bool
	_     [127]byte
	// expected is how large the last large responses of each API were; index: key + 1.
	expected [apis]atomic.Int64

	mu     sync.Mutex
	max    int64             // guarded by mu
	used   [shares]int64     // guarded by mu
	queues [shares]list.List // guarded by mu; of *Ticket, the first comes next
	waited uint64            // guarded by mu
}

type share uint8

const (
	small share = iota
	large
	shares
)

func shareOf(n int64) share {
	if n > SmallBytes {
		return large
	}
	return small
}

// New makes a Budget of max bytes.
func New(max int64) *Budget { return &Budget{max: max} }

// Change counts a piece that had from bytes and has to bytes from now on. from is 0
// when it is taken, to is 0 when it is given back. It never waits and never fails.
func (b *Budget) Change(from, to int64) {
	if b == nil || from == to {
		return
	}
	b.mu.Lock()
	b.changeLocked(from, to)
	b.grantAndUnlock()
}

// changeLocked is Change; mu is held.
func (b *Budget) changeLocked(from, to int64) {
	b.used[shareOf(from)] -= from
	b.used[shareOf(to)] += to
}

// Tight reports whether little is left, or somebody waits. It costs a load of a word that
// is seldom written.
func (b *Budget) Tight() bool { return b != nil && b.tight.Load() }

// Learn notes that a response of an API (-1: unknown) takes n bytes.
func (b *Budget) Learn(api int16, n int64) {
	if b == nil || n <= SmallBytes {
		return
	}
	e := b.expectedOf(api)
	if old := e.Load(); n > old {
		e.CompareAndSwap(old, n) // else another goroutine stored a value that is as good
	}
}

// Unlearn notes that a response of the API was small although a large one was expected.
func (b *Budget) Unlearn(api int16) {
	e := b.expectedOf(api)
	old := e.Load()
	e.CompareAndSwap(old, old-old/8)
}

// Expect is how many bytes the next response of an API is expected to take: SmallestBytes
// unless there were large ones.
func (b *Budget) Expect(api int16) int64 {
	if n := b.expectedOf(api).Load(); n > SmallBytes {
		return n
	}
	return SmallestBytes
}

func (b *Budget) expectedOf(api int16) *atomic.Int64 { return &b.expected[(int(api)+1)&(apis-1)] }

// Room is how large one response may be now, in bytes: a part of what is free, and
// never less than SmallBytes.
func (b *Budget) Room() int64 {
	if b == nil {
		return 1 << 40
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return max(b.free()/roomDivisor, SmallBytes)
}

// Queue waits for n bytes. If there is room at once, Ticket.Granted is true. Otherwise
// ready is called when the turn has come: once, by any goroutine; it must not block. A
// Ticket larger than its share of the budget is granted alone.
func (b *Budget) Queue(n int64, ready func()) *Ticket {
	t := &Ticket{budget: b, n: n, share: shareOf(n), ready: ready}
	if b == nil {
		t.granted.Store(true)
		return t
	}
	b.mu.Lock()
	line := &b.queues[t.share]
	if line.Len() == 0 && b.fits(t.share, n) {
		b.used[t.share] += n
		t.granted.Store(true)
	} else {
		b.waited++
		t.queuedAt = time.Now()
		t.element = line.PushBack(t)
	}
	b.grantAndUnlock()
	return t
}

// Overdraw returns a Ticket for nothing, for a caller that must not wait. What it is spent
// for is counted, also beyond the bound.
func (b *Budget) Overdraw() *Ticket {
	t := &Ticket{budget: b}
	t.granted.Store(true)
	return t
}

// Max is the bound, in bytes; 0: no bound.
func (b *Budget) Max() int64 {
	if b == nil {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.max
}

// SetMax changes the bound. Bytes that are taken stay taken.
func (b *Budget) SetMax(max int64) {
	b.mu.Lock()
	b.max = max
	b.grantAndUnlock()
}

// Stats of a Budget.
type Stats struct {
	// Max is the bound, Used what is taken now, in bytes.
	Max, Used int64
	// Waiting is how many are queued now, Waited how many ever were.
	Waiting int
	Waited  uint64
}

// Stats reads the counts.
func (b *Budget) Stats() Stats {
	if b == nil {
		return Stats{}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return Stats{Max: b.max, Used: b.used[small] + b.used[large], Waiting: b.waiting(), Waited: b.waited}
}

// waiting is how many are queued. mu is held, as for all methods below.
func (b *Budget) waiting() int { return b.queues[small].Len() + b.queues[large].Len() }

func (b *Budget) largeMax() int64 { return b.max - b.max/smallDivisor }

// free is what is left for large responses.
func (b *Budget) free() int64 { return min(b.largeMax(), b.max-b.used[small]) - b.used[large] }

// fits reports whether n bytes more are within the bound of a share. The small share may
// use what is free of the large one while nobody waits for it, but not the other way
// round.
func (b *Budget) fits(s share, n int64) bool {
	if s == large {
		return b.used[large] == 0 || n <= b.free()
	}
	return b.used[small] == 0 || b.used[small]+n <= b.max/smallDivisor ||
		b.queues[large].Len() == 0 && b.used[small]+b.used[large]+n <= b.max
}

// grantAndUnlock grants the tickets whose turn has come, and unlocks mu.
func (b *Budget) grantAndUnlock() {
	var due []func()
	for _, s := range []share{large, small} { // Order: small ones may go once no large one waits
		line := &b.queues[s]
		for first := line.Front(); first != nil; first = line.Front() {
			t := first.Value.(*Ticket)
			if !b.fits(t.share, t.n) {
				break
			}
			line.Remove(first)
			t.element = nil
			b.used[s] += t.n
			t.granted.Store(true)
			due = append(due, t.ready)
		}
	}
	tight := b.waiting() > 0 || b.used[large] > b.largeMax()*3/4 || b.used[small] > b.max/smallDivisor/2
	if tight != b.tight.Load() {
		b.tight.Store(tight)
	}
	b.mu.Unlock()
	for _, ready := range due {
		ready()
	}
}

// Starved reports whether the first ticket of a queue has waited for so long.
func (b *Budget) Starved(long time.Duration) bool {
	if !b.Tight() {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for s := range b.queues {
		if first := b.queues[s].Front(); first != nil && time.Since(first.Value.(*Ticket).queuedAt) >= long {
			return true
		}
	}
	return false
}

// Ticket is a number of bytes that a caller has, or waits for.
type Ticket struct {
	budget   *Budget
	share    share
	ready    func()
	granted  atomic.Bool
	queuedAt time.Time     // to the line
	n        int64         // guarded by budget.mu
	element  *list.Element // guarded by budget.mu; nil: not in line
}

// Granted reports whether the caller has the bytes. Any goroutine.
func (t *Ticket) Granted() bool { return t.granted.Load() }

// Small reports whether the ticket is of the small share.
func (t *Ticket) Small() bool { return t.share == small }

// Release gives the bytes back, or leaves the queue. It may be called again.
func (t *Ticket) Release() { t.Shrink(0) }

// Shrink gives back what the ticket has beyond n bytes. A waiting ticket leaves the
// queue.
func (t *Ticket) Shrink(n int64) {
	b := t.budget
	if b == nil {
		return
	}
	b.mu.Lock()
	t.shrinkLocked(n)
	b.grantAndUnlock()
}

// ReplaceWith is Release and Change in one step, so that no other goroutine takes the bytes
// between them.
func (t *Ticket) ReplaceWith(from, to int64) {
	b := t.budget
	if b == nil {
		return
	}
	b.mu.Lock()
	t.shrinkLocked(0)
	b.changeLocked(from, to)
	b.grantAndUnlock()
}

func (t *Ticket) shrinkLocked(n int64) {
	if t.element != nil {
		t.budget.queues[t.share].Remove(t.element)
		t.element, t.n = nil, 0
	} else if n < t.n {
		t.budget.used[t.share] -= t.n - n
		t.n = n
	}
}
