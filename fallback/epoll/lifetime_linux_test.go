package epoll

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kring/engine"
	"kring/internal/enginetest"
)

func readFull(c net.Conn, b []byte) (int, error) { return io.ReadFull(c, b) }

func TestCancelEndsEachKindExactlyOnce(t *testing.T) {
	both(t, func(t *testing.T, w engine.Wait) {
		r := newRig(t, w, Config{})
		fd, tok, peer := r.Connect()
		cancelled := engine.Failed(unix.ECANCELED)
		r.e.Cancel(fd, tok) // nothing outstanding: silent
		r.Silent()

		r.e.Recv(fd, tok)
		r.e.Cancel(fd, tok)
		r.e.Cancel(fd, tok)
		r.Want(r.Await(tok, engine.OpRecv), cancelled, false)
		r.e.Recv(fd, tok)
		r.Silent()
		r.e.Cancel(fd, tok)
		r.Want(r.Await(tok, engine.OpRecv), cancelled, false)

		buf := r.Memory(10)
		r.e.RecvInto(fd, tok, buf)
		r.e.Cancel(fd, tok)
		r.Want(r.Await(tok, engine.OpRecvInto), cancelled, false)
		r.Write(peer, []byte("four"))
		r.e.RecvInto(fd, tok, buf)
		r.Silent()
		r.e.Cancel(fd, tok)
		r.Want(r.Await(tok, engine.OpRecvInto), 4, false)
		if string(buf[:4]) != "four" {
			t.Errorf("got %q", buf[:4])
		}

		r.e.Cancel(r.Listener.FD, enginetest.ListenerToken)
		r.Want(r.Await(enginetest.ListenerToken, engine.OpAccept), cancelled, false)
		r.Silent()
		r.e.Accept(r.Listener.FD, enginetest.ListenerToken)
		r.Connect()
	})
}

func TestCancelWhileDataStreamsLosesNoByte(t *testing.T) {
	both(t, func(t *testing.T, w engine.Wait) {
		r := newRig(t, w, Config{BufferBytes: 4 << 10})
		fd, tok, peer := r.Connect()
		sent := enginetest.Fill(make([]byte, 4<<20), 5)
		go func() {
			for b := sent; len(b) > 0; {
				n := min(len(b), 3000)
				_, _ = peer.Write(b[:n])
				b = b[n:]
			}
		}()
		var got []byte
		var done [4]engine.Completion
		armed, ends := false, 0
		for deadline := time.Now().Add(patience); len(got) < len(sent); {
			if time.Now().After(deadline) {
				t.Fatalf("%d of %d bytes", len(got), len(sent))
			}
			if !armed {
				r.e.Recv(fd, tok)
				armed = true
			}
			n, err := r.e.Poll(done[:], time.Second)
			if err != nil {
				t.Fatal(err)
			}
			for i := range done[:n] {
				c := &done[i]
				if c.Res > 0 {
					got = append(got, c.Data...)
					r.e.Recycle(c)
				}
				if !c.More {
					armed = false
					ends++
				}
			}
			if armed {
				r.e.Cancel(fd, tok)
			}
		}
		if !bytes.Equal(got, sent) {
			t.Error("other bytes")
		}
		t.Logf("cancelled %d times", ends)
	})
}

func TestAnEventOfAnEarlierSocketNeverReachesALaterOne(t *testing.T) {
	r := newRig(t, engine.WaitParked, Config{})
	fd, tok, _ := r.Connect()
	r.e.Recv(fd, tok)
	r.Silent()
	d := r.e.descs[fd]
	stale := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLHUP, Fd: int32(fd), Pad: int32(d.use - 1)}
	r.e.wait.deliver(&stale)
	if d.readable || d.doubtful || d.queued {
		t.Error("a stale event was taken for a new one")
	}
	r.e.Cancel(fd, tok)
	r.Await(tok, engine.OpRecv)
	r.e.CloseFD(fd, tok)
	r.Await(tok, engine.OpClose)
	r.e.wait.deliver(&stale) // and with nobody there it goes nowhere
	r.Silent()
}

