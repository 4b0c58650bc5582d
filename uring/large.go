//go:build linux

package uring

import (
	"golang.org/x/sys/unix"

	"kring/engine"
)

// largeLease is added to the number of a large buffer, so that its lease is no other's.
const largeLease = 1 << 17

func (e *ringEngine) openLarge() (err error) {
	if !e.config.hasLarge() {
		return nil
	}
	n := e.config.largeCount()
	if e.large, err = mapWindow(n, largeBufferBytes, min(n, largeBuffersHot)); err != nil {
		return err
	}
	e.large.publish()
	if err := e.ring.registerBufRing(e.large.ring, largeGroup, 0); err != nil {
		return registerError("PBUF_RING", err)
	}
	return nil
}

// LargeFrames is engine.LargeReceiver's.
func (e *ringEngine) LargeFrames() (least, most int) {
	if e.large == nil {
		return 0, 0
	}
	return e.config.BufferBytes + 1, e.large.size
}

// RecvLarge is engine.LargeReceiver's.
func (e *ringEngine) RecvLarge(fd engine.FD, t engine.Token, n int) {
	s := e.beginBytes(fd, t)
	e.beginIn(s, fd, engine.OpRecv)
	s.in.large, s.intoLen = true, uint32(n)
	e.armLarge(fd, s)
}

func (e *ringEngine) armLarge(fd engine.FD, s *socket) {
	q := e.sqe()
	q.PrepRecv(int32(fd), 0, s.intoLen, 0)
	q.Flags, q.BufGroup = SQEBufferSelect, largeGroup
	if s.drained {
		q.IOPrio |= RecvSendPollFirst // a look would be in vain
	}
	e.enqueue(q, &s.in, fd)
}

// largeDone is recvDone of RecvLarge.
func (e *ringEngine) largeDone(fd engine.FD, s *socket, q *CQE, c *engine.Completion) bool {
	if q.Flags&CQEBuffer != 0 {
		bid, n := q.BufferID(), max(c.Res, 0)
		data := e.large.lend(bid, e.large.size, false)
		if n > 0 {
			c.Data, c.Lease = data[:n], largeLease+uint32(bid)+1
		} else {
			e.large.giveBack(bid)
		}
	}
	if c.Res >= 0 {
		return false
	}
	switch errno := c.Errno(); {
	case errno == unix.ENOBUFS && s.in.cancelled:
		c.Res = engine.Failed(unix.ECANCELED)
	case errno == unix.ENOBUFS:
		e.large.exhausted()
		e.total.exhausted++
	case transient(&s.in, errno):
		e.total.rearmed++
		e.armLarge(fd, s)
		return true
	}
	return false
}
