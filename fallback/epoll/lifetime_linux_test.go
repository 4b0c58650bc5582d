package epoll

import (
	"errors"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kring/engine"
	"kring/internal/enginetest"
)

func TestAnEventOfAnEarlierSocketNeverReachesALaterOne(t *testing.T) {
	r := newRig(t, engine.WaitParked, Config{})
	fd, tok, _ := r.Connect()
	r.e.Recv(fd, tok)
	r.Silent()
	d := r.e.descs[fd]
	stale := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLHUP, Fd: int32(fd), Pad: int32(d.use - 1)}
	r.e.wait.deliverEvent(&stale)
	if d.readable || d.doubtful || d.queued {
		t.Error("a stale event was taken for a new one")
	}
	r.e.Cancel(fd, tok)
	r.Await(tok, engine.OpRecv)
	r.e.CloseFD(fd, tok)
	r.Await(tok, engine.OpClose)
	r.e.wait.deliverEvent(&stale) // and with nobody there it goes nowhere
	r.Silent()
}

// A number whose socket was discarded without the engine's knowledge is a new descriptor,
// even with the same token.
func TestADiscardedNumberIsForgotten(t *testing.T) {
	both(t, func(t *testing.T, w engine.Wait) {
		r := newRig(t, w, Config{})
		seen := map[engine.FD]bool{}
		reused := false
		tok := engine.MakeToken(7, 7)
		for range 200 {
			fd, _, peer := r.Connect()
			reused = reused || seen[fd]
			seen[fd] = true
			r.e.Recv(fd, tok)
			r.Write(peer, []byte("x"))
			r.Receive(tok, 1)
			r.e.Cancel(fd, tok)
			r.Await(tok, engine.OpRecv)
			r.e.Shutdown(fd, tok) // not polled any more: must not hit the next socket
			r.n.Discard(fd)
			_ = peer.Close()
		}
		if !reused {
			t.Error("this test saw no reuse")
		}
		if got := len(r.e.ready.list()); got > 1 {
			t.Errorf("%d descriptors on the ready list", got)
		}
	})
}

func TestPollKeepsItsTime(t *testing.T) {
	both(t, func(t *testing.T, w engine.Wait) {
		for _, precise := range []bool{true, false} {
			r := newRig(t, w, Config{})
			r.n.precise = r.n.precise && precise
			start := time.Now()
			r.Poll(0)
			if d := time.Since(start); d > patience {
				t.Errorf("Poll without waiting took %v", d)
			}
			for _, wait := range []time.Duration{300 * time.Microsecond, 20 * time.Millisecond} {
				start = time.Now()
				r.Poll(wait)
				if d := time.Since(start); d < wait || d > wait+patience {
					t.Errorf("Poll of %v took %v", wait, d)
				}
			}
		}
	})
}

func TestWakeIsStickyAndUsedUpByOnePoll(t *testing.T) {
	both(t, func(t *testing.T, w engine.Wait) {
		r := newRig(t, w, Config{})
		for range 10 {
			r.e.Wake()
			r.e.Wake()
			r.Poll(-1)
			start := time.Now()
			r.Poll(5 * time.Millisecond)
			if d := time.Since(start); d < 5*time.Millisecond {
				t.Fatalf("the second Poll returned after %v", d)
			}
		}
		if n := r.e.Counters().Wakes.Load(); n != 0 {
			t.Errorf("%d wakes reached a sleeping owner; nobody slept", n)
		}
	})
}

func TestCloseFreesEverythingAndLeavesWhatIsLent(t *testing.T) {
	both(t, func(t *testing.T, w engine.Wait) {
		before := descriptors(t)
		n, err := New(Config{})
		if err != nil {
			t.Fatal(err)
		}
		e, err := n.Open(w)
		if err != nil {
			t.Fatal(err)
		}
		r := &rig{Rig: enginetest.RigOn(t, n, e), n: n, e: e.(*Engine)}
		l, err := n.Listen(engine.ListenConfig{Address: "127.0.0.1:0"})
		if err != nil {
			t.Fatal(err)
		}
		r.Listener = l
		e.Accept(l.FD, enginetest.ListenerToken)
		fd, tok, peer := r.Connect()
		e.Recv(fd, tok)
		r.Write(peer, []byte("lent"))
		c := r.Await(tok, engine.OpRecv)
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		if err := e.Close(); err != nil {
			t.Errorf("second Close: %v", err)
		}
		if _, err := e.Poll(make([]engine.Completion, 1), -1); !errors.Is(err, os.ErrClosed) {
			t.Errorf("Poll after Close: %v", err)
		}
		if string(c.Data) != "lent" {
			t.Errorf("lent data reads %q", c.Data)
		}
		e.Recycle(&c)
		if r.e.buffers.memory != nil {
			t.Error("the buffers are still mapped")
		}
		n.Discard(fd) // still open, and ours
		n.Discard(l.FD)
		_ = peer.Close()
		for deadline := time.Now().Add(patience); descriptors(t) > before; {
			if time.Now().After(deadline) {
				t.Fatalf("%d descriptors, %d before", descriptors(t), before)
			}
			r.yield()
		}
	})
}

// yield lets the runtime finish what it does in the background.
func (r *rig) yield() { <-time.After(time.Millisecond) }

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func (q *queue) list() (all []*desc) {
	for d := q.head; d != nil; d = d.next {
		all = append(all, d)
	}
	return all
}

func TestUsesGrowUnderConcurrency(t *testing.T) {
	var u uses
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range 2000 {
				u.endUse(engine.FD(i * 37 % 50000))
				_ = u.currentUse(engine.FD(g * 9000))
			}
		})
	}
	all.Wait()
	sum := 0
	for fd := range 50000 {
		sum += int(u.currentUse(engine.FD(fd)))
	}
	if sum != 8*2000 {
		t.Errorf("%d ends counted, want %d", sum, 8*2000)
	}
	u.endUse(-1)
}
