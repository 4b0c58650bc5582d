package budget

import (
	"container/list"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// SmallBytes is the largest piece that counts in the small share. A quarter of
	// the budget is for that share alone, so that large responses which nobody reads
	// never keep small ones waiting.
	SmallBytes = 64 << 10
	smallPart  = 4
	// SmallestBytes is what a response is taken for that nobody knows anything of.
	SmallestBytes = 4 << 10
	// roomPart is which part of what is free one response may take. So the more is
	// taken, the less one more connection gets, and there is always some left.
	roomPart = 16
	// apis is how many APIs are told apart.
	apis = 128
)

// Budget is a number of bytes that responses may take. What is taken is always
// counted, also beyond the bound: memory that exists can't be refused any more. The
// bound is kept by those who ask before. nil bounds nothing.
type Budget struct {
	// tight is read before every request and seldom written; it has a line of the
	// cache to itself.
	tight atomic.Bool
	_     [127]byte
	// expected is by API, one beyond its key, how large the last large responses were.
	expected [apis]atomic.Int64

	mu     sync.Mutex
	max    int64             // guarded by mu
	used   [shares]int64     // guarded by mu
	lines  [shares]list.List // guarded by mu; of *Ticket, the first comes next
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

// Change counts a piece that had from bytes and has to bytes from now on: from is 0
// when it is taken, to is 0 when it was given back. It never waits and never fails.
func (b *Budget) Change(from, to int64) {
	if b == nil || from == to {
		return
	}
	b.mu.Lock()
	b.change(from, to)
	b.settle()
}

// change is Change; mu is held.
func (b *Budget) change(from, to int64) {
	b.used[shareOf(from)] -= from
	b.used[shareOf(to)] += to
}

// Tight says that little is left, or somebody waits. It costs a load of a word that
// is seldom written.
func (b *Budget) Tight() bool { return b != nil && b.tight.Load() }

// Learn notes that a response of an API, -1 when nobody can say which, takes n bytes.
func (b *Budget) Learn(api int16, n int64) {
	if b == nil || n <= SmallBytes {
		return
	}
	e := b.of(api)
	if old := e.Load(); n > old {
		e.CompareAndSwap(old, n) // else somebody else has learned something as good
	}
}

// Unlearn notes that a response of the API was small, though a large one was expected.
func (b *Budget) Unlearn(api int16) {
	e := b.of(api)
	old := e.Load()
	e.CompareAndSwap(old, old-old/8)
}

// Expect is how much the next response of an API may take: SmallestBytes unless there
// were large ones.
func (b *Budget) Expect(api int16) int64 {
	if n := b.of(api).Load(); n > SmallBytes {
		return n
	}
	return SmallestBytes
}

func (b *Budget) of(api int16) *atomic.Int64 { return &b.expected[(int(api)+1)&(apis-1)] }

// Room is how large one response may be now, in bytes: a part of what is free, and
// never less than SmallBytes.
func (b *Budget) Room() int64 {
	if b == nil {
		return 1 << 40
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return max(b.free()/roomPart, SmallBytes)
}

// Line asks for n bytes. There may be room at once (Ticket.Granted); otherwise ready
// is called when the turn has come: by any goroutine, once, and it must not block. What
// is more than its share of the budget goes alone.
func (b *Budget) Line(n int64, ready func()) *Ticket {
	t := &Ticket{budget: b, n: n, share: shareOf(n), ready: ready}
	if b == nil {
		t.granted.Store(true)
		return t
	}
	b.mu.Lock()
	line := &b.lines[t.share]
	if line.Len() == 0 && b.fits(t.share, n) {
		b.used[t.share] += n
		t.granted.Store(true)
	} else {
		b.waited++
		t.came = time.Now()
		t.place = line.PushBack(t)
	}
	b.settle()
	return t
}

// Max is the bound, in bytes; 0: there is none.
func (b *Budget) Max() int64 {
	if b == nil {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.max
}

// SetMax changes the bound. What is taken stays.
func (b *Budget) SetMax(max int64) {
	b.mu.Lock()
	b.max = max
	b.settle()
}

// Stats of a Budget.
type Stats struct {
	// Max is the bound, Used what is taken now, in bytes.
	Max, Used int64
	// Waiting stand in line now; Waited ever did.
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

// waiting is how many stand in line. mu is held, as for all that follow.
func (b *Budget) waiting() int { return b.lines[small].Len() + b.lines[large].Len() }

func (b *Budget) largeMax() int64 { return b.max - b.max/smallPart }

// free is what both shares leave to large responses.
func (b *Budget) free() int64 { return min(b.largeMax(), b.max-b.used[small]) - b.used[large] }

// fits says whether n bytes more are within the bound of a share. What is free of the
// large one may be taken by the other while nobody wants it, but not the other way round.
func (b *Budget) fits(s share, n int64) bool {
	if s == large {
		return b.used[large] == 0 || n <= b.free()
	}
	return b.used[small] == 0 || b.used[small]+n <= b.max/smallPart ||
		b.lines[large].Len() == 0 && b.used[small]+b.used[large]+n <= b.max
}

// settle lets those go whose turn has come, and unlocks mu.
func (b *Budget) settle() {
	var due []func()
	for _, s := range []share{large, small} { // Order: small ones may go once no large one waits
		line := &b.lines[s]
		for first := line.Front(); first != nil; first = line.Front() {
			t := first.Value.(*Ticket)
			if !b.fits(t.share, t.n) {
				break
			}
			line.Remove(first)
			t.place = nil
			b.used[s] += t.n
			t.granted.Store(true)
			due = append(due, t.ready)
		}
	}
	tight := b.waiting() > 0 || b.used[large] > b.largeMax()*3/4 || b.used[small] > b.max/smallPart/2
	if tight != b.tight.Load() {
		b.tight.Store(tight)
	}
	b.mu.Unlock()
	for _, ready := range due {
		ready()
	}
}

// Starved says that somebody has stood in front of a line for so long.
func (b *Budget) Starved(long time.Duration) bool {
	if !b.Tight() {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for s := range b.lines {
		if first := b.lines[s].Front(); first != nil && time.Since(first.Value.(*Ticket).came) >= long {
			return true
		}
	}
	return false
}

// Ticket is a number of bytes that somebody has, or waits for.
type Ticket struct {
	budget  *Budget
	share   share
	ready   func()
	granted atomic.Bool
	came    time.Time     // to the line
	n       int64         // guarded by budget.mu
	place   *list.Element // guarded by budget.mu; nil: not in line
}

// Granted says that the bytes are there. Any goroutine.
func (t *Ticket) Granted() bool { return t.granted.Load() }

// Small says that the ticket is of the small share.
func (t *Ticket) Small() bool { return t.share == small }

// Release gives the bytes back, or leaves the line. It may be called again.
func (t *Ticket) Release() { t.Shrink(0) }

// Shrink gives back what the ticket has beyond n bytes; one that still waits leaves
// the line.
func (t *Ticket) Shrink(n int64) {
	b := t.budget
	if b == nil {
		return
	}
	b.mu.Lock()
	t.shrink(n)
	b.settle()
}

// Spend is Release and Change at once, so that nobody comes between.
func (t *Ticket) Spend(from, to int64) {
	b := t.budget
	if b == nil {
		return
	}
	b.mu.Lock()
	t.shrink(0)
	b.change(from, to)
	b.settle()
}

func (t *Ticket) shrink(n int64) {
	if t.place != nil {
		t.budget.lines[t.share].Remove(t.place)
		t.place, t.n = nil, 0
	} else if n < t.n {
		t.budget.used[t.share] -= t.n - n
		t.n = n
	}
}
