//go:build linux

package uring

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"kring/engine"
	"kring/internal/park"
)

// sleeper is how an engine's owner waits: all of the difference between
// engine.WaitLocked and engine.WaitParked that is not a setup flag.
type sleeper interface {
	// pass submits what is pending, and waits for a CQE or a wake, at most for
	// wait (< 0: no limit, 0: not at all).
	pass(e *ringEngine, wait time.Duration) error
	// wake ends a pass that waits, or keeps the next from waiting.
	wake()
	// woken is told that the wake word's read completed.
	woken(e *ringEngine)
	close() error
}

// wakeupFlag is the wake's handshake. Order: the owner swaps asleep in before it
// sleeps; a waker swaps notified in and wakes only an owner that it found asleep.
// So a Wake of an owner that is awake, or was woken already, is one swap.
type wakeupFlag struct{ state atomic.Uint32 }

const (
	awake uint32 = iota
	asleep
	waitingShortly // a parked owner, in a quiet wait
	notified
)

// trySleep says whether the owner may sleep so. A notify before it forbids that.
func (a *wakeupFlag) trySleep(to uint32) bool {
	if a.state.CompareAndSwap(awake, to) {
		return true
	}
	a.state.Store(awake)
	return false
}

// setAwake ends a sleep. A notify in between was for the pass that is ending.
func (a *wakeupFlag) setAwake() {
	if a.state.Load() != awake {
		a.state.Store(awake)
	}
}

// notify says how the owner slept, if it has to be woken; else awake or notified.
func (a *wakeupFlag) notify() uint32 {
	if a.state.Load() == notified {
		return notified
	}
	return a.state.Swap(notified)
}

// eventfd is a descriptor that a wake writes to and that the ring reads.
type eventfd struct {
	fd   int32
	file *os.File // of fd: its Write is safe against a concurrent Close
}

// one is what a wake writes: 1, in either byte order not 0.
var one = []byte{1, 0, 0, 0, 0, 0, 0, 0}

func openEventfd(e *ringEngine) (eventfd, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		return eventfd{}, fmt.Errorf("uring: eventfd: %w (EMFILE, ENFILE: raise the limit of open files)", err)
	}
	v := eventfd{int32(fd), os.NewFile(uintptr(fd), "kring-wake")}
	v.woken(e)
	return v, nil
}

func (v *eventfd) signal() { _, _ = v.file.Write(one) } // fails only after close

func (v *eventfd) woken(e *ringEngine) {
	q := e.sqe()
	q.PrepRead(v.fd, address(e.scratch.word), uint32(len(e.scratch.word)), 0)
	q.UserData = userData(opWake, 0, 0)
	e.counts(q)
}

func (v *eventfd) close() error { return v.file.Close() }

// inKernel waits in io_uring_enter, on a thread of its own. It is woken by an
// eventfd that the ring reads.
type inKernel struct {
	wakeupFlag
	quiet
	wakes *engine.Counters
	eventfd
}

func openInKernel(e *ringEngine) (sleeper, error) {
	if e.config.Wake == WakeMsgRing {
		return openMessenger(e)
	}
	fd, err := openEventfd(e)
	if err != nil {
		return nil, err
	}
	return &inKernel{eventfd: fd, wakes: &e.counters}, nil
}

func (k *inKernel) pass(e *ringEngine, wait time.Duration) error {
	if wait != 0 && e.use.look != nil {
		found, err := e.use.look(e, &k.wakeupFlag, wait, nil)
		if err != nil || found {
			k.setAwake()
			return err
		}
	}
	if wait != 0 && e.completesAtOnce() && !(e.delaySends && k.mayBeQuiet(e)) {
		if err := e.submit(); err != nil || e.ring.CQReady() > 0 {
			k.setAwake()
			return err
		}
	}
	if wait == 0 || !k.trySleep(asleep) {
		k.setAwake()
		return e.submitPending()
	}
	err := k.sleep(e, wait)
	k.setAwake()
	return err
}

