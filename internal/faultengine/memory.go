package faultengine

import (
	"bytes"

	"kring/engine"
)

// poison is the content of memory that its borrower must not read.
const poison = 0xa5

// lender is the memory that one engine lends.
type lender struct {
	size int
	free [][]byte // last in, first out: a late reader meets new data soonest
	lent map[uint32][]byte
	next uint32
	blot []byte // size bytes of poison, to compare with
}

func newLender(count, size int) lender {
	l := lender{size: size, lent: map[uint32][]byte{}, blot: bytes.Repeat([]byte{poison}, size)}
	for range count {
		b := memory.Get(size)
		copy(b, l.blot)
		l.free = append(l.free, b)
	}
	return l
}

// take lends a buffer; it must be as poisoned as it came back.
func (e *Engine) take() (buf []byte, lease uint32, ok bool) {
	l := &e.lender
	if len(l.free) == 0 {
		return nil, 0, false
	}
	buf = l.free[len(l.free)-1]
	if !bytes.Equal(buf, l.blot) {
		e.n.breach("lent memory was written to after Recycle")
	}
	l.free = l.free[:len(l.free)-1]
	l.next++
	if l.next == 0 {
		l.next++
	}
	l.lent[l.next] = buf
	return buf, l.next, true
}

// giveBack poisons a lent buffer and makes it free.
func (l *lender) giveBack(lease uint32) {
	buf := l.lent[lease]
	delete(l.lent, lease)
	copy(buf, l.blot)
	l.free = append(l.free, buf)
}

// close returns the memory that is not lent; the rest goes with its Recycle.
func (l *lender) close() {
	for _, b := range l.free {
		memory.Put(b)
	}
	l.free = nil
}

// Recycle gives back the memory that c lent, also after Close.
func (e *Engine) Recycle(c *engine.Completion) {
	if !e.enterAlways("Recycle") {
		return
	}
	defer e.leave()
	switch {
	case c.Lease == 0 && c.Data == nil:
		return
	case e.lender.lent[c.Lease] == nil:
		e.n.breach("Recycle of lease %d, which is not out: recycled twice?", c.Lease)
		return
	}
	e.counters.LentBytes.Add(-int64(e.lender.size))
	e.lender.giveBack(c.Lease)
	if e.closed {
		e.lender.close()
	}
	e.recycled++
	c.Data, c.Lease = nil, 0
}
