//go:build linux

package uring

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"

	"kring/engine"
	"kring/internal/invariants"
)

func (e *ringEngine) beginIn(s *socket, fd engine.FD, op engine.Op) {
	if invariants.Enabled {
		invariants.Assert(s.in.op == 0, "uring: %v on descriptor %d while its %v is outstanding", op, fd, s.in.op)
	}
	s.in = operation{op: op}
}

func (e *ringEngine) beginOut(s *socket, op engine.Op) {
	s.out = operation{op: op}
}

// enqueue makes q an arming of o. Every arming has a sequence of its own, also
// when the engine itself arms an operation again.
func (e *ringEngine) enqueue(q *SQE, o *operation, fd engine.FD) {
	o.sequence, o.thread = e.nextSequence(), e.follower.thread
	q.UserData = userData(o.op, o.sequence, fd)
	for _, prepared := range e.use.prepared {
		prepared(e, q, fd)
	}
	e.counts(q)
}

// nextSequence is never 0.
func (e *ringEngine) nextSequence() uint32 {
	e.sequence = e.sequence%(1<<sequenceBits-1) + 1
	return e.sequence
}

func (e *ringEngine) armAccept(fd engine.FD, s *socket) {
	q := e.sqe()
	// Never SOCK_NONBLOCK: before 6.x, operations on such a socket fail with
	// EAGAIN where they should wait.
	if !e.prepares(q, fd, s, engine.OpAccept, outgoing{}) {
		q.PrepAcceptMultishot(int32(fd), unix.SOCK_CLOEXEC)
	}
	e.enqueue(q, &s.in, fd)
}

// armRecv selects from the window. pollFirst: there may be nothing to receive
// yet, so wait for data before taking a buffer; without it a receive that finds
// every buffer lent would end at once, data or not.
func (e *ringEngine) armRecv(fd engine.FD, s *socket, pollFirst bool) {
	q := e.sqe()
	s.in.single = !e.receivesOn(s) || e.short > 0 || s.in.single && !s.drained
	s.in.comingBack = false
	if e.prepares(q, fd, s, engine.OpRecv, outgoing{}) {
		e.enqueue(q, &s.in, fd)
		return
	}
	if !s.in.single {
		q.PrepRecvMultishot(int32(fd), 0, 0, 0)
		if e.can.recvLimit {
			q.FileIndex = uint32(max(recvBytesMax, e.config.BufferBytes)) // as optlen
		}
	} else {
		q.PrepRecv(int32(fd), 0, uint32(e.config.BufferBytes), 0)
	}
	if pollFirst {
		q.IOPrio |= RecvSendPollFirst
	}
	q.Flags, q.BufGroup = SQEBufferSelect, recvGroup
	e.enqueue(q, &s.in, fd)
}

// recvBytesMax is after how much a multishot receive ends by itself, where the
// kernel can: its owner then decides anew whether the connection may have more.
// A cancel comes too late for one that floods: the kernel had filled two windows
// for it first, 6 MB seen where 256 KiB were to be held. So much is far between
// for all others.
const recvBytesMax = 256 << 10

// receivesOn says whether a receive goes on by itself after a completion; with
// Config.Recv "single" probe said that none does.
func (e *ringEngine) receivesOn(s *socket) bool { return e.multishotRecv && !s.hungUp }

func (e *ringEngine) armRecvInto(fd engine.FD, s *socket) {
	q := e.sqe()
	if !e.prepares(q, fd, s, engine.OpRecvInto, outgoing{}) {
		q.PrepRecv(int32(fd), s.into, s.intoLen, unix.MSG_WAITALL)
		if s.drained {
			q.IOPrio |= RecvSendPollFirst // a look would be in vain
		}
	}
	e.enqueue(q, &s.in, fd)
}

func (e *ringEngine) armClose(fd engine.FD, s *socket) {
	e.endSocket(fd, s)
	q := e.sqe()
	q.PrepClose(int32(fd))
	e.enqueue(q, &s.out, fd)
}

// cancel asks for the end of one operation. Order: the SQ is first in first
// out, so the cancel finds its target submitted.
func (e *ringEngine) cancel(op engine.Op, sequence uint32, fd engine.FD) {
	q := e.sqe()
	q.PrepCancel(userData(op, sequence, fd), 0)
	q.Flags = SQECQESkipSuccess
	q.UserData = userData(opCancel, sequence, fd)
}

// countSend counts a send that q hands over. One whose socket took less than all
// of the last will hardly complete at once.
func (e *ringEngine) countSend(q *SQE, s *socket, n int) {
	o := &s.out
	if !s.heldUp {
		if e.sends < delayedSendsMax {
			e.sending[e.sends] = q
		}
		e.sends++
	}
	e.sendBytes += n
	o.asked = uint32(n)
	e.setBulk(o, n)
	if e.sendBytes > quickBytesMax && e.quick() {
		if err := e.submit(); err != nil { // more would be no quick call
			_ = e.die(err)
		}
	}
}

func (e *ringEngine) setBulk(o *operation, n int) {
	if n >= bulkBytesMin {
		o.bulk = true
		e.bulk++
	}
}

// sqe returns a zeroed SQE. A full queue is submitted first.
func (e *ringEngine) sqe() *SQE {
	if q := e.ring.GetSQE(); q != nil {
		e.issued++
		return q
	}
	e.makeRoom(0)
	if q := e.ring.GetSQE(); q != nil {
		e.issued++
		return q
	}
	return &e.unsubmitted // the engine is dead: the next Poll says so
}

// counts says that q, which was prepared, is an operation that will have a CQE.
func (e *ringEngine) counts(q *SQE) {
	if q != &e.unsubmitted {
		e.inflight++
	}
}

// sqeGathering is sqe with room in the scratch memory for n vectors. Order: both at
// once, because making room empties it.
func (e *ringEngine) sqeGathering(n int) *SQE {
	if !e.scratch.fits(n) {
		e.makeRoom(n)
	}
	return e.sqe()
}

// makeRoomTriesMax bounds the tries against a kernel without memory.
const makeRoomTriesMax = 10_000

// makeRoom submits until there is room for an SQE and vectors. It fails only
// when the kernel takes nothing for a long time; then the engine is dead.
func (e *ringEngine) makeRoom(vectors int) {
	for range makeRoomTriesMax {
		if e.dead != nil {
			return
		}
		if err := e.submit(); err != nil {
			_ = e.die(err)
			return
		}
		if int(e.ring.SQPending()) < e.entries && e.scratch.fits(vectors) {
			return
		}
		e.spillReady() // the kernel may be waiting for room in the CQ
		runtime.Gosched()
		if err := e.awaitSQ(); err != nil {
			_ = e.die(err)
			return
		}
	}
	_ = e.die(fmt.Errorf("uring: the kernel took no operation in %d tries: it is out of memory for requests", makeRoomTriesMax))
}

func (e *ringEngine) die(err error) error {
	if e.dead == nil {
		e.dead = err
	}
	return e.dead
}
