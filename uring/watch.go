//go:build linux

package uring

import (
	"golang.org/x/sys/unix"

	"kring/engine"
)

// A multishot receive does not see a connection's reset when it comes with
// data, or while the data is on its way to us: the kernel takes the data,
// trusts TCP's hint that nothing is left (it counts a FIN, not an RST), and
// waits for a wake-up that was already spent. So each multishot receive has a
// watch beside it: a poll for errors and hang-ups, once. When it fires the
// receive is cancelled, out of the owner's sight, and goes on as single
// receives, each of which looks afresh.
//
// Kernel: seen on 6.18, and by its source since multishot receive came (6.0).

// armWatch begins to watch fd.
func (e *ringEngine) armWatch(fd engine.FD, s *socket) {
	q := e.sqe()
	q.PrepPollAdd(int32(fd), 0) // errors and hang-ups are always reported
	s.watch = e.nextSequence()
	s.watches++
	q.UserData = userData(opWatch, s.watch, fd)
	e.counts(q)
}

// endWatch ends the watch with its receive: a watch left behind would hold the
// socket open over its close.
func (e *ringEngine) endWatch(fd engine.FD, s *socket) {
	if s.watch != 0 {
		e.cancel(opWatch, s.watch, fd)
		s.watch = 0
	}
}

// watchDone: the watch fired, or ended.
func (e *ringEngine) watchDone(q *CQE, fd engine.FD) {
	e.inflight--
	s := e.sockets.of(fd)
	s.watches--
	if s.watch == sequenceOf(q) {
		s.watch = 0
		switch {
		case q.Res < 0: // it lost the thread it was armed on, see transient
			e.armWatch(fd, s)
		case s.in.op == engine.OpRecv:
			s.hungUp = true
			// A finished peer (RDHUP alone) ends the receive by itself.
			if q.Res&(unix.POLLERR|unix.POLLHUP) != 0 && !s.in.starved {
				e.cancel(s.in.op, s.in.sequence, fd)
			}
		}
	}
	if s.watches == 0 && s.out.op == engine.OpClose {
		e.armClose(fd, s)
	}
}
