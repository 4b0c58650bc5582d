package faultengine

import (
	"bytes"

	"kring/engine"
)

// poison is the content of memory that its borrower must not read.
const poison = 0xa5

// largeLease is added to the leases of large buffers.
const largeLease = 1 << 31

// lender is memory of one size that one engine lends.
type lender struct {
	size int
	base uint32   // of its leases
	free [][]byte // last in, first out: a late reader meets new data soonest
	lent map[uint32][]byte
	next uint32
	blot []byte // size bytes of poison, to compare with
}

func newLender(count, size int, base uint32) *lender {
	l := &lender{size: size, base: base, lent: map[uint32][]byte{}, blot: bytes.Repeat([]byte{poison}, size)}
	for range count {
		b := memory.Get(size)
		copy(b, l.blot)
		l.free = append(l.free, b)
	}
	return l
}

// take lends a buffer; it must be as poisoned as it came back.
func (e *Engine) take(l *lender) (buf []byte, lease uint32, ok bool) {
	if len(l.free) == 0 {
		return nil, 0, false
	}
	buf = l.free[len(l.free)-1]
	if !bytes.Equal(buf, l.blot) {
		e.n.breach("lent memory was written to after Recycle")
	}
	l.free = l.free[:len(l.free)-1]
	l.next = l.next%(largeLease-1) + 1
	l.lent[l.base+l.next] = buf
	return buf, l.base + l.next, true
}

// lenderOf is whose lease that is.
func (e *Engine) lenderOf(lease uint32) *lender {
	if lease > largeLease {
		return e.large
	}
	return e.lender
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
	l := e.lenderOf(c.Lease)
	switch {
	case c.Lease == 0 && c.Data == nil:
		return
	case l.lent[c.Lease] == nil:
		e.n.breach("Recycle of lease %d, which is not out: recycled twice?", c.Lease)
		return
	}
	e.counters.LentBytes.Add(-int64(l.size))
	l.giveBack(c.Lease)
	if e.closed {
		l.close()
	}
	e.recycled++
	c.Data, c.Lease = nil, 0
}