func TestReusedNumbersNeverCrossTokens(t *testing.T) {
	both(t, func(t *testing.T, w engine.Wait) {
		r := newRig(t, w, Config{})
		numbers := map[engine.FD]int{}
		for i := range 500 {
			fd, tok, peer := r.Connect()
			numbers[fd]++
			r.e.Recv(fd, tok)
			r.Write(peer, []byte{byte(i)})
			if got := r.Receive(tok, 1); got[0] != byte(i) {
				t.Fatalf("connection %d got %v", i, got)
			}
			_ = peer.Close()
			r.Want(r.Await(tok, engine.OpRecv), 0, false)
			r.e.CloseFD(fd, tok)
			r.Want(r.Await(tok, engine.OpClose), 0, false)
			if len(r.Kept) > 0 {
				t.Fatalf("unexpected %+v", r.Kept)
			}
		}
		if len(numbers) > 250 {
			t.Errorf("%d different numbers: this test saw no reuse", len(numbers))
		}
	})
}

// A number whose socket was discarded behind the engine's back is a new
// descriptor, even under the same token.
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

func TestShutdownEndsEverythingOnceAndThePeerSeesTheEnd(t *testing.T) {
	both(t, func(t *testing.T, w engine.Wait) {
		r := newRig(t, w, Config{})
		fd, tok, peer := r.Connect()
		out := enginetest.Fill(r.Memory(1000), 1)
		got := enginetest.ReadAll(peer)
		r.e.Recv(fd, tok)
		r.e.Send(fd, tok, [][]byte{out})
		r.Want(r.Await(tok, engine.OpSend), 1000, false)
		r.e.Shutdown(fd, tok)
		r.Want(r.Await(tok, engine.OpRecv), 0, false)
		select {
		case b := <-got:
			if !bytes.Equal(b, out) {
				t.Error("the peer got something else")
			}
		case <-time.After(patience):
			t.Fatal("the peer saw no end")
		}
		r.Silent()
		r.e.CloseFD(fd, tok)
		r.Want(r.Await(tok, engine.OpClose), 0, false)
	})
}

func TestPollKeepsItsTime(t *testing.T) {
	both(t, func(t *testing.T, w engine.Wait) {
		for _, precise := range []bool{true, false} {
			r := newRig(t, w, Config{})
			r.n.precise = r.n.precise && precise
			start := time.Now()
			r.Poll(0)
			if d := time.Since(start); d > time.Second {
				t.Errorf("Poll without waiting took %v", d)
			}
			for _, wait := range []time.Duration{300 * time.Microsecond, 20 * time.Millisecond} {
				start = time.Now()
				r.Poll(wait)
				if d := time.Since(start); d < wait || d > wait+5*time.Second {
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

func TestNoWakeIsLostInAHandOver(t *testing.T) {
	both(t, func(t *testing.T, w engine.Wait) {
		r := newRig(t, w, Config{})
		const rounds = 5000
		var given, taken atomic.Int64
		step := make(chan struct{}, 1)
		go func() {
			for range rounds {
				given.Add(1)
				r.e.Wake()
				<-step
			}
		}()
		for deadline := time.Now().Add(3 * patience); taken.Load() < rounds; {
			if time.Now().After(deadline) {
				t.Fatalf("stuck after %d", taken.Load())
			}
			r.Poll(patience)
			if given.Load() > taken.Load() {
				taken.Add(1)
				step <- struct{}{}
			}
		}
	})
}

func TestWakeStormDuringTrafficAndAfterClose(t *testing.T) {
	both(t, func(t *testing.T, w engine.Wait) {
		r := newRig(t, w, Config{})
		fd, tok, peer := r.Connect()
		r.e.Recv(fd, tok)
		var stop atomic.Bool
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for !stop.Load() {
					r.e.Wake()
				}
			})
		}
		for i := range 200 {
			r.Write(peer, []byte{byte(i)})
			if got := r.Receive(tok, 1); got[0] != byte(i) {
				t.Fatal("other byte")
			}
		}
		if err := r.e.Close(); err != nil {
			t.Fatal(err)
		}
		stop.Store(true)
		all.Wait()
		r.e.Wake()
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
				u.end(engine.FD(i * 37 % 50000))
				_ = u.current(engine.FD(g * 9000))
			}
		})
	}
	all.Wait()
	sum := 0
	for fd := range 50000 {
		sum += int(u.current(engine.FD(fd)))
	}
	if sum != 8*2000 {
		t.Errorf("%d ends counted, want %d", sum, 8*2000)
	}
	u.end(-1)
}
