//go:build linux

package uring

import (
	"golang.org/x/sys/unix"

	"kring/engine"
)

// backpressure has receives take turns when not all of them can have what they want: a
// buffer, of which there are fewer than ready sockets, or the owner's time, when the kernel
// completes more than a Poll takes.
//
// The kernel serves receives in the order in which they were armed. One that has much to
// receive takes up to 32 buffers in its turn, or all that there are, and the others end
// without any. Armed again in the order of their ends they come behind it for ever: with 4
// buffers, one flooding connection kept another waiting for 70,000 of its completions. What
// a parked engine's kernel completes in one call has no bound either: with thousands of
// ready sockets it fills every buffer, and by the time that the owner comes to one of them,
// its socket has left the cache.
//
// So all receives are then armed by refill alone: as many as there are buffers, and as Poll
// will take. What is not armed waits in its socket. Those that found no buffer in the last
// round come first. Each brings one completion and comes behind the others again, and a
// multishot receive that stands is ended, because it would be served as often as it has
// data.
//
// Invariant: while turns are taken, no connection is served more than twice while another's
// data waits, or three times if buffers are short. The exception is what multishot receives
// had completed before they were ended.
type backpressure struct {
	short         int         // Polls until receives need not take turns any more
	rounds        uint64      // of refill, which order who was served when
	overdue       []engine.FD // receives to be armed that got nothing in the last round
	pendingRearms []engine.FD // the others
}

// shortPolls is for how many Polls after the last receive that could not be armed,
// or found no buffer, the next is expected.
const shortPolls = 64

// waits says that receives wait for their turn.
func (r *backpressure) waits() bool { return len(r.overdue)+len(r.pendingRearms) > 0 }

// takeTurn arms a receive: now, or in its turn.
func (e *ringEngine) takeTurn(fd engine.FD, s *socket, pollFirst bool) {
	switch {
	case e.short == 0:
		e.armRecv(fd, s, pollFirst)
		return
	case s.overdue:
		e.overdue = append(e.overdue, fd)
	default:
		e.pendingRearms = append(e.pendingRearms, fd)
	}
	s.in.starved = true
}

// starved handles a receive that found no buffer with the kernel. That is the
// owner's business only if every buffer is lent: then a Recycle will come.
func (e *ringEngine) starved(fd engine.FD, s *socket, c *engine.Completion) bool {
	lent := e.window.exhausted()
	if s.in.cancelled {
		c.Res = engine.Failed(unix.ECANCELED)
		return false
	}
	e.short = shortPolls
	s.overdue = s.served < e.rounds
	if lent {
		e.total.exhausted++
		return false
	}
	e.total.starved++
	e.total.rearmed++
	e.takeTurn(fd, s, true)
	return true
}

// crowded is told, after a Poll has taken up to taken completions, how many more the
// kernel had: with as many again, the owner is behind.
func (e *ringEngine) crowded(taken int) {
	if e.unreaped() >= taken {
		e.short = shortPolls
	}
}

// unreaped is how many CQEs lie there for the next Polls.
func (e *ringEngine) unreaped() int { return int(e.ring.CQReady()) + len(e.spill) }

// comeBack ends a multishot receive that stands while others take turns. What it
// had to receive until then it receives.
func (e *ringEngine) comeBack(fd engine.FD, s *socket) {
	if e.short > 0 && !s.in.cancelled && !s.in.comingBack {
		s.in.comingBack = true
		e.cancel(s.in.op, s.in.sequence, fd)
	}
}

// refill arms as many of those that wait as there are buffers now, and as the next
// Poll will take, which is up to taken completions: at least one, so that nobody
// waits for longer than so many Polls as there are receives before it. Order: after
// the window was published, and never while CQEs are reaped: sockets with data
// would meet the same empty window, again and again, before the owner could
// recycle anything.
func (e *ringEngine) refill(taken int) {
	e.short--
	e.rounds++
	room := taken - e.unreaped() - int(e.ring.SQPending())
	n := min(e.freeBuffers(), max(room, 1))
	e.overdue, n = e.arm(e.overdue, n)
	e.pendingRearms, _ = e.arm(e.pendingRearms, n)
	if e.waits() {
		e.short = shortPolls
	}
}

// freeBuffers is how many receives are armed now. Of the buffers given to the kernel
// it leaves out those that lie filled in CQEs which nobody has reaped; half of the
// others are for receives that were armed before and get their data in the meantime.
// With every buffer lent it is 1: that receive's end tells its owner to recycle.
func (e *ringEngine) freeBuffers() int {
	w := e.window
	filled := e.ring.readyBuffers(w)
	for i := range e.spill {
		filled += w.filledBy(&e.spill[i])
	}
	if w.given == 0 && filled == 0 {
		return 1
	}
	return max((w.given-filled+1)/2, 0)
}

// filledBy is how many buffers a CQE brings, at most: some may be shared with others.
func (w *window) filledBy(q *CQE) int {
	if q.Flags&CQEBuffer == 0 {
		return 0
	}
	return max((int(q.Res)+w.size-1)/w.size, 1)
}

// arm arms up to n of the receives in queue, and returns who still waits and
// what is left of n. They look for data at once: after the wait there is mostly
// some. With every buffer lent they would end at once, data or not.
func (e *ringEngine) arm(queue []engine.FD, n int) ([]engine.FD, int) {
	k := min(len(queue), n)
	pollFirst := e.window.given == 0
	for _, fd := range queue[:k] {
		s := e.sockets.of(fd)
		s.in.starved = false
		e.armRecv(fd, s, pollFirst)
		if s.in.cancelled {
			e.cancel(s.in.op, s.in.sequence, fd)
		}
	}
	return queue[:copy(queue, queue[k:])], n - k
}
