package acceptor

import (
	"sync"
	"sync/atomic"

	"kring/engine"
)

// adopted are connected descriptors that somebody else made, in the order in which they
// came. They wait as clients do in the kernel's queue.
type adopted struct {
	waiting atomic.Int64 // length of fds: the owner takes no lock while it is 0

	mu     sync.Mutex
	fds    []engine.FD // guarded by mu
	closed bool        // guarded by mu
}

// Adopt takes a connected descriptor as if it had been accepted here: every limit and
// every count holds for it. false means that as many wait as the backlog holds, or that the
// Acceptor accepts no more; then fd stays the caller's. Any goroutine.
func (a *Acceptor) Adopt(fd engine.FD) bool {
	if a.stopRequested.Load() || !a.adopted.add(fd, max(a.cfg.Listen.Backlog, waitingMin)) {
		return false
	}
	if wake := a.wake.Load(); wake != nil {
		(*wake)()
	}
	return true
}

func (q *adopted) add(fd engine.FD, most int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || len(q.fds) >= most {
		return false
	}
	q.fds = append(q.fds, fd)
	q.waiting.Add(1)
	return true
}

func (q *adopted) next() (fd engine.FD, ok bool) {
	if q.waiting.Load() == 0 {
		return fd, false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	fd, q.fds = q.fds[0], q.fds[1:]
	q.waiting.Add(-1)
	return fd, true
}

// close returns those that wait, and takes no more.
func (q *adopted) close() []engine.FD {
	q.mu.Lock()
	defer q.mu.Unlock()
	left := q.fds
	q.fds, q.closed = nil, true
	q.waiting.Store(0)
	return left
}
