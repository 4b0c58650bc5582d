//go:build linux

package uring

import (
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kring/engine"
)

// A few sends are handed over with a wait, because they complete at once. Those
// whose peers don't read don't: they come back all the same, without anything else
// to end that wait, and the next one does not count on them. So a Wake ends it.
func TestAWakeEndsAWaitBesideSendsThatAreHeldUp(t *testing.T) {
	onAllWaits(t, Config{QuietWait: On}, func(r *rig) {
		for i := range 24 {
			heldUp(r, 3, i == 0)
		}
	})
}

// heldUp has n sends stand whose peers don't read, and a Wake end the wait beside
// them. No Wake has come before the first time.
func heldUp(r *rig, n int, first bool) {
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
	rescue := time.AfterFunc(patience, r.engine.Wake)
	defer rescue.Stop()
	if _, locked := r.engine.sleeper.(*inKernel); first && (locked || r.alone) {
		got := pollWithDelayedSends(r) // nobody wakes it
		if got != n {
			r.t.Fatalf("%d of %d sends came back of the wait that they were handed over with", got, n)
		}
		whole := uint32(0) // the kernel has delivered something since, and had room
		for _, c := range r.done[:got] {
			if int(c.Res) == len(data) {
				whole++
			}
			send(int(c.Token.Slot())) // it took nothing, or not all
		}
		if r.engine.sends != whole {
			r.t.Errorf("%d sends are held to complete at once, and %d did", r.engine.sends, whole)
		}
	}
	for got := awaitWake(r); got > 0; got = awaitWake(r) {
		for _, c := range r.done[:got] {
			send(int(c.Token.Slot()))
		}
	}
	if !rescue.Stop() {
		r.t.Fatalf("no Wake ended the wait within %v", patience)
	}
	for i := range fds {
		r.engine.Shutdown(fds[i], tokenOf(i))
	}
	for left := n; left > 0; {
		r.until(func(c *engine.Completion) bool { left--; return left == 0 })
	}
	for i := range fds {
		r.finish(fds[i], tokenOf(i), peers[i])
	}
}

// pollWithDelayedSends polls without a limit, after AllowDelayedSends.
func pollWithDelayedSends(r *rig) int {
	mustPay(r.engine)
	r.engine.AllowDelayedSends()
	return r.poll(-1)
}

// awaitWake is pollWithDelayedSends, and a Wake comes when the owner is on its way into the
// wait, or in it.
func awaitWake(r *rig) int {
	over := make(chan struct{})
	var back atomic.Bool
	go func() {
		defer close(over)
		for state(r.engine).Load() == awake && !back.Load() {
			runtime.Gosched()
		}
		r.engine.Wake()
	}()
	got := pollWithDelayedSends(r)
	back.Store(true)
	<-over
	return got
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
		s.quiet, s.shortWaits = quiet{}, 0
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
