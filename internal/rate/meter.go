package rate

import (
	"math"
	"sync/atomic"
	"time"

	"kring/internal/fault"
)

// Windows are the time over which a rate is measured. The zero value is Kafka's: 11
// windows of one second.
type Windows struct {
	// Count of windows, the current one included [quota.window.num]; default 11.
	Count int
	// Size of one window [quota.window.size.seconds]; default one second.
	Size time.Duration
}

const (
	windowsDefault = 11
	windowDefault  = time.Second
	windowsMax     = 3600
	windowMin      = time.Millisecond
	elapsedMin     = int64(time.Millisecond) // a rate is never divided by less
)

// WithDefaults fills what is zero.
func (w Windows) WithDefaults() Windows {
	if w.Count == 0 {
		w.Count = windowsDefault
	}
	if w.Size == 0 {
		w.Size = windowDefault
	}
	return w
}

// Validate names every fault at once; zero values are right.
func (w Windows) Validate() error {
	w = w.WithDefaults()
	var f fault.List
	f.Add(w.Count < 1 || w.Count > windowsMax, "Count", "is %d: choose 1 to %d windows", w.Count, windowsMax)
	f.Add(w.Size < windowMin || w.Size > time.Hour, "Size", "is %v: choose %v to %v", w.Size, windowMin, time.Hour)
	return f.Err("")
}

// Meter is a rate over the last windows. Any goroutine may use it. Times are
// nanoseconds of one monotonic clock of the caller's; they may be a little out
// of order between goroutines.
type Meter struct {
	size   int64
	origin int64 // when the first window begins
	// windows hold, each, the number of the window that last used it and the sum
	// that was recorded in that one: see pack.
	windows []atomic.Uint64
}

// New makes a Meter whose first window begins now.
func New(w Windows, now int64) *Meter {
	w = w.WithDefaults()
	m := &Meter{size: int64(w.Size), origin: now, windows: make([]atomic.Uint64, w.Count)}
	for i := range m.windows {
		m.windows[i].Store(pack(uint64(i), 0))
	}
	return m
}

// Record adds n units. A negative n takes back units that were recorded and did not
// happen.
func (m *Meter) Record(now, n int64) {
	n = min(max(n, -sumMax), sumMax)
	number := m.number(now)
	slot := &m.windows[number%uint64(len(m.windows))]
	for {
		old := slot.Load()
		sum := n
		// A slower goroutine may come with a time before the window: it counts too.
		if windowsAfter(old, number) >= 0 {
			sum += sumOf(old)
			number += uint64(windowsAfter(old, number))
		}
		if slot.CompareAndSwap(old, pack(number, sum)) {
			return
		}
	}
}

// Total is the sum over the windows that count.
func (m *Meter) Total(now int64) int64 {
	number, total := m.number(now), int64(0)
	for i := range m.windows {
		w := m.windows[i].Load()
		if windowsAfter(w, number) > -int64(len(m.windows)) {
			total += sumOf(w)
		}
	}
	return max(total, 0)
}

// Rate is in units per second.
func (m *Meter) Rate(now int64) float64 {
	return float64(m.Total(now)) / m.elapsed(now)
}

// Throttle is how long a client must wait for the rate to come down to limit
// (units per second), if nothing else is recorded: Kafka's (O-T)/T*W, with O
// the rate, T the limit and W the time it is measured over. It is 0 at the
// limit and below. A limit of 0 or less allows nothing and returns the longest
// Duration: the caller has a bound of its own.
func (m *Meter) Throttle(now int64, limit float64) time.Duration {
	total, elapsed := float64(m.Total(now)), m.elapsed(now)
	if total <= limit*elapsed {
		return 0
	}
	// (O-T)/T*W with O = total/W.
	nanos := (total/limit - elapsed) * float64(time.Second)
	if limit <= 0 || nanos >= math.MaxInt64 {
		return math.MaxInt64
	}
	return max(time.Duration(nanos), 1)
}

// elapsed is the time that Total covers, in seconds: all windows but the
// current one, whether or not the meter is that old, and of the current one
// what has passed.
func (m *Meter) elapsed(now int64) float64 {
	passed := max(now-m.origin, 0) % m.size
	full := int64(len(m.windows)-1) * m.size
	return float64(max(full+passed, elapsedMin)) / float64(time.Second)
}

// number of the window that now lies in.
func (m *Meter) number(now int64) uint64 { return uint64(max(now-m.origin, 0) / m.size) }

// A window's word: 24 bits of its number above 40 bits of its signed sum. The
// number wraps after 2^24 windows (194 days of seconds): a meter that was not
// used for exactly so long counts one old window again.
const (
	sumBits = 40
	sumMax  = 1<<(sumBits-1) - 1
	signBit = 64 - 24 // shifts a number of 24 bits to the top, for its sign
)

func pack(number uint64, sum int64) uint64 {
	return number<<sumBits | uint64(min(max(sum, -sumMax), sumMax))&(1<<sumBits-1)
}

func sumOf(w uint64) int64 { return int64(w<<(64-sumBits)) >> (64 - sumBits) }

// windowsAfter is how many windows w is after number; negative: before it.
func windowsAfter(w, number uint64) int64 { return int64((w>>sumBits-number)<<signBit) >> signBit }
