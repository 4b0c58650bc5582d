package main

import (
	"io"
	"sync"
	"time"
)

// lines is a writer that nobody waits for: what it is given stands in a bounded
// queue until its own goroutine has written it. While whoever reads the other end
// does not (a full pipe, a stopped terminal), the queue fills, and lines beyond it
// are dropped and counted; a line says how many, as soon as there is room.
//
// Every call of Write is one or several whole lines.
type lines struct {
	to   io.Writer
	told func(error)   // of the first failure of to, by the goroutine; may be nil
	wake chan struct{} // holds one: there is something to do
	done chan struct{} // closed when the goroutine has ended

	mu      sync.Mutex
	queue   []byte                // guarded by mu; at most linesQueuedMax
	dropped uint64                // guarded by mu; since the last that said so
	says    func(n uint64) []byte // guarded by mu; the line about n that were dropped
	ended   bool                  // guarded by mu
}

const (
	// linesQueuedMax are the bytes that may wait. As many again are with the system.
	linesQueuedMax = 1 << 20
	// linesPatience is how long the end waits for whoever reads.
	linesPatience = time.Second
)

func newLines(to io.Writer, told func(error)) *lines {
	l := &lines{
		to: to, told: told, wake: make(chan struct{}, 1), done: make(chan struct{}),
		says: func(uint64) []byte { return []byte("kring: lines were dropped: nobody reads them\n") },
	}
	go l.write()
	return l
}

// saying sets what the line about dropped ones looks like.
func (l *lines) saying(says func(n uint64) []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.says = says
}

// Write queues p, or drops it. It never fails and never blocks.
func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended || len(l.queue)+len(p) > linesQueuedMax {
		l.dropped++
		return len(p), nil
	}
	l.sayDropped()
	l.queue = append(l.queue, p...)
	l.rouse()
	return len(p), nil
}

// sayDropped queues the line about what is missing, where it is missing. mu is
// held.
func (l *lines) sayDropped() {
	if l.dropped > 0 {
		l.queue = append(l.queue, l.says(l.dropped)...)
		l.dropped = 0
	}
}

func (l *lines) rouse() {
	select {
	case l.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// write is the goroutine's.
func (l *lines) write() {
	defer close(l.done)
	var batch []byte
	for range l.wake {
		for {
			var ended bool
			if batch, ended = l.take(batch[:0]); len(batch) == 0 {
				if ended {
					return
				}
				break
			}
			if _, err := l.to.Write(batch); err != nil && l.told != nil {
				l.told(err)
				l.told = nil
			}
		}
	}
}

// take gives what is queued, and leaves the memory of the last batch in its place.
func (l *lines) take(last []byte) (batch []byte, ended bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) == 0 {
		l.sayDropped()
	}
	batch, l.queue = l.queue, last
	return batch, l.ended
}

// end writes what is queued, and waits for that for a moment: the process is about
// to exit, and whoever does not read now would keep it for ever.
func (l *lines) end() {
	l.mu.Lock()
	l.ended = true
	l.rouse()
	l.mu.Unlock()
	patience := time.NewTimer(linesPatience)
	defer patience.Stop()
	select {
	case <-l.done:
	case <-patience.C:
	}
}
