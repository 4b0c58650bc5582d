package kafka

import "sync"

// saslLine runs what a mechanism has to do: on at most runningMax goroutines, which end when
// there is nothing left, with at most waitingMax in line. Each mechanism has one of its own:
// a flood of wrong passwords does not keep those waiting who come by SCRAM.
type saslLine struct {
	runningMax, waitingMax int

	mu      sync.Mutex
	running int
	waiting []func() // the oldest first
}

// start runs f, soon. false: too many wait.
func (l *saslLine) start(f func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.running < l.runningMax {
		l.running++
		go l.run(f)
		return true
	}
	if len(l.waiting) >= l.waitingMax {
		return false
	}
	l.waiting = append(l.waiting, f)
	return true
}

func (l *saslLine) run(f func()) {
	for f != nil {
		f()
		f = l.next()
	}
}

func (l *saslLine) next() func() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) == 0 {
		l.running, l.waiting = l.running-1, nil
		return nil
	}
	f := l.waiting[0]
	l.waiting[0] = nil
	l.waiting = l.waiting[1:]
	return f
}

func (l *saslLine) waitingNow() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.waiting)
}

// saslDelays bounds how many failures wait to be told. ends is a ring of when the last so
// many end. All wait for the same time, so the next place is the one that is free first.
type saslDelays struct {
	mu   sync.Mutex
	ends []int64 // guarded by mu; instants, in order from at on
	at   int
}

// take takes a place until end; false: there is none at the instant now.
func (d *saslDelays) take(now, end int64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ends[d.at] > now {
		return false
	}
	d.ends[d.at] = end
	d.at = (d.at + 1) % len(d.ends)
	return true
}
