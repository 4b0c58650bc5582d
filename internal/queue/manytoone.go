package queue

import "sync/atomic"

// ManyToOne is a queue from any goroutine to one owner, for what comes one by
// one and not all the time: accepted sockets, commands.
//
// Its weaknesses: every Push allocates, it has no bound of its own (those who
// push count), and all who push write one word.
//
// It is a stack that the owner takes whole and turns around, so a pusher that
// is stopped halfway has pushed nothing and hides nothing.
type ManyToOne[T any] struct {
	// top is the newest. Order: Push's CompareAndSwap publishes the node and all
	// that the pusher wrote; the Swap in turn reads it.
	top atomic.Pointer[node[T]]
	_   pad
	// Owner: what was taken from the stack and not drained yet, oldest first.
	first *node[T]
}

type node[T any] struct {
	item T
	next *node[T]
}

// NewManyToOne makes an empty queue.
func NewManyToOne[T any]() *ManyToOne[T] { return &ManyToOne[T]{} }

// Push appends item. Any goroutine. What one goroutine pushes is drained in the
// order it was pushed.
func (q *ManyToOne[T]) Push(item T) {
	n := &node[T]{item: item}
	for {
		n.next = q.top.Load()
		if q.top.CompareAndSwap(n.next, n) {
			return
		}
	}
}

// Drain gives f up to limit items (limit < 0: all), oldest first, and says how
// many. Only the owner may call it. f may Push.
func (q *ManyToOne[T]) Drain(f func(T), limit int) int {
	n := 0
	for ; n != limit; n++ {
		if q.first == nil && !q.turn() {
			break
		}
		taken := q.first
		q.first = taken.next
		f(taken.item)
	}
	return n
}

// HasItems says that there is something to drain. Only the owner may call it.
func (q *ManyToOne[T]) HasItems() bool { return q.first != nil || q.top.Load() != nil }

// turn takes the stack and turns it around; false when it is empty.
func (q *ManyToOne[T]) turn() bool {
	if q.top.Load() == nil {
		return false
	}
	for n := q.top.Swap(nil); n != nil; {
		next := n.next
		n.next, q.first = q.first, n
		n = next
	}
	return true
}
