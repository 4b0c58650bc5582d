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
	looking *atomic.Int32 // engines of the Network that look right now
	vain    uint          // looks in vain, less twice those that were not
	skipped int           // sleeps without a look, since it pays no more
}

const (
	vainMax    = 5  // then looking is given up for
	skippedMax = 64 // sleeps
)

// begin says for how long to look, at most for most; 0: not at all.
func (l *lookout) begin(c *Config) time.Duration {
	if l.vain >= vainMax {
		if l.skipped++; l.skipped < skippedMax {
			return 0
		}
		l.skipped = 0
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
	if found {
		l.vain -= min(l.vain, 2)
	} else {
		l.vain = min(l.vain+1, vainMax)
	}
}
