//go:build linux && giouring && (amd64 || arm64)

package uring

import (
	"fmt"
	"syscall"
	"time"
	"unsafe"

	"github.com/pawelgaczynski/giouring"
	"golang.org/x/sys/unix"
)

// ring is what the engines run on: under the build tag giouring, giouring's.
//
// Only its queues are used, and only where they are right:
//   - its prepare functions leave fields of the slot's former use standing, so
//     GetSQE zeroes all 64 bytes, and our Prep functions fill them (a test
//     compares the two);
//   - its Params have no exported fields, so ours go in by a cast;
//   - with NO_SQARRAY it writes its index array over the ring's head and tail,
//     so that flag is never asked for;
//   - its waits take a *Timespec whose address it keeps as a number, so ours
//     is mapped memory;
//   - PeekBatchCQE fills the whole slice it is given, so it gets one as long
//     as what is ready;
//   - it does not show the SQ flags but for the overflow, so NeedsEnter says
//     yes always: one enter too many now and then, none too few;
//   - registering (int and []uint where the kernel reads 32 bits, errors
//     swallowed, flags dropped) and its buffer ring (wrong above 4096 entries,
//     tail stored without release) are left alone: registrar and BufRing need
//     only the descriptor.
type ring struct {
	registrar
	inner  *giouring.Ring
	params Params
	limit  *syscall.Timespec
	page   []byte
	calls  uint64
	seen   [256]*giouring.CompletionQueueEvent
}

const ringFlavour = "giouring's ring"

const ringFlagsRefused = SetupNoSQArray

func openRing(entries uint32, p *Params) (*ring, error) {
	r := &ring{inner: giouring.NewRing()}
	// Sound: both are the kernel's io_uring_params; a test compares the sizes.
	if err := r.inner.QueueInitParams(entries, (*giouring.Params)(unsafe.Pointer(p))); err != nil {
		return nil, err
	}
	r.registrar, r.params = registrar{fd: r.inner.RingFd()}, *p
	page, err := unix.Mmap(-1, 0, int(unsafe.Sizeof(syscall.Timespec{})), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		r.inner.QueueExit()
		return nil, fmt.Errorf("uring: mmap of the time limit: %w", err)
	}
	// Sound: mapped until Close; the kernel reads it during a wait only.
	r.page, r.limit = page, (*syscall.Timespec)(unsafe.Pointer(&page[0]))
	return r, nil
}

func (r *ring) Params() Params { return r.params }

func (r *ring) FD() int { return r.fd }

func (r *ring) restrain(k *kernel) {
	r.last = k.register
	r.params.Features &= k.features
}

// What only our own ring can do.

func (r *ring) SetNoIOWait(bool) {}

func (r *ring) SetMinWait(uint32, time.Duration) {}

func (r *ring) RegisterRingFD() error { return unix.EOPNOTSUPP }

func (r *ring) UnregisterRingFD() error { return nil }

func (r *ring) GetSQE() *SQE {
	// Sound: both are the kernel's io_uring_sqe; a test compares the sizes.
	s := (*SQE)(unsafe.Pointer(r.inner.GetSQE()))
	if s != nil {
		*s = SQE{}
	}
	return s
}

// unpublished: this ring does not show them.
func (r *ring) unpublished(func(q *SQE)) {}

func (r *ring) SQPending() uint32 { return r.inner.SQReady() }

// Calls counts one for each submission.
func (r *ring) Calls() uint64 { return r.calls }

// AwaitSQ: nothing submits on this ring's behalf.
func (r *ring) AwaitSQ() error { return nil }

func (r *ring) SubmitAndGetEvents(bool) error {
	r.calls++
	_, err := r.inner.SubmitAndGetEvents()
	return err
}

// SubmitAndWaitQuietly: this ring tells the scheduler always.
func (r *ring) SubmitAndWaitQuietly(n uint32, limit time.Duration) error {
	return r.submitAndWait(n, limit)
}

func (r *ring) SubmitAndWait(limit time.Duration) error { return r.submitAndWait(1, limit) }

func (r *ring) submitAndWait(n uint32, limit time.Duration) error {
	r.calls++
	if limit < 0 {
		_, err := r.inner.SubmitAndWait(n)
		return err
	}
	*r.limit = syscall.NsecToTimespec(int64(limit))
	_, err := r.inner.SubmitAndWaitTimeout(n, r.limit, nil)
	if err == unix.EAGAIN {
		return nil // "no CQE here", after the kernel said yes
	}
	return err
}

// readyData: this ring waits for no tick.
func (r *ring) readyData(uint32) uint64 { return 0 }

func (r *ring) readyBuffers(w *window) (n int) {
	ready := min(int(r.inner.CQReady()), len(r.seen))
	if ready == 0 {
		return 0 // else it would enter the kernel
	}
	r.inner.PeekBatchCQE(r.seen[:ready])
	for _, c := range r.seen[:ready] {
		n += w.filledBy((*CQE)(unsafe.Pointer(c))) // Sound: both are io_uring_cqe
	}
	return n
}

func (r *ring) CQReady() uint32 { return r.inner.CQReady() }

func (r *ring) NeedsEnter() bool { return true }

func (r *ring) Overflowed() bool { return r.inner.CQHasOverflow() }

func (r *ring) Reap(batch []CQE) int {
	n := min(int(r.inner.CQReady()), len(batch), len(r.seen))
	if n == 0 {
		return 0
	}
	r.inner.PeekBatchCQE(r.seen[:n])
	for i, c := range r.seen[:n] {
		batch[i] = *(*CQE)(unsafe.Pointer(c)) // Sound: both are io_uring_cqe
	}
	r.inner.CQAdvance(uint32(n))
	return n
}

func (r *ring) Close() error {
	r.inner.QueueExit()
	return unix.Munmap(r.page)
}
