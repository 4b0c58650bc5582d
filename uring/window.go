//go:build linux

package uring

import (
	"fmt"

	"kring/internal/invariants"
	"kring/internal/slab"
)

// The buffer groups of an engine: recvGroup has its receive buffers, largeGroup those of
// largeBuffers.
const (
	recvGroup  = 0
	largeGroup = 1
)

// restEvery is how many Polls the window looks at before it shrinks.
const restEvery = 1024

// window is an engine's receive buffers. Only a few are with the kernel at a
// time, because it takes them in turn and would otherwise walk all of their
// memory; the others are spare, the last used first.
//
// Invariant: every buffer is in exactly one place: given (with the kernel, or
// in a CQE not reaped), lent (with the owner) or spare. Only an incremental
// buffer may be given and lent, see share.
type window struct {
	ring   *BufRing
	memory []byte
	size   int // of a buffer, in bytes

	spare  []uint16
	given  int
	lent   int
	hot    int // the least target
	target int // how many to give the kernel
	least  int // least given seen since the last rest
	polls  int
	added  bool   // not published yet
	closed bool   // the kernel has let go of all, and of the ring
	isLent []bool // by buffer id; only with assertions

	places []uint16 // where in the ring a buffer was added last, by buffer id; only with bundles
	shares []share  // by buffer id; only with incremental buffers
}

func openWindow(c *Config) (*window, error) {
	w, err := mapWindow(c.Buffers, c.BufferBytes, c.BuffersHot)
	if err != nil {
		return nil, err
	}
	if c.Bundles {
		w.places = make([]uint16, c.Buffers)
	}
	if c.Incremental {
		w.shares = make([]share, c.Buffers)
	}
	w.publish()
	return w, nil
}

// mapWindow makes a window of count buffers of size bytes, that is not published.
func mapWindow(count, size, hot int) (*window, error) {
	ring, err := MapBufRing(count)
	if err != nil {
		return nil, err
	}
	memory, err := slab.Map(count * size)
	if err != nil {
		_ = ring.Unmap()
		return nil, mapError("receive buffers", count*size, err)
	}
	slab.Register(memory) // so that received data may be sent from where it is
	w := &window{ring: ring, memory: memory, size: size, hot: hot, target: hot}
	w.spare = make([]uint16, count)
	for i := range w.spare {
		w.spare[i] = uint16(count - 1 - i)
	}
	if invariants.Enabled {
		w.isLent = make([]bool, count)
	}
	return w, nil
}

// lend takes buffer bid from the kernel and returns its first n bytes; of an
// incremental buffer the next n, and the kernel may have kept the rest.
func (w *window) lend(bid uint16, n int, kept bool) []byte {
	if w.shares != nil {
		return w.lendShare(bid, n, kept)
	}
	if invariants.Enabled {
		invariants.Assert(!w.isLent[bid], "uring: the kernel filled buffer %d, which is lent", bid)
		w.isLent[bid] = true
	}
	w.given--
	w.lent++
	return w.buffer(bid)[:n:n]
}

// giveBack ends a loan.
func (w *window) giveBack(bid uint16) {
	if w.shares != nil && !w.giveShareBack(bid) {
		return
	}
	if invariants.Enabled {
		if w.shares == nil {
			invariants.Assert(int(bid) < len(w.isLent) && w.isLent[bid], "uring: lease %d recycled twice or never lent", bid+1)
			w.isLent[bid] = false
		}
		invariants.Poison(w.buffer(bid)) // the kernel does not see it before publish
	}
	w.lent--
	switch {
	case w.closed:
		w.release()
	case w.given < w.target:
		w.give(bid)
	default:
		w.spare = append(w.spare, bid)
	}
}

// publish fills the window from the spare buffers and shows the kernel what
// was added: once per Poll, before the SQEs that may need it.
func (w *window) publish() {
	w.least = min(w.least, w.given)
	if w.polls++; w.polls >= restEvery {
		w.rest()
	}
	for w.given < w.target && len(w.spare) > 0 {
		last := len(w.spare) - 1
		bid := w.spare[last]
		w.spare = w.spare[:last]
		w.give(bid)
	}
	if w.added {
		w.added = false
		w.ring.Publish()
	}
}

// exhausted is told that the kernel found no buffer. It widens the window, and
// says whether that was in vain: every buffer is lent.
func (w *window) exhausted() bool {
	w.target = min(2*w.target, len(w.ring.entries))
	return w.lent == len(w.ring.entries)
}

// rest narrows a window of which most was never used lately. The buffers leave
// it one by one, as they come back.
func (w *window) rest() {
	if w.least > w.target/2 {
		w.target = max(w.hot, w.target/2)
	}
	w.polls, w.least = 0, w.given
}

// lentBytes is the memory that the owner keeps from the kernel.
func (w *window) lentBytes() int64 { return int64(w.lent) * int64(w.size) }

func (w *window) give(bid uint16) {
	if w.places != nil {
		w.places[bid] = w.ring.tail
	}
	w.ring.Add(w.buffer(bid), bid)
	w.given++
	w.added = true
}

func (w *window) buffer(bid uint16) []byte {
	at := int(bid) * w.size
	return w.memory[at : at+w.size : at+w.size]
}

// close frees the ring at once, and the buffers when the last comes home. No
// operation may be outstanding.
func (w *window) close() error {
	w.closed, w.given = true, 0
	for i := range w.shares {
		w.shares[i].over = true
	}
	err := w.ring.Unmap()
	w.release()
	return err
}

// release frees the memory of a closed window of which nothing is lent.
func (w *window) release() {
	if w.lent == 0 && w.memory != nil {
		unmapBuffers(w.memory)
		w.memory = nil
	}
}

// unmapBuffers frees memory of slab.Map that was lent from.
func unmapBuffers(b []byte) {
	slab.Unregister(b)
	if err := slab.Unmap(b); err != nil {
		panic(fmt.Sprintf("kring: munmap of %d bytes: %v", len(b), err))
	}
}
