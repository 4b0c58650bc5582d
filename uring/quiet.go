//go:build linux

package uring

import (
	"time"

	"kring/engine"
)

// quiet is a short blocking wait that the Go scheduler is not told of, as long as that
// pays. When it is told, the runtime's monitor takes the thread's P, starts another thread
// with it, and looks every 20 µs from then on, which under load can go on for ever.
type quiet struct{ habit }

// quietWait is how long a quiet wait lasts at most, and half of it at least; and so
// long may another goroutine have to wait for the P besides. To stop the world takes
// no longer: the runtime's signal ends the wait.
const quietWait = engine.BlockingWaitMax

func (k *quiet) mayBeQuiet(e *ringEngine) bool {
	return e.quietWaits && e.quick() && k.pays()
}

// quietly waits for a CQE, at most for limit (< 0: none) and for quietWait.
func (k *quiet) quietly(e *ringEngine, limit time.Duration) error {
	known := uint32(0) // CQEs that are there at once, and not what is waited for
	if e.completesAtOnce() && e.delaySends && !e.takenInPart {
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
	e.armTimeout()
	err := e.waitQuietly(known+1, -1)
	ready := e.ring.CQReady()
	timeout := e.onlyTimeout(ready, known)
	k.end(!timeout && ready > known)
	if timeout && known == 0 {
		e.ring.Reap(e.batch[:1])
		e.timeoutDone()
	}
	return err
}

// A timeout SQE ends a quiet wait. It stands for many waits. A limit on each wait would have
// the kernel set the processor's timer before the sleep and again after it: a fifth of the
// time that a minimal server took for a request. While it is not needed it is put off once
// in half of quietWait.

// armTimeout has the timeout come in quietWait, or in half of it at least.
func (e *ringEngine) armTimeout() {
	if e.timeoutArmed && time.Since(e.timeoutSet) < quietWait/2 {
		return
	}
	q := e.sqe()
	if e.timeoutArmed {
		q.PrepTimeoutUpdate(address(e.scratch.timeout), userData(opTimeout, 0, 0), 0)
		q.Flags, q.UserData = SQECQESkipSuccess, userData(opTimeoutUpdate, 0, 0)
	} else {
		q.PrepTimeout(address(e.scratch.timeout), 0, 0)
		q.UserData = userData(opTimeout, 0, 0)
		e.counts(q)
	}
	e.timeoutArmed, e.timeoutSet = true, time.Now()
}

// timeoutDone is told that the timeout's CQE was reaped.
func (e *ringEngine) timeoutDone() {
	e.timeoutArmed = false
	e.inflight--
}

// onlyTimeout says whether the timeout's CQE is all that came besides the known ones, of
// so many that were ready. Order: the CQEs are counted once, because the kernel may add to
// them at any time (on SQPoll's thread, or on one that the owner has left). A timeout
// behind one that was ready is not that one. Without DEFER_TASKRUN the timeout's CQE may
// precede those of the sends. Poll then returns early, which is harmless.
func (e *ringEngine) onlyTimeout(ready, known uint32) bool {
	return ready == known+1 && e.ring.readyData(known) == userData(opTimeout, 0, 0)
}
