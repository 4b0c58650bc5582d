package main

import (
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// giveBackEvery is how long no garbage collection may have run before memory is given
// back that the last peak has left: Go by itself collects every two minutes then, and
// gives back slowly.
const giveBackEvery = 10 * time.Second

// giveBack gives memory back to the system when it is quiet, until end is called.
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

// quiet frees once after each time in which garbage was collected.
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

// collections is how many garbage collections there were.
func collections() uint64 {
	sample := []metrics.Sample{{Name: "/gc/cycles/total:gc-cycles"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
