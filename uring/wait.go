//go:build linux

package uring

import (
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

// alarm is the wake's handshake. Order: the owner swaps asleep in before it
// sleeps; a waker swaps rung in and wakes only an owner that it found asleep.
// So a Wake of an owner that is awake, or was woken already, is one swap.
type alarm struct{ state atomic.Uint32 }

const (
	awake uint32 = iota
	asleep
	rung
)

// fallAsleep says whether the owner may sleep; a ring before it forbids that.
func (a *alarm) fallAsleep() bool {
	if a.state.CompareAndSwap(awake, asleep) {
		return true
	}
	a.state.Store(awake)
	return false
}

// rise: awake again; a ring in between was for the pass that is ending.
func (a *alarm) rise() {
	if a.state.Load() != awake {
		a.state.Store(awake)
	}
}

// ring says whether the owner has to be woken.
func (a *alarm) ring() bool { return a.state.Load() != rung && a.state.Swap(rung) == asleep }

// inKernel waits in io_uring_enter, on a thread of its own. It is woken by an
// eventfd that the ring reads.
type inKernel struct {
	alarm
	habit habit
	wakes *engine.Counters
	fd    int32
	file  *os.File // of fd: its Write is safe against a concurrent Close
}

// one is what a wake writes: 1, in either byte order not 0.
var one = []byte{1, 0, 0, 0, 0, 0, 0, 0}

func openInKernel(e *ringEngine) (sleeper, error) {
	if e.config.Wake == WakeMsgRing {
		return openMessenger(e)
	}
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("uring: eventfd: %w (EMFILE, ENFILE: raise the limit of open files)", err)
	}
	k := &inKernel{fd: int32(fd), file: os.NewFile(uintptr(fd), "kring-wake"), wakes: &e.counters}
	k.woken(e)
	return k, nil
}

func (k *inKernel) pass(e *ringEngine, wait time.Duration) error {
	if wait != 0 && e.config.BusyPoll > 0 {
		found, err := e.look(&k.alarm, wait, nil)
		if err != nil || found {
			k.rise()
			return err
		}
	}
	if wait != 0 && e.completesAtOnce() && !(e.patient && k.mayBeQuiet(e)) {
		if err := e.submit(); err != nil || e.ring.CQReady() > 0 {
			k.rise()
			return err
		}
	}
	if wait == 0 || !k.fallAsleep() {
		k.rise()
		return e.submitPending()
	}
	err := k.quietly(e, wait)
	if err == nil && e.ring.CQReady() == 0 {
		err = e.submitAndWait(wait)
	}
	k.rise()
	return err
}

// quietly waits a little without telling the Go scheduler, if that paid lately.
// What comes soon is then there without the runtime's monitor having taken the
// thread's P meanwhile: that costs a start of another thread, and makes the monitor
// look every 20 µs from then on, which under load can go on for ever.
func (k *inKernel) quietly(e *ringEngine, wait time.Duration) error {
	if !k.mayBeQuiet(e) {
		k.habit.skip()
		return nil
	}
	known := uint32(0) // CQEs that are there at once, and not what is waited for
	if e.completesAtOnce() {
		known = e.sends
	}
	limit := quietWait
	if wait > 0 {
		limit = min(limit, wait)
	}
	if limit < quietWait || ringFlavour != "" {
		err := e.waitQuietly(known+1, limit)
		k.habit.end(e.ring.CQReady() > known)
		return err
	}
	for {
		whole := e.setTick()
		if err := e.waitQuietly(known+1, -1); err != nil || !e.onlyTick(known) {
			k.habit.end(e.ring.CQReady() > known)
			return err
		}
		if whole {
			k.habit.end(false)
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

func (k *inKernel) mayBeQuiet(e *ringEngine) bool {
	return e.config.QuietWait != Off && e.config.MinWait == 0 && e.quick() && k.habit.pays()
}

func (k *inKernel) wake() {
	if !k.ring() {
		k.wakes.WakesSuppressed.Add(1)
		return
	}
	k.wakes.Wakes.Add(1)
	_, _ = k.file.Write(one) // fails only after close
}

func (k *inKernel) woken(e *ringEngine) {
	q := e.sqe()
	q.PrepRead(k.fd, address(e.scratch.word), uint32(len(e.scratch.word)), 0)
	q.UserData = userData(opWake, 0, 0)
	e.inflight++
}

func (k *inKernel) close() error { return k.file.Close() }

// onPoller waits as any goroutine does: on Go's own poller, for the ring's
// descriptor to have completions.
type onPoller struct {
	alarm
	wakes  *engine.Counters
	parker *park.Parker
	ready  func() bool
	err    error // of an enter inside ready
}

func openOnPoller(e *ringEngine) (sleeper, error) {
	parker, err := park.New(e.ring.FD())
	if err != nil {
		return nil, fmt.Errorf("uring: %w", err)
	}
	p := &onPoller{parker: parker, wakes: &e.counters}
	p.ready = func() bool { return p.look(e) }
	return p, nil
}

func (p *onPoller) pass(e *ringEngine, wait time.Duration) error {
	if err := e.submitPending(); err != nil {
		return err
	}
	if wait != 0 && e.config.BusyPoll > 0 {
		found, err := e.look(&p.alarm, wait, runtime.Gosched)
		if err != nil || found {
			p.rise()
			return err
		}
	}
	if wait == 0 || e.ring.CQReady() > 0 || !p.fallAsleep() {
		p.rise()
		return nil
	}
	p.parker.Park(p.ready, wait)
	p.rise()
	return p.err
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
	if !p.ring() {
		p.wakes.WakesSuppressed.Add(1)
		return
	}
	p.wakes.Wakes.Add(1)
	p.parker.Unpark()
}

// woken: a parked engine has no wake word.
func (p *onPoller) woken(*ringEngine) {}

func (p *onPoller) close() error { return p.parker.Close() }
