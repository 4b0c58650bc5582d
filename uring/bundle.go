//go:build linux

package uring

import "kring/engine"

// A bundle is a CQE that brings the data of several buffers: all of those that
// follow the named one in the buffer ring, each filled, the last perhaps not.
// The owner gets a completion for each buffer, because buffers lie anywhere in
// memory; what a bundle saves is the kernel's work.
//
// Kernel: since 6.10. A CQE of a bundle without data names a buffer and has
// taken none.

// lend takes what a receive's CQE says of buffers, and makes c lend the first.
func (e *ringEngine) lend(q *CQE, c *engine.Completion) {
	w, bid, n := e.window, q.BufferID(), int(max(c.Res, 0))
	if w.places == nil {
		data := w.lend(bid, n, q.Flags&CQEBufMore != 0)
		if n > 0 {
			c.Data, c.Lease = data, uint32(bid)+1
		} else {
			w.giveBack(bid)
		}
		return
	}
	for at := w.places[bid]; n > 0; at++ {
		bid = w.ring.bufferAt(at)
		data := w.lend(bid, min(n, w.size), false)
		n -= len(data)
		e.parts = append(e.parts, engine.Completion{
			Token: c.Token, Op: c.Op, Res: int32(len(data)), More: true, Data: data, Lease: uint32(bid) + 1,
		})
	}
}

// splitBundle puts the first part where the whole was. Only the last says
// whether more follows, so the operation is over for its owner when all are
// delivered.
func (e *ringEngine) splitBundle(c *engine.Completion) {
	e.parts[len(e.parts)-1].More = c.More
	*c = e.parts[0]
	e.parts = e.parts[:copy(e.parts, e.parts[1:])]
}

// takeParts delivers what is left of a bundle.
func (e *ringEngine) takeParts(done []engine.Completion) int {
	n := copy(done, e.parts)
	clear(e.parts[:n])
	e.parts = e.parts[:copy(e.parts, e.parts[n:])]
	return n
}
