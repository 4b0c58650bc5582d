package queue

import (
	"fmt"
	"math/bits"
	"sync/atomic"
)

// ManyToMany is a bounded ring from any goroutine to any other. A whole batch is
// published, or taken, with two atomic operations, however long it is.
//
// Its weaknesses: a goroutine that is stopped in the middle of TryPush hides
// what others published after it began, until it goes on. One that is stopped
// in the middle of TryPop keeps the room that others made after it began. So it
// is not lock-free in the strict sense, as no ring of this kind is. But nobody
// ever waits: TryPush and TryPop return what is possible now.
//
// Four positions count items without end and are used modulo the slots:
//
//	     pop.done      pop.claimed     push.done      push.claimed
//	────────┼───────────────┼───────────────┼───────────────┼────────
//	  free  │  being taken  │   published   │ being written │  free
//	        └──────────────── at most bound ────────────────┘
//
// Why not a sequence number in every slot (Vyukov): its store is a locked
// instruction on amd64, two for each item on its way; here an item costs a copy.
// Instead each side counts how many have claimed and how many have finished, and
// whoever finishes last moves done up to claimed (DPDK calls this relaxed tail
// synchronisation). Those who overlap don't wait for each other.
type ManyToMany[T any] struct {
	_     pad
	push  side
	_     pad
	pop   side
	_     pad
	slots []T
	mask  uint32
	bound uint32
}

// side is the state that all pushers, or all poppers, share.
type side struct {
	// claimed: Order: the CompareAndSwap gives the slots up to the new position
	// to whoever made it.
	claimed atomic.Uint64
	// done: Order: the CompareAndSwap in finishClaim publishes the slots to the other
	// side. Each one reads the one before, so it publishes for all.
	done atomic.Uint64
}

// A mark packs a position (the low half) and how many came that far (31 bits of
// the high half); of push.claimed the highest bit says that the ring is closed.
// A stale mark could be taken for a fresh one only if the position and the
// count had both come around in between: 2^31 batches, and exactly as many.
const (
	closedBit = 1 << 63
	countOne  = 1 << 32
	countMask = closedBit - countOne
)

// NewManyToMany makes a ring that holds up to bound items, 1 to 2^30.
func NewManyToMany[T any](bound int) *ManyToMany[T] {
	if bound < 1 || bound > 1<<30 {
		panic(fmt.Sprintf("kring: queue of %d items asked for; possible are 1 to 2^30", bound))
	}
	slots := 1 << bits.Len(uint(bound-1))
	return &ManyToMany[T]{slots: make([]T, slots), mask: uint32(slots - 1), bound: uint32(bound)}
}

// TryPush publishes the first n of items, as many as there is room for, and
// returns n; 0 once the ring is closed. Any goroutine.
func (q *ManyToMany[T]) TryPush(items []T) int {
	for {
		from := q.push.claimed.Load()
		if from&closedBit != 0 {
			return 0
		}
		// Order: claimed is read first. If it is stale then done may be past it
		// and room too large; the CompareAndSwap notices.
		room := q.bound - (uint32(from) - uint32(q.pop.done.Load()))
		n := min(uint64(room), uint64(len(items)))
		if n == 0 {
			return 0
		}
		if q.push.claimed.CompareAndSwap(from, advance(from, uint32(n))) {
			at := uint32(from) & q.mask
			k := copy(q.slots[at:], items[:n])
			copy(q.slots, items[k:n])
			q.push.finishClaim()
			return int(n)
		}
	}
}

// TryPop takes up to len(into) items, oldest first, and returns how many. Any
// goroutine.
func (q *ManyToMany[T]) TryPop(into []T) int {
	for {
		from := q.pop.claimed.Load()
		n := min(uint64(uint32(q.push.done.Load())-uint32(from)), uint64(len(into)))
		if n == 0 {
			return 0
		}
		if q.pop.claimed.CompareAndSwap(from, advance(from, uint32(n))) {
			at := uint32(from) & q.mask
			k := q.moveOut(into[:n], at)
			q.moveOut(into[k:n], 0)
			q.pop.finishClaim()
			return int(n)
		}
	}
}

// moveOut moves items from position at on, and clears their slots for the garbage
// collector.
func (q *ManyToMany[T]) moveOut(into []T, at uint32) int {
	k := copy(into, q.slots[at:])
	clear(q.slots[at : int(at)+k])
	return k
}

// finishClaim ends one claim on slots. The last of overlapping claims moves done up
// to claimed.
//
// Order: done is read before claimed. If done is still the same when it is
// swapped, then as many have finished as had claimed when claimed was read: no
// claim is open before that position.
func (s *side) finishClaim() {
	for {
		done := s.done.Load()
		claimed := s.claimed.Load() &^ closedBit
		next := advance(done, 0)
		if next&countMask == claimed&countMask {
			next = claimed
		}
		if s.done.CompareAndSwap(done, next) {
			return
		}
	}
}

// advance returns mark m after one more claim of n positions.
func advance(m uint64, n uint32) uint64 {
	return m&closedBit | (m+countOne)&countMask | uint64(uint32(m)+n)
}

// Len is how many items hold room: published, being written or being taken.
func (q *ManyToMany[T]) Len() int {
	done := uint32(q.pop.done.Load()) // first: the result is not negative
	return int(min(uint32(q.push.claimed.Load())-done, q.bound))
}

// Cap is the bound.
func (q *ManyToMany[T]) Cap() int { return int(q.bound) }

// Ready reports whether there is something to take.
func (q *ManyToMany[T]) Ready() bool {
	claimed := uint32(q.pop.claimed.Load()) // first: it never passes push.done
	return uint32(q.push.done.Load()) != claimed
}

// Close makes every later TryPush return 0. What was accepted can be taken.
func (q *ManyToMany[T]) Close() { q.push.claimed.Or(closedBit) }

// Closed reports whether Close was called.
func (q *ManyToMany[T]) Closed() bool { return q.push.claimed.Load()&closedBit != 0 }

// Drained reports whether the ring is closed and empty.
func (q *ManyToMany[T]) Drained() bool {
	claimed := q.push.claimed.Load() // final, if it is closed
	return claimed&closedBit != 0 && uint32(q.pop.claimed.Load()) == uint32(claimed)
}
