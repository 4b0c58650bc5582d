package measure

import "sync/atomic"

// Idleness measures how long its owner has slept, in nanoseconds.
type Idleness struct {
	since atomic.Int64 // when it fell asleep; 0 while it is awake
	total atomic.Int64 // of the sleeps that are over
}

// Sleep is called by the owner before it sleeps, Woke after.
func (i *Idleness) Sleep(now int64) { i.since.Store(now) }

// Woke ends a sleep, if there was one.
func (i *Idleness) Woke(now int64) {
	if since := i.since.Load(); since != 0 {
		// Order: since goes first. A reader that comes between misses this sleep
		// for a moment; the other way round it would count it twice.
		i.since.Store(0)
		i.total.Store(i.total.Load() + max(now-since, 0))
	}
}

// Nanos is the sum up to now, including the present sleep. Any goroutine.
func (i *Idleness) Nanos(now int64) int64 {
	for {
		since, total := i.since.Load(), i.total.Load()
		if i.since.Load() != since {
			continue // it woke or fell asleep meanwhile
		}
		if since != 0 {
			total += max(now-since, 0)
		}
		return total
	}
}

// Ratio is the share of alive that was idle, from 0 to 1; 1 if alive is 0. It is
// bounded because the two clocks are read at different moments (KAFKA-7354).
func Ratio(idle, alive int64) float64 {
	if alive <= 0 {
		return 1
	}
	return min(max(float64(idle)/float64(alive), 0), 1)
}
