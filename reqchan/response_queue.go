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
	wakeFlag *queue.WakeFlag
	// orphaned, when set, is called instead of the wake flag: the owner has ended.
	// Order: Disown sets it before it takes what is there; whoever pushes does that
	// before it loads this.
	orphaned atomic.Pointer[func()]
	_        [128]byte
	// top is the newest, linked by Job.next. Order: Push's CompareAndSwap
	// publishes the jobs and all that their handlers wrote; the Swap in Take
	// reads it.
	top atomic.Pointer[Job]
	// pushed counts what ever came; on top's line, which the pusher holds anyway.
	pushed atomic.Uint64
	_      [128]byte
}

// NewResponseQueue makes an empty queue whose owner sleeps at wakeFlag.
func NewResponseQueue(wakeFlag *queue.WakeFlag) *ResponseQueue {
	return &ResponseQueue{wakeFlag: wakeFlag}
}

// Push brings a batch home: newest, and what it leads to through next, up to
// oldest, n altogether. Any goroutine. Announce it afterwards.
func (q *ResponseQueue) Push(newest, oldest *Job, n int) {
	for {
		oldest.next = q.top.Load()
		if q.top.CompareAndSwap(oldest.next, newest) {
			q.pushed.Add(uint64(n))
			return
		}
	}
}

// Announce wakes the owner, if it sleeps, to take what was pushed.
func (q *ResponseQueue) Announce() {
	if take := q.orphaned.Load(); take != nil {
		(*take)()
		return
	}
	q.wakeFlag.Notify()
}

// Disown has take called by whoever brings something home from now on, because
// the owner has ended; the owner calls it now. It may be called by several
// goroutines at once, and sees to it that one of them takes.
func (q *ResponseQueue) Disown(take func()) {
	q.orphaned.Store(&take)
	take()
}

// Pushed counts what ever was brought here. Any goroutine.
func (q *ResponseQueue) Pushed() uint64 { return q.pushed.Load() }

// Waiting says that there is something to take.
func (q *ResponseQueue) Waiting() bool { return q.top.Load() != nil }

// Take returns all that came home, in the order in which it came, linked by
// Next; nil if there is nothing. Only the owner may call it.
func (q *ResponseQueue) Take() *Job {
	if q.top.Load() == nil {
		return nil
	}
	var first *Job
	for r := q.top.Swap(nil); r != nil; {
		next := r.next
		r.next, first = first, r
		r = next
	}
	return first
}

// Next is the request that came home after r. Ask before r is reused.
func (r *Job) Next() *Job { return r.next }

// Return brings answered requests home, in order, each to its own processor:
// one push and one ring for consecutive ones of the same processor. It skips
// what is nil.
func Return(answered []*Job) {
	var newest, oldest *Job
	n := 0
	for _, r := range answered {
		switch {
		case r == nil:
		case newest != nil && newest.home == r.home:
			r.next, newest = newest, r
			n++
		default:
			homecoming(newest, oldest, n)
			newest, oldest, n = r, r, 1
		}
	}
	homecoming(newest, oldest, n)
}

func homecoming(newest, oldest *Job, n int) {
	if newest != nil {
		home := newest.home // read before Push: afterwards it is the processor's
		home.Push(newest, oldest, n)
		home.Announce()
	}
}
