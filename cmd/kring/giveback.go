package main

import (
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// giveBackEvery is how long no garbage collection has run before the memory of the last
// peak is given back. By itself an idle Go program collects every two minutes and gives
// back slowly.
const giveBackEvery = 10 * time.Second

// giveBack gives memory back to the system when the program is idle, until end is called.
func giveBack() (end func()) {
	done := make(chan struct{})
	go func() {
		tick := time.NewTicker(giveBackEvery)
		defer tick.Stop()
		q := quiet{cycles: collections, free: debug.FreeOSMemory}
		for {
			select {
			case <-tick.C:
				q.look()
			case <-done:
				return
			}
		}
	}()
	return func() { close(done) }
}

// quiet frees memory once after each burst of garbage collections.
type quiet struct {
	cycles func() uint64
	free   func()

	seen  uint64 // cycles at the last look
	freed uint64 // cycles after the last free
}

func (q *quiet) look() {
	n := q.cycles()
	if n == q.seen && n != q.freed {
		q.free()
		n = q.cycles()
		q.freed = n
	}
	q.seen = n
}

// collections returns the number of garbage collections.
func collections() uint64 {
	sample := []metrics.Sample{{Name: "/gc/cycles/total:gc-cycles"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
