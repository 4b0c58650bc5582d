//go:build linux

package uring

import (
	"sync/atomic"
	"time"
)

// Ring is one io_uring instance: SQEs go in, CQEs come out.
//
// Owner: one goroutine; with SetupSingleIssuer, one thread (that of NewRing,
// or of EnableRings after SetupRDisabled).
type Ring struct {
	registrar
	params Params

	sqes []SQE
	// sqTail: Order: stored after the SQEs were filled; the kernel loads it in
	// io_uring_enter. sqHead: the kernel stores it when it has copied them.
	sqHead, sqTail, sqFlags *atomic.Uint32
	sqMask                  uint32
	tail                    uint32 // SQEs given out, published or not
	seenHead                uint32 // what sqHead was when last looked at

	cqes []CQE
	// cqTail: Order: the kernel stores it after the CQEs; we load it before
	// reading them. cqHead: we store it after copying them out.
	cqHead, cqTail *atomic.Uint32
	cqMask         uint32
	head           uint32
	unflagged      bool // the kernel does not say when it has work to finish
	polled         bool // a thread of the kernel submits, see sqpoll.go
	calls          uint64

	enterFlags uint32
	enterFD    int      // of enter: the descriptor, or its index with RegisterRingFD
	waitFor    uint32   // CQEs that end a wait
	arg        *waitArg // mapped: the kernel reads it while we wait
	mapped     [3][]byte
}

// waitArg is what a wait with a time limit passes to the kernel.
type waitArg struct {
	events getEventsArg
	limit  timespec
}

// Params are the kernel's answer to the setup.
func (r *Ring) Params() Params { return r.params }

// FD is the ring's descriptor.
func (r *Ring) FD() int { return r.fd }

// restrain leaves of the ring what k has.
func (r *Ring) restrain(k *kernel) {
	r.last = k.register
	r.params.Features &= k.features
	r.SetNoIOWait(true)
}

// GetSQE returns the next submission entry with all 64 bytes zero, or nil when
// the queue is full: submit, and ask again.
func (r *Ring) GetSQE() *SQE {
	if r.tail-r.seenHead > r.sqMask {
		r.seenHead = r.sqHead.Load()
		if r.tail-r.seenHead > r.sqMask {
			return nil
		}
	}
	s := &r.sqes[r.tail&r.sqMask]
	*s = SQE{}
	r.tail++
	return s
}

// SQPending counts the SQEs given out that the kernel has not taken yet.
func (r *Ring) SQPending() uint32 { return r.tail - r.sqHead.Load() }

// SubmitAndGetEvents hands over what is pending and runs the kernel's deferred
// work, without waiting. quick: there is little to copy, so the Go scheduler is
// not told about the call (it would hold up a stop of the world). After an
// error SQPending says what is left.
func (r *Ring) SubmitAndGetEvents(quick bool) error {
	n := r.publish()
	if r.polled && !r.Overflowed() && r.wakeFlag() == 0 {
		return nil
	}
	return r.enter(n, 0, r.enterFlags|r.wakeFlag()|enterGetEvents, nil, 0, quick)
}

// SubmitAndWait hands over what is pending and waits for at least one CQE, at
// most for limit (< 0: without limit). EINTR and ETIME are answers, not
// failures. When not everything could be handed over it returns at once.
func (r *Ring) SubmitAndWait(limit time.Duration) error {
	return r.submitAndWait(r.waitFor, limit, false)
}

// SubmitAndWaitQuietly is SubmitAndWait for n CQEs without telling the Go scheduler, which
// takes the thread's P away when it is told of a call and finds it in there a tick
// of its monitor later (20 µs at its quickest). Until it returns nothing else runs
// on that P; a signal ends it, and so does the scheduler when it needs the P. So
// the wait is to be short: by limit, or by what completes on the ring.
func (r *Ring) SubmitAndWaitQuietly(n uint32, limit time.Duration) error {
	return r.submitAndWait(n, limit, true)
}

