//go:build linux

package uring

import (
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"kring/engine"
)

// sqPoll has a thread of the kernel take submissions.
//
// Kernel: 5.11 without privileges.
//
// Cost: a CPU for each engine, and every operation crosses CPUs. Off: on two CPUs that one
// is the client's or the handlers'.
var sqPoll = technique{
	asked: func(c *Config) bool { return c.SQPoll > 0 },
	setup: (*Network).placeSQThread,
	open: func(e *ringEngine, _ engine.Wait) error {
		e.sendsLater, e.copiesNothing = true, true
		return nil
	},
}

// With SetupSQPoll a thread of the kernel takes SQEs as soon as the tail shows
// them. A call is only needed when that thread sleeps, when the SQ is full, and
// to wait.
//
// Order: publish stores the tail and then wakeFlag loads the flag, both
// sequentially consistent; the thread sets the flag and then looks at the tail
// once more. So one of the two sees the other.

// wakeFlag is what an enter needs to wake the thread; 0 if it is awake, or
// there is none.
func (r *Ring) wakeFlag() uint32 {
	if r.polled && r.sqFlags.Load()&sqNeedWakeup != 0 {
		return enterSQWakeup
	}
	return 0
}

// Calls counts io_uring_enter so far.
func (r *Ring) Calls() uint64 { return r.calls }

// sqPause is how long AwaitSQ leaves the thread alone.
const sqPause = 200 * time.Microsecond

// AwaitSQ gives the kernel's thread time to take SQEs: until there is room in a
// full SQ, else for a moment. It does nothing on a ring without such a thread.
func (r *Ring) AwaitSQ() error {
	switch left := r.SQPending(); {
	case !r.polled || left == 0:
		return nil
	case left > r.sqMask:
		return r.enter(left, 0, r.enterFlags|r.wakeFlag()|enterSQWait, nil, 0, false)
	}
	pause := unix.NsecToTimespec(int64(sqPause))
	_ = unix.Nanosleep(&pause, nil) // cut short by a signal: asked again
	return nil
}

// awaitTaken waits until the kernel's thread has taken every SQE, for a call
// that must come after them. Without such a thread submitting has done that.
func (e *ringEngine) awaitTaken() error {
	for try := range makeRoomTriesMax {
		if !e.copiesNothing || e.ring.SQPending() == 0 {
			return nil
		}
		if err := e.submit(); err != nil { // it may have gone to sleep
			return err
		}
		if try < spinTries {
			runtime.Gosched()
		} else if err := e.awaitSQ(); err != nil {
			return err
		}
	}
	return fmt.Errorf("uring: the kernel's thread that submits (SQPoll) took nothing in %d tries", makeRoomTriesMax)
}

func (e *ringEngine) awaitSQ() error {
	calls := e.beforeEnter()
	return e.afterEnter(calls, e.ring.AwaitSQ())
}

// spinTries is how often awaitTaken looks before it sleeps: the thread usually
// needs a few microseconds.
const spinTries = 100

func (c *Config) sqPoll() Switch {
	if c.SQPoll > 0 {
		return On
	}
	return Off
}

func (c *Config) sqPollIdle() uint32 { return uint32(c.SQPoll / time.Millisecond) }

// placeSQThread says how long the kernel's thread waits, and where.
func (n *Network) placeSQThread(p *Params) {
	c := &n.config
	p.SQThreadIdle = c.sqPollIdle()
	if len(c.SQPollCPUs) > 0 {
		p.Flags |= SetupSQAff
		p.SQThreadCPU = uint32(c.SQPollCPUs[int(n.polled.Add(1)-1)%len(c.SQPollCPUs)])
	}
}
