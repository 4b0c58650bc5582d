//go:build linux

package uring

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"kring/engine"
)

// thread runs functions on one OS thread, which is all that it does.
type thread struct {
	id   int
	work chan func()
	done chan struct{}
}

func startThread(t *testing.T) *thread {
	h := &thread{work: make(chan func()), done: make(chan struct{})}
	go func() {
		runtime.LockOSThread() // and never unlock: the thread ends with this
		h.id = unix.Gettid()
		h.done <- struct{}{}
		for f := range h.work {
			f()
			h.done <- struct{}{}
		}
		close(h.done)
	}()
	<-h.done
	t.Cleanup(func() { close(h.work); <-h.done })
	return h
}

func (h *thread) do(f func()) { h.work <- f; <-h.done }

// sleeps is how often the thread has gone to sleep.
func (h *thread) sleeps(t *testing.T) (n int) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/status", h.id))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "\nvoluntary_ctxt_switches:")
	if _, err := fmt.Sscan(rest, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// stream is a connection on which every byte is one more than the one before.
type stream struct {
	fd         engine.FD
	peer       *net.TCPConn
	sent, came byte
}

func (s *stream) send(t *testing.T) {
	if _, err := s.peer.Write([]byte{s.sent}); err != nil {
		t.Error(err)
	}
	s.sent++
}

// streams opens n connections whose receives stand.
func (r *rig) streams(n int) []*stream {
	all := make([]*stream, n)
	for i := range all {
		s := &stream{}
		s.fd, s.peer = r.pair()
		r.engine.Recv(s.fd, engine.MakeToken(uint32(i), 0))
		all[i] = s
	}
	return all
}

// round sends a byte on every stream and takes what comes, in order.
func (r *rig) round(all []*stream) {
	for _, s := range all {
		s.send(r.t.(*testing.T))
	}
	for left := len(all); left > 0; {
		n, err := r.engine.Poll(r.done, patience)
		if err != nil {
			r.t.Error(err)
			return
		}
		for i := range r.done[:n] {
			c := &r.done[i]
			s := all[c.Token.Slot()]
			if c.Op != engine.OpRecv || c.Res <= 0 || !c.More {
				r.t.Errorf("%+v where a receive that goes on was due", *c)
			}
			for _, b := range c.Data {
				if b != s.came {
					r.t.Errorf("descriptor %d: byte %d came where %d was due", s.fd, b, s.came)
				}
				s.came++
			}
			left -= len(c.Data)
			r.engine.Recycle(c)
		}
	}
}

func (r *rig) endStreams(all []*stream) {
	for i, s := range all {
		t := engine.MakeToken(uint32(i), 0)
		r.engine.Cancel(s.fd, t)
		r.next(engine.OpRecv)
		r.finish(s.fd, t, s.peer)
	}
}

func TestAThreadThatAParkedOwnerHasLeftIsLeftInPeace(t *testing.T) {
	left, now := startThread(t), startThread(t)
	network := newTestNetwork(t, Config{})
	var r *rig
	var all []*stream
	left.do(func() {
		r = openRig(t, network, engine.WaitParked)
		all = r.streams(16)
		for range 20 * askEvery {
			r.round(all)
		}
	})
	if n := r.engine.Counters().Followed.Load(); n != 0 {
		t.Errorf("%d operations followed an owner that stayed", n)
	}
	now.do(func() {
		rounds := 0
		for ; r.engine.Counters().Followed.Load() < uint64(len(all)) && rounds < 10_000; rounds++ {
			r.round(all)
		}
		r.round(all) // and those moved last are armed again
	})
	before := left.sleeps(t)
	now.do(func() {
		for range 200 {
			r.round(all)
		}
	})
	if n := left.sleeps(t) - before; n > 10 {
		t.Errorf("the thread that was left was woken %d times in 200 rounds", n)
	}
	now.do(func() { r.endStreams(all); r.close() })
}

func TestAnOwnerThatMovesToAndFroLosesNothingAndPaysLittle(t *testing.T) {
	threads := []*thread{startThread(t), startThread(t)}
	network := newTestNetwork(t, Config{})
	var r *rig
	var all []*stream
	threads[0].do(func() { r = openRig(t, network, engine.WaitParked); all = r.streams(16) })
	for i := range 12 {
		threads[i%2].do(func() {
			for range 2 * settledFrom * askEvery {
				r.round(all)
			}
		})
	}
	threads[0].do(func() {
		c := r.engine.Counters()
		if n, most := c.Followed.Load(), (c.Completed.Load()+creditMax)/creditEvery; n == 0 || n > most {
			t.Errorf("%d operations followed, want 1 to %d", n, most)
		}
		r.endStreams(all)
		r.close()
	})
}
