//go:build linux

package uring

import (
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"kring/engine"
	"kring/internal/invariants"
)

// totals are the counters as the owner keeps them; Poll publishes what changed.
type totals struct {
	enters, submitted, completed              uint64
	exhausted, starved, rearmed, overflows    uint64
	shortSends, zeroCopySends, zeroCopyCopied uint64
	registered, followed                      uint64
}

func (e *ringEngine) Poll(done []engine.Completion, wait time.Duration) (int, error) {
	if e.dead != nil {
		return 0, e.dead
	}
	e.window.publish() // before the SQEs that may want the buffers
	if e.large != nil {
		e.large.publish()
	}
	if e.short > 0 {
		e.refill(len(done))
	}
	if len(e.shut) > 0 {
		if err := e.shutDown(); err != nil {
			return 0, e.die(err)
		}
	}
	if len(e.spill) > 0 || e.ring.CQReady() > 0 || e.waits() {
		wait = 0
	}
	if err := e.sleeper.pass(e, wait); err != nil {
		return 0, e.die(err)
	}
	e.delaySends, e.mayBlockP, e.announced = false, false, false
	e.follower.look()
	n := e.reap(done)
	e.crowded(len(done))
	e.total.completed += uint64(n)
	e.publishCounters()
	if n > 0 {
		return n, nil // what it has died of is the next Poll's
	}
	return 0, e.dead
}

// reap turns CQEs into completions until done is full or none is left.
func (e *ringEngine) reap(done []engine.Completion) int {
	n := 0
	for n < len(done) {
		batch := e.batch[:min(len(done)-n, e.reapMax)]
		got := e.next(batch)
		if got == 0 {
			break
		}
		for i := range batch[:got] {
			if e.use.split != nil {
				e.use.split(e, &batch[i])
			}
			if e.complete(&batch[i], &done[n]) {
				n++
			}
		}
	}
	return n
}

// next takes CQEs in the kernel's order: those spilled came first.
func (e *ringEngine) next(batch []CQE) int {
	if len(e.spill) == 0 {
		return e.ring.Reap(batch)
	}
	n := copy(batch, e.spill)
	e.spill = e.spill[:copy(e.spill, e.spill[n:])]
	return n
}

// spillReady empties the CQ, for a kernel that refuses SQEs until it has room.
// Never by way of the batch: its CQEs may be what is being completed.
func (e *ringEngine) spillReady() {
	for n := int(e.ring.CQReady()); n > 0; n = int(e.ring.CQReady()) {
		end := len(e.spill)
		e.spill = slices.Grow(e.spill, n)
		e.spill = e.spill[:end+e.ring.Reap(e.spill[end:end+n])]
	}
}

// submitPending enters the kernel if there is anything to bring or to fetch.
func (e *ringEngine) submitPending() error {
	if e.ring.SQPending() == 0 {
		e.allTaken()
		if !e.ring.NeedsEnter() {
			return nil
		}
	}
	return e.submit()
}

// submit hands over the SQEs and fetches what the kernel has, without waiting.
func (e *ringEngine) submit() error {
	calls := e.beforeEnter()
	err := e.ring.SubmitAndGetEvents(e.quick())
	return e.afterEnter(calls, err)
}

// submitAndWait is submit that waits for a CQE, at most for limit.
func (e *ringEngine) submitAndWait(limit time.Duration) error {
	calls := e.beforeEnter()
	err := e.ring.SubmitAndWait(limit)
	return e.afterEnter(calls, err)
}

// waitQuietly is submitAndWait for n CQEs, and for so short a time that the Go
// scheduler need not be told.
func (e *ringEngine) waitQuietly(n uint32, limit time.Duration) error {
	calls := e.beforeEnter()
	err := e.ring.SubmitAndWaitQuietly(n, limit)
	return e.afterEnter(calls, err)
}

func (e *ringEngine) beforeEnter() (calls uint64) {
	if e.ring.Overflowed() {
		e.total.overflows++
	}
	if invariants.Enabled {
		e.checkAddresses()
	}
	return e.ring.Calls()
}

