//go:build linux

package uring

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"kring/engine"
	"kring/internal/sock"
)

// Connect hands connect(2) to the kernel, which waits for its end by poll.
//
// Kernel: 5.5; the address is read when the SQE is taken (FeatureSubmitStable). A
// deadline could be a LINK_TIMEOUT behind it. It is not: no other operation of the
// contract has one, the other engines would need a clock for it, and the owner has a
// wheel with all its deadlines and Cancel.
func (e *ringEngine) Connect(fd engine.FD, t engine.Token, to netip.AddrPort) {
	s := e.begin(fd, t)
	e.beginIn(s, fd, engine.OpConnect)
	if e.connects == nil {
		e.connects = map[engine.FD]netip.AddrPort{}
	}
	e.connects[fd] = to
	e.armConnect(fd, s)
}

func (e *ringEngine) armConnect(fd engine.FD, s *socket) {
	to := e.connects[fd]
	zone, _ := sock.ZoneID(to.Addr().Zone()) // Socket has asked for it
	q := e.sqeGathering(2)
	at, n := e.scratch.socketAddress(to, zone)
	q.PrepConnect(int32(fd), at, n)
	e.enqueue(q, &s.in, fd)
}

// connectDone. A connect that lost its operation (see transient) goes on in the kernel,
// and another connect(2) would be told so (EALREADY): so poll says when it has ended, and
// SO_ERROR how.
func (e *ringEngine) connectDone(fd engine.FD, s *socket, c *engine.Completion) (again bool) {
	if c.Res < 0 && transient(&s.in, c.Errno()) {
		e.total.rearmed++
		if c.Errno() == unix.ECANCELED || s.in.connecting {
			e.awaitConnected(fd, s)
		} else {
			e.armConnect(fd, s)
		}
		return true
	}
	if s.in.connecting && c.Res > 0 { // what poll saw
		c.Res = sock.ConnectResult(fd)
	}
	delete(e.connects, fd)
	return false
}

func (e *ringEngine) awaitConnected(fd engine.FD, s *socket) {
	s.in.connecting = true
	q := e.sqe()
	q.PrepPollAdd(int32(fd), unix.POLLOUT)
	e.enqueue(q, &s.in, fd)
}
