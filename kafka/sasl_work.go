package kafka

import (
	"net/netip"
	"sync"

	"kring/internal/fairqueue"
)

// saslLine runs what a mechanism has to do: on at most runningMax goroutines, which end when
// there is nothing left, with at most waitingMax in line. Each mechanism has one of its own:
// a flood of wrong passwords does not keep those waiting who come by SCRAM. In the line each
// address has its turn, so that flood keeps others by PLAIN waiting for one password at most.
type saslLine struct {
	runningMax, waitingMax int

	mu      sync.Mutex
	running int                       // guarded by mu
	waiting fairqueue.Queue[saslWork] // guarded by mu
}

// saslWork is what waits. One of the two is called. drop must not block; run recovers from
// panics, and may end its goroutine (runtime.Goexit).
type saslWork struct{ run, drop func() }

// start has w run, soon, for a client at key. false: too many wait, and its address has as
// many of these as any other. If it has fewer, one of another address is dropped.
func (l *saslLine) start(key netip.Prefix, w saslWork) bool {
	l.mu.Lock()
	if l.running < l.runningMax {
		l.running++
		l.mu.Unlock()
		go l.run(w)
		return true
	}
	dropped, full := saslWork{}, l.waiting.Len() >= l.waitingMax
	if full {
		var made bool
		if dropped, made = l.waiting.DropFor(key); !made {
			l.mu.Unlock()
			return false
		}
	}
	l.waiting.Push(key, w)
	l.mu.Unlock()
	if full {
		dropped.drop()
	}
	return true
}

// run runs w, and what waits behind it. When a work ends the goroutine, another goes on.
func (l *saslLine) run(w saslWork) {
	whole := false
	defer func() {
		if whole {
			return
		}
		if next, more := l.next(); more {
			go l.run(next)
		}
	}()
	for more := true; more; {
		w.run()
		w, more = l.next()
	}
	whole = true
}

func (l *saslLine) next() (w saslWork, more bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if w, more = l.waiting.Pop(); !more {
		l.running--
	}
	return w, more
}

func (l *saslLine) waitingNow() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.waiting.Len()
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