func (r *Ring) submitAndWait(waitFor uint32, limit time.Duration, quick bool) error {
	n := r.publish()
	flags := r.enterFlags | r.wakeFlag() | enterGetEvents
	if limit < 0 {
		if r.arg.events.MinWaitUsec == 0 {
			return r.enter(n, waitFor, flags, nil, 0, quick)
		}
		limit = minWaitLimit
	}
	r.arg.limit = timespec{Sec: int64(limit / time.Second), Nsec: int64(limit % time.Second)}
	return r.enterTimed(n, waitFor, flags|enterExtArg, quick)
}

// minWaitLimit is "no limit" with a min-wait. Kernel: 6.18, and by its source
// since 6.12, a wait without a limit ends with its min-wait, empty or not.
const minWaitLimit = 365 * 24 * time.Hour

// SetMinWait makes SubmitAndWait wait for n CQEs, or for d and then one; d is
// at least a microsecond. 1 and 0 take it back. Kernel: 6.12.
func (r *Ring) SetMinWait(n uint32, d time.Duration) {
	r.waitFor, r.arg.events.MinWaitUsec = n, uint32(d/time.Microsecond)
}

// SetNoIOWait says whether a wait counts as one for I/O. Kernel: 6.15 can
// choose; older ones always count it.
func (r *Ring) SetNoIOWait(on bool) {
	r.enterFlags &^= enterNoIOWait
	if on && r.params.Features&FeatureNoIOWait != 0 {
		r.enterFlags |= enterNoIOWait
	}
}

// RegisterRingFD calls the kernel with an index of the calling thread's from
// now on; only that thread may use the ring until UnregisterRingFD.
// Kernel: 5.18.
func (r *Ring) RegisterRingFD() error {
	index, err := r.registerRingFD()
	if err == nil {
		r.enterFD = int(index)
		r.enterFlags |= enterRegisteredRing
	}
	return err
}

// UnregisterRingFD takes RegisterRingFD back, if it was called: the thread
// would hold the ring open over its Close.
func (r *Ring) UnregisterRingFD() error {
	if r.enterFlags&enterRegisteredRing == 0 {
		return nil
	}
	index := uint32(r.enterFD)
	r.enterFD = r.fd
	r.enterFlags &^= enterRegisteredRing
	return r.unregisterRingFD(index)
}

// unpublished gives f every SQE that was given out and that publish has not
// shown the kernel yet.
func (r *Ring) unpublished(f func(q *SQE)) {
	for at := r.sqTail.Load(); at != r.tail; at++ {
		f(&r.sqes[at&r.sqMask])
	}
}

// publish makes every SQE given out visible to the kernel and says how many it
// has not taken.
func (r *Ring) publish() uint32 {
	r.sqTail.Store(r.tail)
	return r.tail - r.sqHead.Load()
}

// readyData is the user data of the CQE that i others are to be reaped before; it is
// there.
func (r *Ring) readyData(i uint32) uint64 { return r.cqes[(r.head+i)&r.cqMask].UserData }

// readyBuffers counts the buffers of w that the CQEs bring which wait to be reaped.
func (r *Ring) readyBuffers(w *window) (n int) {
	for i := range r.CQReady() {
		n += w.filledBy(&r.cqes[(r.head+i)&r.cqMask])
	}
	return n
}

// CQReady counts the CQEs that wait to be reaped.
func (r *Ring) CQReady() uint32 { return r.cqTail.Load() - r.head }

// NeedsEnter says that the kernel has CQEs for us that only an enter brings:
// deferred work, or an overflowing CQ.
func (r *Ring) NeedsEnter() bool {
	return r.unflagged || r.sqFlags.Load()&(sqTaskrun|sqCQOverflow) != 0
}

// Overflowed says that the CQ was full and the kernel keeps CQEs on a list.
func (r *Ring) Overflowed() bool { return r.sqFlags.Load()&sqCQOverflow != 0 }

// Reap copies out up to len(batch) CQEs and frees their places with one store.
func (r *Ring) Reap(batch []CQE) int {
	n := min(r.CQReady(), uint32(len(batch)))
	if n == 0 {
		return 0
	}
	for i := range n {
		batch[i] = r.cqes[(r.head+i)&r.cqMask]
	}
	r.head += n
	r.cqHead.Store(r.head)
	return int(n)
}
