package epoll

import (
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"kring/engine"
	"kring/internal/park"
)

// States of an engine's owner.
const (
	running  = iota // in its own code, or in Poll without blocking
	sleeping        // about to block, or blocked: a Wake has to reach it
	woken           // somebody called Wake, and no Poll has returned since
)

// wakeMark is the Fd of the event that the eventfd has.
const wakeMark = -1

// waiter is how an engine looks for events, sleeps and is woken.
type waiter struct {
	e   *Engine
	got [eventsMax]unix.EpollEvent
	n   int
	err error

	// state: Order: whoever calls Wake has published its work before it swaps
	// woken in; the owner takes woken out before it looks for that work.
	state atomic.Uint32

	// One of the two sleeps. parker is nil when the owner holds its thread.
	parker    *park.Parker
	hasEvents func() bool // peek, made once
	mu        sync.Mutex  // held while eventfd is written: its number must not be somebody else's
	event     int         // guarded by mu; -1 when parked and when closed
}

func (w *waiter) open(e *Engine, how engine.Wait) error {
	w.e, w.event = e, -1
	w.hasEvents = func() bool { return w.peek() > 0 || w.err != nil }
	if how == engine.WaitParked {
		var err error
		if w.parker, err = park.New(e.fd); err != nil {
			return fmt.Errorf("epoll: %w", err)
		}
		return nil
	}
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return explainErrno("eventfd", err)
	}
	// Kernel: edge-triggered, every write is an event, so nobody has to read.
	event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: wakeMark}
	if err := unix.EpollCtl(e.fd, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
		_ = unix.Close(fd)
		return explainErrno("epoll_ctl", err)
	}
	w.event = fd
	return nil
}

// events takes events, waiting for one if needed, and sets the flags of descriptors.
func (w *waiter) events(wait time.Duration) error {
	w.n = 0
	if wait != 0 && w.state.CompareAndSwap(running, sleeping) {
		if w.parker != nil {
			w.parker.Park(w.hasEvents, wait)
		} else {
			w.sleep(wait)
		}
		w.state.CompareAndSwap(sleeping, running)
	} else {
		w.peek()
	}
	if w.err != nil {
		return w.err
	}
	for i := range w.got[:w.n] {
		w.deliverEvent(&w.got[i])
	}
	return nil
}

func (w *waiter) deliverEvent(event *unix.EpollEvent) {
	if event.Fd == wakeMark {
		return
	}
	e := w.e
	d := e.descs[event.Fd]
	if d == nil || d.use != uint32(event.Pad) {
		return // the event is of a socket that had this number before
	}
	d.noteEvents(event.Events)
	e.schedule(d)
}

// peek takes the events that are there.
func (w *waiter) peek() int {
	n, errno := epollPeek(w.e.fd, w.got[:])
	return w.countEvents(n, errno)
}

// sleep waits in the kernel.
func (w *waiter) sleep(wait time.Duration) {
	n, errno := epollSleep(w.e.fd, w.got[:], wait, w.e.network.precise)
	w.countEvents(n, errno)
}

func (w *waiter) countEvents(n int, errno unix.Errno) int {
	w.e.tally.enters++
	switch errno {
	case 0:
		w.n = n
	case unix.EINTR: // Kernel: a signal of the Go scheduler; Poll waits on
		w.n = 0
	default:
		w.n, w.err = 0, explainErrno("epoll_wait", errno)
	}
	return w.n
}

// woken reports whether Wake was called.
func (w *waiter) woken() bool { return w.state.Load() == woken }

// clearWake is called when Poll returns: the Wake that ended it is consumed.
func (w *waiter) clearWake() {
	if w.state.Load() != running {
		w.state.Store(running)
	}
}

// wake makes Poll return. Any goroutine.
func (w *waiter) wake() {
	if w.state.Load() == woken || w.state.Swap(woken) != sleeping {
		return
	}
	w.e.counters.Wakes.Add(1)
	if w.parker != nil {
		w.parker.Unpark()
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.event >= 0 {
		w.e.counters.Enters.Add(1)
		_, _ = unix.Write(w.event, one) // never full: 2^64 writes
	}
}

// one is what a write adds to the eventfd.
var one = binary.NativeEndian.AppendUint64(nil, 1)

func (w *waiter) close() error {
	if w.parker != nil {
		return w.parker.Close()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	fd := w.event
	w.event = -1
	return unix.Close(fd)
}
