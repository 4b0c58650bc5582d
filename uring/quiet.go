//go:build linux

package uring

import (
	"time"

	"kring/engine"
)

// quiet is a wait of which the Go scheduler is not told, as long as that pays. What
// comes soon is then there without the runtime's monitor having taken the thread's P
// meanwhile: that costs a start of another thread, and makes the monitor look every
// 20 µs from then on, which under load can go on for ever.
type quiet struct{ habit }

// quietWait is how long a quiet wait lasts at most, and half of it at least; and so
// long may another goroutine have to wait for the P besides. To stop the world takes
// no longer: the runtime's signal ends the wait.
const quietWait = engine.PatienceMax

func (k *quiet) mayBeQuiet(e *ringEngine) bool {
	return e.quietWaits && e.quick() && k.pays()
}

// quietly waits for a CQE, at most for limit (< 0: none) and for quietWait.
func (k *quiet) quietly(e *ringEngine, limit time.Duration) error {
	known := uint32(0) // CQEs that are there at once, and not what is waited for
	if e.completesAtOnce() && e.patient && !e.takenInPart {
		known = e.sends
		e.hurrySends()
	}
	if limit < 0 || limit > quietWait {
		limit = quietWait
	}
	if limit < quietWait || ringFlavour != "" {
		err := e.waitQuietly(known+1, limit)
		k.end(e.ring.CQReady() > known)
		return err
	}
	e.setTick()
	err := e.waitQuietly(known+1, -1)
	ready := e.ring.CQReady()
	tick := e.onlyTick(ready, known)
	k.end(!tick && ready > known)
	if tick && known == 0 {
		e.ring.Reap(e.batch[:1])
		e.tickDone()
	}
	return err
}

// A tick ends a quiet wait. It is an operation that stands for many waits, and not a
// limit on each, because a limit has the kernel set the processor's timer before the
// sleep and again after it: of a request and its answer, that was a fifth of the time
// that a minimal server took. While it is not needed it is put off once in half of
// quietWait.

// setTick has the tick come in quietWait, or in half of it at least.
func (e *ringEngine) setTick() {
	if e.ticking && time.Since(e.tickSet) < quietWait/2 {
		return
	}
	q := e.sqe()
	if e.ticking {
		q.PrepTimeoutUpdate(address(e.scratch.tick), userData(opTick, 0, 0), 0)
		q.Flags, q.UserData = SQECQESkipSuccess, userData(opTickLate, 0, 0)
	} else {
		q.PrepTimeout(address(e.scratch.tick), 0, 0)
		q.UserData = userData(opTick, 0, 0)
		e.counts(q)
	}
	e.ticking, e.tickSet = true, time.Now()
}

// tickDone is told that the tick's CQE was reaped.
func (e *ringEngine) tickDone() {
	e.ticking = false
	e.inflight--
}

// onlyTick says whether the tick's CQE is all that came besides the known ones, when
// so many were ready. Order: they are counted once, because the kernel may add to
// them at any time (on SQPoll's thread, or on one that the owner has left), and a
// tick behind one that was ready is not that one. Without deferred work the tick may
// have come before the known ones: then they are what ended the wait, which is early
// and no harm.
func (e *ringEngine) onlyTick(ready, known uint32) bool {
	return ready == known+1 && e.ring.readyData(known) == userData(opTick, 0, 0)
}
