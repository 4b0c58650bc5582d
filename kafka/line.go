package kafka

import (
	"net/netip"
	"sync"

	"kring/internal/fairqueue"
)

// line runs what takes too long for a processor: on at most runningMax goroutines, which end
// when there is nothing left, with at most waitingMax in line. In the line each address has
// its turn, so that a flood of one keeps the others waiting for one work of it at most.
type line struct {
	runningMax, waitingMax int

	mu      sync.Mutex
	running int                   // guarded by mu
	waiting fairqueue.Queue[work] // guarded by mu
}

// work is what waits. Either run or drop is called. drop must not block. failed is called behind a
// run that panicked, or ended its goroutine (runtime.Goexit). What it panicked with is shown to
// nobody: it may have a secret in it.
type work struct{ run, drop, failed func() }

// start has w run, soon, for a client at key. false: too many wait, and its address has as
// many of these as any other. If it has fewer, one of another address is dropped.
func (l *line) start(key netip.Prefix, w work) bool {
	l.mu.Lock()
	if l.running < l.runningMax {
		l.running++
		l.mu.Unlock()
		go l.run(w)
		return true
	}
	dropped, full := work{}, l.waiting.Len() >= l.waitingMax
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

// run runs w, and what waits behind it. When a work does not return, another goroutine goes on.
func (l *line) run(w work) {
	whole := false
	defer func() {
		if whole {
			return
		}
		_ = recover() // nil: it ended the goroutine
		w.failed()
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

func (l *line) next() (w work, more bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if w, more = l.waiting.Pop(); !more {
		l.running--
	}
	return w, more
}

func (l *line) waitingNow() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.waiting.Len()
}
