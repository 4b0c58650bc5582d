//go:build linux

package uring

import (
	"fmt"

	"golang.org/x/sys/unix"

	"kring/engine"
	"kring/internal/invariants"
)

// complete turns a CQE into a completion, and says whether it is one for the
// owner.
func (e *ringEngine) complete(q *CQE, c *engine.Completion) bool {
	op := engine.Op(q.UserData >> opShift)
	fd := engine.FD(uint32(q.UserData))
	switch op {
	case opWake:
		e.wakeDone(q)
		return false
	case opCancel:
		e.cancelDone(q, fd)
		return false
	case opWatch:
		e.watchDone(q, fd)
		return false
	case opPlace:
		e.placed(q, fd)
		return false
	case opFile:
		return e.fileDone(q, int(fd), c)
	case opMessage, opTimeoutUpdate: // it has ended the sleep, and that was all
		return false
	case opTimeout:
		e.timeoutDone()
		return false
	}
	s := e.sockets.of(fd)
	if op == engine.OpClose && s.out.sequence != sequenceOf(q) {
		return e.lateCloseDone(q, c)
	}
	o := &s.in
	if op == engine.OpSend || op == engine.OpClose {
		o = &s.out
	}
	if invariants.Enabled {
		invariants.Assert(o.op == op && o.sequence == sequenceOf(q),
			"uring: completion of %v %d on descriptor %d, where %v %d is outstanding", op, sequenceOf(q), fd, o.op, o.sequence)
	}
	*c = engine.Completion{Token: s.token, Op: op, Res: q.Res, More: q.Flags&CQEMore != 0}
	if !c.More {
		e.inflight--
	}
	if c.Res > 0 && o == &s.in {
		s.drained = q.Flags&CQESockNonempty == 0
	}
	if e.again(fd, s, o, q, c) {
		return false
	}
	if !c.More {
		e.end(o)
		if op == engine.OpRecv {
			e.endWatch(fd, s)
		}
	}
	return true
}

// again completes what c is for each operation. It says that the operation
// stands again, or goes on, with nothing to tell the owner.
func (e *ringEngine) again(fd engine.FD, s *socket, o *operation, q *CQE, c *engine.Completion) bool {
	for _, complete := range e.use.complete {
		if complete(e, fd, s, q, c) {
			return true
		}
	}
	switch c.Op {
	case engine.OpAccept:
		e.mayFollow(fd, o, c)
		return e.acceptDone(fd, s, c)
	case engine.OpConnect:
		return e.connectDone(fd, s, c)
	case engine.OpRecv:
		if o.large {
			return e.largeDone(fd, s, q, c)
		}
		e.mayFollow(fd, o, c)
		return e.recvDone(fd, s, q, c)
	case engine.OpRecvInto:
		return e.recvIntoDone(fd, s, c)
	case engine.OpSend:
		// Nobody cancels a send: it lost the thread it was submitted on, with
		// nothing sent yet. The owner sends what is left.
		if c.Res < 0 && transient(o, c.Errno()) {
			c.Res = 0
		}
		s.heldUp = c.Res >= 0 && uint32(c.Res) < o.asked
		if s.heldUp {
			e.total.shortSends++
		}
	}
	return false
}

func (e *ringEngine) end(o *operation) {
	if o.bulk {
		e.bulk--
	}
	*o = operation{}
}

// transient errors end an operation for reasons that are not its socket's. In
// particular the kernel cancels everything that a thread submitted when the
// thread exits, and a parked engine's goroutine has been on many threads.
func transient(o *operation, errno unix.Errno) bool {
	if o.cancelled {
		return false
	}
	return errno == unix.ECANCELED || errno == unix.EINTR || errno == unix.EAGAIN
}

func (e *ringEngine) acceptDone(fd engine.FD, s *socket, c *engine.Completion) bool {
	if c.More {
		return false
	}
	if c.Res >= 0 {
		// A multishot that ended without an error stands again, unseen.
		if !s.in.cancelled {
			e.total.rearmed++
			e.armAccept(fd, s)
			c.More = true
		}
		return false
	}
	errno := c.Errno()
	if transient(&s.in, errno) || !s.in.cancelled && errno == unix.ECONNABORTED {
		e.total.rearmed++
		e.armAccept(fd, s)
		return true
	}
	return false
}

// recvDone. Order: first the buffer, which is ours whatever the result says;
// then whether the operation still stands.
func (e *ringEngine) recvDone(fd engine.FD, s *socket, q *CQE, c *engine.Completion) bool {
	if q.Flags&CQEBuffer != 0 {
		e.lend(q, c)
	}
	if c.Res > 0 {
		s.served, s.overdue = e.rounds, false
	}
	if c.More {
		e.comeBack(fd, s)
		return false
	}
	if c.Res > 0 {
		if s.in.single && !s.in.cancelled {
			e.total.rearmed++
			e.takeTurn(fd, s, q.Flags&CQESockNonempty == 0)
			c.More = true
		}
		return false
	}
	if c.Res == 0 {
		return false
	}
	errno := c.Errno()
	if errno == unix.ENOBUFS {
		return e.starved(fd, s, c)
	}
	if transient(&s.in, errno) {
		e.total.rearmed++
		e.takeTurn(fd, s, true)
		return true
	}
	return false
}

// lend gives the owner the buffer that a receive's CQE names.
func (e *ringEngine) lend(q *CQE, c *engine.Completion) {
	bid, n := q.BufferID(), int(max(c.Res, 0))
	data := e.window.lend(bid, n, q.Flags&CQEBufMore != 0)
	if n > 0 {
		c.Data, c.Lease = data, uint32(bid)+1
	} else {
		e.window.giveBack(bid)
	}
}

// recvIntoDone arms a receive again that ended for a reason which is not its socket's.
func (e *ringEngine) recvIntoDone(fd engine.FD, s *socket, c *engine.Completion) bool {
	if c.Res < 0 && transient(&s.in, c.Errno()) {
		e.total.rearmed++
		e.armRecvInto(fd, s)
		return true
	}
	return false
}

// cancelDone sees only cancels that failed. When the operation still stands
// the cancel came while the kernel was busy with it, and is tried again.
func (e *ringEngine) cancelDone(q *CQE, fd engine.FD) {
	errno := unix.Errno(-q.Res)
	if invariants.Enabled {
		invariants.Assert(errno == unix.ENOENT || errno == unix.EALREADY, "uring: cancel on descriptor %d: %v", fd, errno)
	}
	if s := e.sockets.of(fd); s.in.op != 0 && s.in.sequence == sequenceOf(q) {
		e.cancel(s.in.op, s.in.sequence, fd)
	}
}

// wakeDone arms the wake word's read again.
func (e *ringEngine) wakeDone(q *CQE) {
	e.inflight--
	if q.Res < 0 && !transient(&operation{}, unix.Errno(-q.Res)) {
		_ = e.die(fmt.Errorf("uring: read of the wake descriptor: %w", unix.Errno(-q.Res)))
		return
	}
	e.sleeper.woken(e)
}
