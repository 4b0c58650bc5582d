//go:build linux

package uring

import (
	"net"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kring/engine"
)

// A few sends are handed over with a wait, because they complete at once. Those
// whose peers don't read don't: a Wake ends the wait all the same, and at once, as
// one that comes while the owner is on its way into it.
func TestAWakeEndsAWaitBesideSendsThatAreHeldUp(t *testing.T) {
	onAllWaits(t, Config{QuietWait: On}, func(r *rig) {
		const rounds = 24
		took := make([]time.Duration, rounds)
		for i := range took {
			took[i] = heldUp(r, 3)
		}
		slices.Sort(took)
		if took[rounds/3] > quietWait/5 { // the others may be other work's
			r.t.Errorf("wakes took %v", took)
		}
	})
}

// heldUp has n sends stand whose peers don't read, and says how long a Wake took
// that came when they had been handed over.
func heldUp(r *rig, n int) time.Duration {
	fds, peers := make([]engine.FD, n), make([]*net.TCPConn, n)
	tokenOf := func(i int) engine.Token { return engine.MakeToken(uint32(i), 1) }
	data := r.copyOf(pattern(1000))
	defer r.pool.Put(data)
	send := func(i int) { r.engine.Send(fds[i], tokenOf(i), [][]byte{data}) }
	for i := range fds {
		fds[i], peers[i] = r.pair()
		fill(r.t, fds[i])
		send(i)
	}
	var woken time.Time
	for again := true; again; {
		polling, over := make(chan struct{}), make(chan struct{})
		var back atomic.Bool
		go func() {
			defer close(over)
			<-polling
			for state(r.engine).Load() == awake && !back.Load() {
				runtime.Gosched()
			}
			for at := time.Now(); time.Since(at) < 100*time.Microsecond && !back.Load(); { // in the kernel by then
				runtime.Gosched()
			}
			woken = time.Now()
			r.engine.Wake()
		}()
		close(polling)
		mustPay(r.engine)
		r.engine.SendsCanWait()
		got := r.poll(-1)
		at := time.Now()
		back.Store(true)
		<-over
		if again = got > 0; !again {
			for i := range fds {
				r.engine.Shutdown(fds[i], tokenOf(i))
			}
			for left := n; left > 0; {
				r.until(func(c *engine.Completion) bool { left--; return left == 0 })
			}
			for i := range fds {
				r.finish(fds[i], tokenOf(i), peers[i])
			}
			return at.Sub(woken)
		}
		for _, c := range r.done[:got] {
			send(int(c.Token.Slot())) // it took nothing, or not all
		}
	}
	return 0
}

// state is how the owner sleeps.
func state(e *ringEngine) *atomic.Uint32 {
	switch s := e.sleeper.(type) {
	case *inKernel:
		return &s.state
	case *onPoller:
		return &s.state
	}
	panic("another sleeper")
}

// mustPay has the next wait be a quiet one, whatever came of those before.
func mustPay(e *ringEngine) {
	switch s := e.sleeper.(type) {
	case *inKernel:
		s.quiet = quiet{}
	case *onPoller:
		s.quiet, s.dozes = quiet{}, 0
	}
}

// fill fills the send buffer of a socket.
func fill(t testing.TB, fd engine.FD) {
	b := make([]byte, 64<<10)
	for n := len(b); n > 0; {
		if _, err := unix.SendmsgN(int(fd), b[:n], nil, nil, unix.MSG_DONTWAIT); err == unix.EAGAIN {
			n /= 2
		} else if err != nil {
			t.Fatal(err)
		}
	}
}
