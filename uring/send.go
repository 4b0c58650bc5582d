//go:build linux

package uring

import (
	"golang.org/x/sys/unix"

	"kring/engine"
)

// sendFlags: the kernel goes on by itself after a short send. A write has
// neither; its SIGPIPE is nobody's, because Go ignores it but for the standard
// files.
const sendFlags = unix.MSG_WAITALL | unix.MSG_NOSIGNAL

// armSend sends one buffer.
func (e *ringEngine) armSend(fd engine.FD, s *socket, buf []byte) {
	at, n := address(buf), min(len(buf), e.config.SendBytesMax)
	registered := e.fixed.covers(at, n)
	q := e.sqe()
	switch {
	case e.zeroCopies(s, n) && e.config.ZeroCopyFixed && registered:
		q.PrepSendZCFixed(int32(fd), at, uint32(n), sendFlags, e.can.zeroCopyFlags, e.fixed.index)
		e.countZeroCopy(&s.out)
		e.total.registered++
	case e.zeroCopies(s, n):
		q.PrepSendZC(int32(fd), at, uint32(n), sendFlags, e.can.zeroCopyFlags)
		e.countZeroCopy(&s.out)
	case e.config.Send == SendFixedMode && registered:
		q.PrepWriteFixed(int32(fd), at, uint32(n), 0, e.fixed.index)
		e.total.registered++
	default:
		q.PrepSend(int32(fd), at, uint32(n), sendFlags)
	}
	e.enqueue(q, &s.out, fd)
	e.countSend(q, s, n)
}

// armGatheredSend sends bufs as one.
func (e *ringEngine) armGatheredSend(fd engine.FD, s *socket, bufs [][]byte) {
	bufs = bufs[:min(len(bufs), e.config.SendBuffersMax)]
	q := e.sqeGathering(len(bufs))
	if e.dead != nil {
		return
	}
	header, n := e.scratch.gather(bufs, e.config.SendBytesMax)
	registered := e.can.vectoredFixed && e.fixed.coversAll(bufs)
	switch {
	case len(e.can.zeroCopyOps) > 1 && e.zeroCopies(s, n):
		q.PrepSendMsgZC(int32(fd), header, sendFlags)
		q.IOPrio |= e.can.zeroCopyFlags
		if e.config.ZeroCopyFixed && registered {
			q.IOPrio |= RecvSendFixedBuf
			q.BufGroup = e.fixed.index
			e.total.registered++
		}
		e.countZeroCopy(&s.out)
	case e.config.Send == SendFixedMode && registered:
		first, count := e.scratch.vectorsOf()
		q.PrepWritevFixed(int32(fd), first, count, 0, e.fixed.index)
		e.total.registered++
	default:
		q.PrepSendMsg(int32(fd), header, sendFlags)
	}
	e.enqueue(q, &s.out, fd)
	e.countSend(q, s, n)
}