func (e *ringEngine) afterEnter(calls uint64, err error) error {
	left := e.ring.SQPending()
	e.total.enters += e.ring.Calls() - calls
	e.total.submitted = e.issued - uint64(left)
	if left == 0 {
		e.allTaken()
	} else {
		e.takenInPart = true
	}
	switch err {
	case nil, unix.EINTR, unix.ETIME:
		return nil
	case unix.EAGAIN, unix.EBUSY:
		return nil // no memory for requests, or no room in the CQ: reap, and try again
	}
	return enterError(err)
}

// allTaken: the kernel has copied every SQE, and what they point at.
func (e *ringEngine) allTaken() {
	e.scratch.reset()
	e.sends, e.sendBytes, e.takenInPart = 0, 0, false
}

// completesAtOnce says that the next enter will have something to show: a send
// completes while it is submitted. Such a pass needs no sleep, so it is done in
// a call that keeps the Go scheduler out: told of a sleep, it takes the thread's
// P away when the copying lasts for more than 20 µs, and starts another thread.
func (e *ringEngine) completesAtOnce() bool {
	return e.sends > 0 && !e.sendsLater && e.quick()
}

// quick says that the next enter has little to copy, so the Go scheduler need not be
// told: its monitor would look for it every 20 µs from then on.
func (e *ringEngine) quick() bool {
	return e.bulk == 0 || e.copiesNothing
}

// shutDown makes the system calls that Shutdown asked for; the ring's own
// operation would start a kernel thread for each. Order: SQEs first, because
// what was submitted before a Shutdown happens before it.
func (e *ringEngine) shutDown() error {
	if err := e.submitPending(); err != nil {
		return err
	}
	if err := e.awaitTaken(); err != nil {
		return err
	}
	for _, fd := range e.shut {
		s := e.sockets.of(fd)
		how := s.shut
		s.shut = shutNothing
		switch how {
		case shutNothing:
			continue // closed in the meantime
		case shutSend:
			e.total.enters++
			_ = unix.Shutdown(int(fd), unix.SHUT_WR) // ENOTCONN: the peer was faster
			continue
		}
		_ = unix.Shutdown(int(fd), unix.SHUT_RDWR) // the same
		e.total.enters++
		for _, disconnect := range e.use.disconnect {
			disconnect(e, fd, s)
		}
	}
	e.shut = e.shut[:0]
	return nil
}

func (e *ringEngine) publishCounters() {
	c, t := &e.counters, &e.total
	show(&c.Enters, t.enters)
	show(&c.Submitted, t.submitted)
	show(&c.Completed, t.completed)
	show(&c.Exhausted, t.exhausted)
	show(&c.Starved, t.starved)
	show(&c.Rearmed, t.rearmed)
	show(&c.Overflows, t.overflows)
	show(&c.ShortSends, t.shortSends)
	show(&c.ZeroCopySends, t.zeroCopySends)
	show(&c.ZeroCopyCopied, t.zeroCopyCopied)
	show(&c.Registered, t.registered)
	show(&c.Followed, t.followed)
	e.publishBuffers()
}

func (e *ringEngine) publishBuffers() {
	bytes, lent := e.window.lentBytes()+int64(e.fixed.lent)*int64(e.fixed.size), e.window.lent+e.fixed.lent
	if e.large != nil {
		bytes, lent = bytes+e.large.lentBytes(), lent+e.large.lent
	}
	e.counters.LentBytes.Store(bytes)
	e.counters.BuffersLent.Store(int64(lent))
	e.counters.BuffersReady.Store(int64(e.window.given))
}

// show stores what changed: a load costs nothing, where a store locks the line.
func show(shown *atomic.Uint64, v uint64) {
	if shown.Load() != v {
		shown.Store(v)
	}
}

func enterError(err error) error {
	switch err {
	case unix.EEXIST:
		return fmt.Errorf("uring: io_uring_enter: %w: a locked engine was used from another thread: "+
			"its goroutine must call runtime.LockOSThread before Open and stay locked", err)
	case unix.EBADF, unix.EOPNOTSUPP:
		return fmt.Errorf("uring: io_uring_enter: %w: the ring's descriptor was closed by somebody else", err)
	case unix.EOWNERDEAD:
		return fmt.Errorf("uring: io_uring_enter: %w: the kernel's thread that submits (SQPoll) has ended", err)
	case unix.EBADR:
		return fmt.Errorf("uring: io_uring_enter: %w: the kernel ran out of memory and dropped completions", err)
	}
	return fmt.Errorf("uring: io_uring_enter: %w", err)
}
