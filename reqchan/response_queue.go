package reqchan

import (
	"sync/atomic"

	"kring/internal/queue"
)

// ResponseQueue is where answered requests come home to their processor.
//
// It needs no bound of its own: what comes home was in the channel or with a
// handler before, and those are bounded by what the processor let go.
//
// Its weakness: all who bring something home write one word, once per batch.
type ResponseQueue struct {
	bell *queue.Doorbell
	_    [128]byte
	// top is the newest, linked by Request.next. Order: Push's CompareAndSwap
	// publishes the requests and all that their handlers wrote; the Swap in Take
	// reads it.
	top atomic.Pointer[Request]
	_   [128]byte
}

// NewResponseQueue makes an empty queue whose owner sleeps at bell.
func NewResponseQueue(bell *queue.Doorbell) *ResponseQueue { return &ResponseQueue{bell: bell} }

// Push brings a batch home: newest, and what it leads to through next, up to
// oldest. Any goroutine. Announce it afterwards.
func (q *ResponseQueue) Push(newest, oldest *Request) {
	for {
		oldest.next = q.top.Load()
		if q.top.CompareAndSwap(oldest.next, newest) {
			return
		}
	}
}

// Announce wakes the owner, if it sleeps, to take what was pushed.
func (q *ResponseQueue) Announce() { q.bell.Ring() }

// Waiting says that there is something to take.
func (q *ResponseQueue) Waiting() bool { return q.top.Load() != nil }

// Take returns all that came home, in the order in which it came, linked by
// Next; nil if there is nothing. Only the owner may call it.
func (q *ResponseQueue) Take() *Request {
	if q.top.Load() == nil {
		return nil
	}
	var first *Request
	for r := q.top.Swap(nil); r != nil; {
		next := r.next
		r.next, first = first, r
		r = next
	}
	return first
}

// Next is the request that came home after r. Ask before r is reused.
func (r *Request) Next() *Request { return r.next }

// Return brings answered requests home, in order, each to its own processor:
// one push and one ring for consecutive ones of the same processor. It skips
// what is nil.
func Return(answered []*Request) {
	var newest, oldest *Request
	for _, r := range answered {
		switch {
		case r == nil:
		case newest != nil && newest.home == r.home:
			r.next, newest = newest, r
		default:
			homecoming(newest, oldest)
			newest, oldest = r, r
		}
	}
	homecoming(newest, oldest)
}

func homecoming(newest, oldest *Request) {
	if newest != nil {
		home := newest.home // read before Push: afterwards it is the processor's
		home.Push(newest, oldest)
		home.Announce()
	}
}
