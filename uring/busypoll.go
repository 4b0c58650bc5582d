//go:build linux

package uring

import (
	"runtime"
	"sync/atomic"
	"time"
)

// lookout decides how long an engine looks for completions before it sleeps: as
// long as that paid lately, and only while CPUs are free.
type lookout struct {
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
func (l *lookout) begin(c *Config) time.Duration {
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
func (l *lookout) end(found bool) {
	l.looking.Add(-1)
	l.habit.end(found)
}
