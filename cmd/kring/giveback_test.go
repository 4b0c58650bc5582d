package main

import "testing"

// TestMemoryIsGivenBackOnceWhenItIsQuiet: not while garbage is collected anyway, and not
// again before there was some.
func TestMemoryIsGivenBackOnceWhenItIsQuiet(t *testing.T) {
	cycles, freed := uint64(0), 0
	q := quiet{cycles: func() uint64 { return cycles }, free: func() { freed++; cycles++ }}
	for i, step := range []struct {
		collected uint64
		freed     int
	}{{0, 0}, {0, 0}, {3, 0}, {2, 0}, {0, 1}, {0, 1}, {0, 1}, {1, 1}, {0, 2}, {0, 2}} {
		cycles += step.collected
		if q.look(); freed != step.freed {
			t.Errorf("step %d: given back %d times, want %d", i, freed, step.freed)
		}
	}
	if n := collections(); n > 1<<40 {
		t.Errorf("%d collections", n)
	}
}
