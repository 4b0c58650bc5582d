package main

import (
	"io"
	"sync"
	"time"
)

// lines is a writer that never blocks. What is written is queued, in a bounded queue,
// and its own goroutine writes it. If the reader of the other end does not read (a
// full pipe, a stopped terminal), the queue fills, and further lines are dropped and
// counted. As soon as there is room, a line says how many.
//
// Every call of Write has one or several whole lines.
type lines struct {
	to   io.Writer
	told func(error)   // called by the goroutine with the first error of to; may be nil
	wake chan struct{} // capacity 1: there is something to do
	done chan struct{} // closed when the goroutine has ended

	mu      sync.Mutex
	queue   []byte                // guarded by mu; at most linesQueuedMax
	dropped uint64                // guarded by mu; since the last line that said so
	says    func(n uint64) []byte // guarded by mu; makes the line about n dropped ones
	ended   bool                  // guarded by mu
}

const (
	// linesQueuedMax bounds the bytes that wait. As many may be in the write under way.
	linesQueuedMax = 1 << 20
	// linesPatience is how long end waits for the reader.
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

// saying sets the function that makes the line about dropped ones.
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

// sayDropped queues the line about dropped lines, in their place. mu is held.
func (l *lines) sayDropped() {
	if l.dropped > 0 {
		l.queue = append(l.queue, l.says(l.dropped)...)
		l.dropped = 0
	}
}

func (l *lines) rouse() {
	select {
	case l.wake <- struct{}{}:
	default: // it will look without another signal
	}
}

// write is the goroutine that writes.
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

// take returns what is queued, and puts the memory of the last batch in its place.
func (l *lines) take(last []byte) (batch []byte, ended bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) == 0 {
		l.sayDropped()
	}
	batch, l.queue = l.queue, last
	return batch, l.ended
}

// end writes what is queued and waits for that, linesPatience at most: the process is
// about to exit, and a reader that does not read must not keep it for ever.
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
