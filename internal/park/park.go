//go:build unix

// Package park lets a goroutine sleep on Go's own poller until a descriptor is
// readable, a time has come or somebody calls Unpark.
//
// Job: the parked wait strategy of every engine that has a pollable descriptor
// (a ring, an epoll instance). The goroutine stays an ordinary one: nobody
// holds a thread, and waking it is a matter of the Go scheduler alone.
//
// Flow: Park(ready, wait) asks ready, sleeps, asks again. The poller is
// edge-triggered: ready is asked after the poller was reset and before the
// sleep, so no edge is lost.
//
// Ownership: one owner calls Park and Close; anybody may call Unpark.
//
// Never: block a thread; lose an Unpark (it is sticky until a Park returned).
//
// Kernel: a duplicate of the descriptor stands in the runtime's own epoll or
// kqueue instance.
package park

import (
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Parker lets one owner sleep on Go's poller.
type Parker struct {
	file *os.File
	raw  syscall.RawConn

	// woken: Order: Unpark stores it before it moves the deadline; Park reads it
	// after it armed the deadline, so a deadline armed over an Unpark's is seen.
	woken atomic.Bool

	// Owner: Park only.
	armed    time.Time // the deadline that stands, zero if none
	expired  bool      // the deadline that stands has passed
	ready    func() bool
	callback func(uintptr) bool
}

// past is a deadline that has always passed.
var past = time.Unix(1, 0)

// New makes a Parker on a duplicate of fd, which it switches to non-blocking
// mode (the mode of the open file, so of fd as well).
func New(fd int) (*Parker, error) {
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("park: duplicate descriptor: %w (EMFILE: raise the limit of open files, ulimit -n, LimitNOFILE)", err)
	}
	if err := unix.SetNonblock(dup, true); err != nil {
		_ = unix.Close(dup)
		return nil, fmt.Errorf("park: set non-blocking: %w", err)
	}
	p := &Parker{file: os.NewFile(uintptr(dup), "kring-park")}
	p.callback = func(uintptr) bool { return p.ready() }
	if p.raw, err = p.file.SyscallConn(); err == nil {
		err = p.file.SetReadDeadline(time.Time{}) // fails when not pollable
	}
	if err != nil {
		_ = p.file.Close()
		return nil, fmt.Errorf("park: descriptor can't be polled by the Go runtime: %w", err)
	}
	return p, nil
}

// Park returns when ready says true, after Unpark, or when wait has passed
// (wait < 0: no limit). It may return early.
func (p *Parker) Park(ready func() bool, wait time.Duration) {
	p.armDeadline(wait)
	if p.woken.Load() {
		p.woken.Store(false)
		return
	}
	p.ready = ready
	if err := p.raw.Read(p.callback); err != nil {
		p.expired = true
	}
	p.woken.Store(false)
}

// Unpark makes a concurrent Park, or else the next one, return. Any goroutine.
func (p *Parker) Unpark() {
	if p.woken.Swap(true) {
		return // Order: whoever set it moves the deadline
	}
	_ = p.file.SetReadDeadline(past) // after Close: nobody sleeps any more
}

// Close releases the descriptor. Nobody may be in Park.
func (p *Parker) Close() error { return p.file.Close() }

// armDeadline sets the deadline only if the present one would come too late: a timer
// costs more than an early return now and then.
func (p *Parker) armDeadline(wait time.Duration) {
	if wait < 0 {
		if p.expired {
			p.setDeadline(time.Time{})
		}
		return
	}
	at := time.Now().Add(wait)
	if p.expired || p.armed.IsZero() || at.Before(p.armed) {
		p.setDeadline(at)
	}
}

func (p *Parker) setDeadline(at time.Time) {
	p.armed, p.expired = at, false
	_ = p.file.SetReadDeadline(at) // fails only after Close
}
