//go:build linux

package uring

import (
	"golang.org/x/sys/unix"

	"kring/engine"
)

// follower brings what stands for long, receives and accepts, to the thread that
// its owner is on.
//
// The kernel does the work of an operation (it copies the bytes and writes the
// CQE) on the thread that submitted it. For a parked engine that may be a thread
// its goroutine has left: asleep in Go's scheduler, it is woken for every batch of
// bytes, and on one CPU each costs two switches of threads. A multishot operation
// would keep it so for a connection's life. So once the owner has stayed on a
// thread, what completes and was armed on another is cancelled; again arms it
// anew, on this one.
//
// Locked engines don't need it: their thread never changes.
type follower struct {
	on     bool
	thread int32 // of the owner, when it was asked last
	polls  int   // since then
	stays  int   // how often in a row the answer was the same
	credit int   // how many operations may be moved
}

const (
	// askEvery: asking costs a system call.
	askEvery = 8
	// settledFrom answers that are the same: the owner stays.
	settledFrom = 4
	// Of creditEvery completions one may move its operation, so that an owner who
	// moves to and fro pays an eighth more at most; up to creditMax at once.
	creditEvery = 8
	creditMax   = 64 * creditEvery
)

// start: with a thread of the kernel that submits, all of it is done there.
func (f *follower) start(submitted bool) {
	f.on, f.thread = !submitted, int32(unix.Gettid())
}

// look asks now and then where the owner is.
func (f *follower) look() {
	if f.polls++; !f.on || f.polls < askEvery {
		return
	}
	f.polls = 0
	if t := int32(unix.Gettid()); t != f.thread {
		f.thread, f.stays = t, 0
	} else if f.stays < settledFrom {
		f.stays++
	}
}

// mayFollow looks at a completion of an operation that goes on.
func (e *ringEngine) mayFollow(fd engine.FD, o *operation, c *engine.Completion) {
	f := &e.follower
	if !f.on || !c.More {
		return
	}
	if f.credit < creditMax {
		f.credit++
	}
	if f.stays < settledFrom || o.thread == f.thread || o.cancelled || o.comingBack || f.credit < creditEvery {
		return
	}
	f.credit -= creditEvery
	o.thread = f.thread // not again, whatever becomes of the cancel
	e.total.followed++
	e.cancel(o.op, o.sequence, fd)
}
