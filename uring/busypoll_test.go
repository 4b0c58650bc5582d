//go:build linux

package uring

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

// TestBusyPollingAdaptsToWhatItBrings: looks in vain become shorter and then
// rare, and come back when they pay.
func TestBusyPollingAdaptsToWhatItBrings(t *testing.T) {
	var looking atomic.Int32
	l := busyPoller{looking: &looking}
	c := Config{BusyPoll: 32 * time.Microsecond, BusyPollForced: true}
	for want := c.BusyPoll; want > c.BusyPoll>>vainMax; want /= 2 {
		if got := l.begin(&c); got != want {
			t.Fatalf("looks for %v, want %v", got, want)
		}
		l.end(false)
	}
	looks := 0
	for range 10 * skippedMax {
		if l.begin(&c) > 0 {
			looks++
			l.end(false)
		}
	}
	if looks != 10 {
		t.Errorf("%d looks in %d sleeps, of which none paid", looks, 10*skippedMax)
	}
	for l.begin(&c) == 0 {
	}
	for range 3 {
		l.end(true)
		if l.begin(&c) == 0 {
			t.Fatal("a look that paid is the last")
		}
	}
	l.end(true)
	if got := l.begin(&c); got != c.BusyPoll {
		t.Errorf("looks for %v when it always pays, want %v", got, c.BusyPoll)
	}
}

// TestBusyPollingLeavesCPUsFree for those who compute.
func TestBusyPollingLeavesCPUsFree(t *testing.T) {
	var looking atomic.Int32
	c := Config{BusyPoll: time.Microsecond, BusyPollFreeCPUs: runtime.NumCPU() - 1}
	first, second := busyPoller{looking: &looking}, busyPoller{looking: &looking}
	if first.begin(&c) == 0 {
		t.Fatal("the first does not look, with a CPU for it")
	}
	if second.begin(&c) != 0 {
		t.Error("the second looks, with no CPU for it")
	}
	first.end(true)
	if second.begin(&c) == 0 {
		t.Error("the second does not look after the first")
	}
}
