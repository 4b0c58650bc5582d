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
func (e *ringEngine) armSend(fd engine.FD, s *socket, bufs [][]byte) {
	at, n := address(bufs[0]), min(len(bufs[0]), e.config.SendBytesMax)
	q := e.sqe()
	if !e.prepares(q, fd, s, engine.OpSend, outgoing{bufs, at, n}) {
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
	if !e.prepares(q, fd, s, engine.OpSend, outgoing{bufs, header, n}) {
		q.PrepSendMsg(int32(fd), header, sendFlags)
	}
	e.enqueue(q, &s.out, fd)
	e.countSend(q, s, n)
}
