//go:build linux

package uring

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"kring/engine"
	"kring/internal/invariants"
)

// drainLimit bounds how long Close waits for the kernel to let go.
const drainLimit = 5 * time.Second

// Close releases the engine, but for the memory that is lent: it stays until the
// last Recycle.
func (e *ringEngine) Close() error {
	if e.dead == errClosed {
		return nil
	}
	e.dead = errClosed
	stuck := e.drain()
	errs := []error{e.sleeper.close(), e.unbind()}
	if stuck != nil {
		// Better to leak than to let the kernel write into somebody's memory.
		errs = append(errs, fmt.Errorf("uring: Close: %d operations did not end: %w: %w", e.inflight, engine.ErrMemoryHeld, stuck))
	}
	errs = append(errs, e.free(stuck == nil))
	e.publishBuffers()
	return errors.Join(errs...)
}

// free gives back what the engine holds; the buffers only if nothing is
// outstanding on them.
func (e *ringEngine) free(drained bool) error {
	var errs []error
	if e.ring != nil {
		errs = append(errs, e.ring.UnregisterRingFD(), e.ring.Close())
	}
	if e.window != nil && drained {
		errs = append(errs, e.window.close())
	}
	if e.large != nil && drained {
		errs = append(errs, e.large.close())
	}
	if drained {
		for _, closes := range e.use.close {
			errs = append(errs, closes(e))
		}
	}
	if e.scratch != nil && drained {
		errs = append(errs, e.scratch.close())
	}
	return errors.Join(errs...)
}

// drain cancels everything and waits until the last operation has ended: only
// then does the kernel know none of our addresses any more. Closing the ring
// alone would end them some time later.
func (e *ringEngine) drain() error {
	deadline := time.Now().Add(drainLimit)
	for e.inflight > 0 {
		if q := e.ring.GetSQE(); q != nil {
			q.PrepCancel(0, CancelAny|CancelAll)
			q.Flags, q.UserData = SQECQESkipSuccess, userData(opCancel, 0, 0)
		}
		err := e.ring.SubmitAndWait(10 * time.Millisecond)
		switch err {
		case nil, unix.EINTR, unix.ETIME, unix.EAGAIN, unix.EBUSY:
		default:
			return enterError(err)
		}
		for n := e.next(e.batch[:]); n > 0; n = e.next(e.batch[:]) {
			for i := range e.batch[:n] {
				e.forget(&e.batch[i])
			}
		}
		if e.inflight > 0 {
			e.disconnectAll()
		}
		if e.inflight > 0 && time.Now().After(deadline) {
			return fmt.Errorf("the kernel did not cancel them within %v", drainLimit)
		}
	}
	return nil
}

// disconnectAll ends what no cancel reaches.
func (e *ringEngine) disconnectAll() {
	for _, disconnect := range e.use.disconnect {
		for fd, s := range e.sockets.all() {
			disconnect(e, fd, s)
		}
	}
}

// forget takes a CQE that nobody will hear of.
func (e *ringEngine) forget(q *CQE) {
	op := engine.Op(q.UserData >> opShift)
	if op == opCancel || op == opMessage || op == opPlace || op == opTimeoutUpdate {
		return
	}
	if op == engine.OpAccept && q.Res >= 0 {
		_ = unix.Close(int(q.Res)) // nobody knows it
	}
	if q.Flags&CQEMore == 0 {
		e.inflight--
	}
}

// lateClose is a close that the kernel has done, and whose CQE nobody has reaped
// yet, on a descriptor that is another connection's already: as soon as the
// kernel has closed it, the acceptor's ring may be given its number.
type lateClose struct {
	sequence uint32
	token    engine.Token
}

// outliveClose lets the close that is outstanding on fd complete for its own
// token, when the descriptor is somebody else's from here on.
func (e *ringEngine) outliveClose(s *socket) {
	if s.out.op == engine.OpClose {
		e.lateCloses = append(e.lateCloses, lateClose{s.out.sequence, s.token})
		s.out = operation{}
	}
}

func (e *ringEngine) lateCloseDone(q *CQE, c *engine.Completion) bool {
	i := slices.IndexFunc(e.lateCloses, func(l lateClose) bool { return l.sequence == sequenceOf(q) })
	if invariants.Enabled {
		invariants.Assert(i >= 0, "uring: completion of close %d, which nobody asked for", sequenceOf(q))
	}
	*c = engine.Completion{Token: e.lateCloses[i].token, Op: engine.OpClose, Res: q.Res}
	e.lateCloses = slices.Delete(e.lateCloses, i, i+1)
	e.inflight--
	return true
}
