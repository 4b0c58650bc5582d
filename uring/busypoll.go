//go:build linux

package uring

import (
	"runtime"
	"sync/atomic"
	"time"
)

// busyPoll looks for completions for a while before it sleeps.
//
// Kernel: any.
//
// Cost: a CPU. Off: with as many processors as CPUs it takes the time that the answer
// needs (20 µs of looking took 1 connection from 15.5 to 6.8 thousand requests a second on
// two CPUs).
var busyPoll = technique{
	asked: func(c *Config) bool { return c.BusyPoll > 0 },
	hooks: hooks{look: (*ringEngine).look},
}

// busyPoller decides how long an engine looks for completions before it sleeps: as
// long as that paid lately, and only while CPUs are free.
type busyPoller struct {
	habit
	looking *atomic.Int32 // engines of the Network that look right now
}

// habit is something that is worth doing before a sleep as long as it pays.
type habit struct {
	vain    uint // times in vain, less twice those that were not
	skipped int  // sleeps without it, since it pays no more
}

const (
	vainMax    = 5  // then it is given up for
	skippedMax = 64 // sleeps
)

// pays says whether to do it: then end follows, and skip otherwise.
func (h *habit) pays() bool { return h.vain < vainMax || h.skipped+1 >= skippedMax }

func (h *habit) skip() { h.skipped++ }

func (h *habit) end(paid bool) {
	h.skipped = 0
	if paid {
		h.vain -= min(h.vain, 2)
	} else {
		h.vain = min(h.vain+1, vainMax)
	}
}

// begin says for how long to look, at most for most; 0: not at all.
func (l *busyPoller) begin(c *Config) time.Duration {
	if !l.pays() {
		l.skip()
		return 0
	}
	if n := l.looking.Add(1); !c.BusyPollForced && int(n) > runtime.NumCPU()-c.BusyPollFreeCPUs {
		l.looking.Add(-1)
		return 0
	}
	return c.BusyPoll >> min(l.vain, vainMax)
}

// end follows a begin that said to look.
func (l *busyPoller) end(found bool) {
	l.looking.Add(-1)
	l.habit.end(found)
}

// look looks for completions before sleeping, at most for BusyPoll, and says
// whether the sleep is not needed. between is called between looks.
func (e *ringEngine) look(a *wakeupFlag, wait time.Duration, between func()) (bool, error) {
	if err := e.submitPending(); err != nil {
		return false, err
	}
	limit := e.busyPoller.begin(&e.config)
	if limit == 0 {
		return false, nil
	}
	found := false
	defer func() { e.busyPoller.end(found) }()
	if wait > 0 {
		limit = min(limit, wait)
	}
	for start := time.Now(); ; {
		if e.ring.NeedsEnter() {
			if err := e.submit(); err != nil {
				return false, err
			}
		}
		if e.ring.CQReady() > 0 || a.state.Load() == notified {
			found = true
			return true, nil
		}
		if time.Since(start) >= limit {
			return false, nil
		}
		if between != nil {
			between()
		}
	}
}