func (k *inKernel) sleep(e *ringEngine, wait time.Duration) error {
	if e.announced {
		return e.submitAndWait(wait)
	}
	if !k.mayBeQuiet(e) {
		k.skip()
		return e.submitAndWait(wait)
	}
	if err := k.quietly(e, wait); err != nil || e.ring.CQReady() > 0 || wait > 0 {
		return err // the owner knows how long is left
	}
	return e.submitAndWait(wait)
}

func (k *inKernel) wake() {
	if k.notify() != asleep {
		k.wakes.WakesSuppressed.Add(1)
		return
	}
	k.wakes.Wakes.Add(1)
	k.signal()
}

// onPoller waits as any goroutine does: on Go's own poller, for the ring's
// descriptor to have completions.
type onPoller struct {
	wakeupFlag
	eventfd
	quiet
	shortWaits int // quiet waits since the last other one
	wakes      *engine.Counters
	parker     *park.Parker
	ready      func() bool
	err        error // of an enter inside ready
}

func openOnPoller(e *ringEngine) (sleeper, error) {
	parker, err := park.New(e.ring.FD())
	if err != nil {
		return nil, fmt.Errorf("uring: %w", err)
	}
	fd, err := openEventfd(e)
	if err != nil {
		_ = parker.Close()
		return nil, err
	}
	p := &onPoller{parker: parker, eventfd: fd, wakes: &e.counters}
	p.ready = func() bool { return p.look(e) }
	return p, nil
}

func (p *onPoller) pass(e *ringEngine, wait time.Duration) error {
	if wait != 0 && p.mayWaitShortly(e) {
		if done, err := p.waitShortly(e, wait); done {
			p.setAwake()
			return err
		}
	}
	if err := e.submitPending(); err != nil {
		return err
	}
	if wait != 0 && e.use.look != nil {
		found, err := e.use.look(e, &p.wakeupFlag, wait, runtime.Gosched)
		if err != nil || found {
			p.setAwake()
			return err
		}
	}
	if wait == 0 || e.ring.CQReady() > 0 || !p.trySleep(asleep) {
		p.setAwake()
		return nil
	}
	p.shortWaits = 0
	p.parker.Park(p.ready, wait)
	p.setAwake()
	return p.err
}

// shortWaitsMax bounds the quiet waits between two others: with one P, other goroutines
// that wait on Go's poller are looked after only in those.
const shortWaitsMax = 8

// mayWaitShortly says whether to wait quietly first.
func (p *onPoller) mayWaitShortly(e *ringEngine) bool {
	if !e.mayBlockP || e.announced || e.use.look != nil || p.shortWaits == shortWaitsMax {
		return false
	}
	may := p.mayBeQuiet(e)
	if !may {
		p.skip()
	}
	return may
}

// waitShortly waits quietly, and says whether that was all there is to do. Whoever is
// ready to run may have the P first.
func (p *onPoller) waitShortly(e *ringEngine, wait time.Duration) (done bool, err error) {
	if e.completesAtOnce() && !e.delaySends {
		if err := e.submit(); err != nil || e.ring.CQReady() > 0 {
			return true, err
		}
	}
	runtime.Gosched()
	if e.ring.CQReady() > 0 || !p.trySleep(waitingShortly) {
		return true, e.submitPending()
	}
	p.shortWaits++
	err = p.quietly(e, wait)
	woken := !p.state.CompareAndSwap(waitingShortly, awake)
	return woken || err != nil || e.ring.CQReady() > 0 || wait > 0, err
}

// look asks for completions, and enters once for those that only an enter
// brings. Not more than once: deferred work may belong to a thread that this
// goroutine was on before. That thread will see to it, and the descriptor
// becomes readable then.
func (p *onPoller) look(e *ringEngine) bool {
	if e.ring.CQReady() > 0 {
		return true
	}
	if e.ring.NeedsEnter() {
		p.err = e.submit()
	}
	return p.err != nil || e.ring.CQReady() > 0
}

func (p *onPoller) wake() {
	switch p.notify() {
	case asleep:
		p.wakes.Wakes.Add(1)
		p.parker.Unpark()
	case waitingShortly:
		p.wakes.Wakes.Add(1)
		p.signal()
	default:
		p.wakes.WakesSuppressed.Add(1)
	}
}

func (p *onPoller) close() error { return errors.Join(p.parker.Close(), p.eventfd.close()) }
