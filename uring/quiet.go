//go:build linux

package uring

import "time"

// quiet is a wait of which the Go scheduler is not told, as long as that pays. What
// comes soon is then there without the runtime's monitor having taken the thread's P
// meanwhile: that costs a start of another thread, and makes the monitor look every
// 20 µs from then on, which under load can go on for ever.
type quiet struct{ habit }

// quietWait is how long a quiet wait goes on after the last CQE, at most twice as
// long; and so long may another goroutine have to wait for the P besides. To stop
// the world takes no longer: the runtime's signal ends the wait.
const quietWait = 2 * time.Millisecond

func (k *quiet) mayBeQuiet(e *ringEngine) bool {
	return e.config.QuietWait != Off && e.config.MinWait == 0 && e.quick() && k.pays()
}

// quietly waits for a CQE, at most for limit (< 0: none) and for 2 quietWait.
func (k *quiet) quietly(e *ringEngine, limit time.Duration) error {
	known := uint32(0) // CQEs that are there at once, and not what is waited for
	if e.completesAtOnce() {
		known = e.sends
	}
	if limit >= 0 && limit < 2*quietWait || ringFlavour != "" {
		if limit < 0 || limit > quietWait {
			limit = quietWait
		}
		err := e.waitQuietly(known+1, limit)
		k.end(e.ring.CQReady() > known)
		return err
	}
	for {
		whole := e.setTick()
		if err := e.waitQuietly(known+1, -1); err != nil || !e.onlyTick(known) {
			k.end(e.ring.CQReady() > known)
			return err
		}
		if whole {
			k.end(false)
		}
		if known > 0 { // they have waited long enough
			return nil
		}
		e.ring.Reap(e.batch[:1])
		e.tickDone()
		if whole {
			return nil
		}
	}
}

// A tick ends the quiet waits of the quietWait after it was set. It is an operation
// and not a limit on each wait because a limit has the kernel set the processor's
// timer before the sleep and again after it: of a request and its answer, that was a
// fifth of the time that a minimal server took. A wait that a tick cuts short begins
// again, with the next.

// setTick sets the tick, unless it stands; it says whether it did.
func (e *ringEngine) setTick() bool {
	if e.ticking {
		return false
	}
	e.ticking = true
	q := e.sqe()
	q.PrepTimeout(address(e.scratch.tick), 0, 0)
	q.UserData = userData(opTick, 0, 0)
	e.inflight++
	return true
}

// tickDone is told that the tick's CQE was reaped.
func (e *ringEngine) tickDone() {
	e.ticking = false
	e.inflight--
}

// onlyTick says whether the tick's CQE is all that came besides the known ones. On
// kernels without deferred work it may have come before those: then they are what
// ended the wait, which is early and no harm.
func (e *ringEngine) onlyTick(known uint32) bool {
	return e.ring.CQReady() == known+1 && e.ring.newest() == userData(opTick, 0, 0)
}
