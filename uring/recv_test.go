//go:build linux

package uring

import (
	"bytes"
	"io"
	"net"
	"runtime"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"kring/engine"
)

func TestReceivedBytesAreThoseSentWithEveryQueueSize(t *testing.T) {
	for _, c := range []Config{{}, {Entries: 1, CQEntries: 2, Buffers: 2, BufferBytes: 64}, {Buffers: 8, BuffersHot: 1, BufferBytes: 512}} {
		onBothWaits(t, c, func(r *rig) {
			t := r.t
			fd, peer := r.pair()
			want := pattern(100_000)
			sent := write(peer, want)
			var got []byte
			receive := func(over func() bool) {
				r.until(func(c *engine.Completion) bool {
					if c.Op != engine.OpRecv || c.Token != token || c.Res < 0 && c.Errno() != unix.ENOBUFS {
						t.Fatalf("%+v", *c)
					}
					got = append(got, c.Data...)
					r.engine.Recycle(c)
					if !c.More && c.Res != 0 {
						r.engine.Recv(fd, token)
					}
					return c.Res == 0 || over()
				})
			}
			r.engine.Recv(fd, token)
			receive(func() bool { return len(got) >= len(want) })
			if err := <-sent; err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%v; %d bytes differ from those sent", err, len(got))
			}
			_ = peer.CloseWrite()
			receive(func() bool { return false }) // until the end
			if len(got) != len(want) {
				t.Fatalf("%d bytes after the end of %d", len(got), len(want))
			}
			r.finish(fd, token, peer)
		})
	}
}

// TestSingleReceivesKeepTheContract is a kernel without multishot receive.
func TestSingleReceivesKeepTheContract(t *testing.T) {
	onBothWaits(t, Config{}, func(r *rig) {
		t := r.t
		r.engine.multishotRecv = false
		fd, peer := r.pair()
		r.engine.Recv(fd, token)
		for i := range 100 {
			if _, err := peer.Write([]byte{byte(i)}); err != nil {
				t.Fatal(err)
			}
			c := r.next(engine.OpRecv)
			if c.Res != 1 || !c.More || c.Data[0] != byte(i) {
				t.Fatalf("receive %d: %+v", i, c)
			}
			r.engine.Recycle(&c)
		}
		r.engine.Cancel(fd, token)
		if c := r.next(engine.OpRecv); c.Errno() != unix.ECANCELED || c.More {
			t.Fatalf("cancel: %+v", c)
		}
		r.finish(fd, token, peer)
	})
}

func TestBigFramesLandInTheirOwnMemory(t *testing.T) {
	onBothWaits(t, Config{}, func(r *rig) {
		t := r.t
		fd, peer := r.pair()
		want := pattern(5 << 20)
		sent := write(peer, want)
		buf := r.pool.Get(len(want))
		r.engine.RecvInto(fd, token, buf)
		if c := r.next(engine.OpRecvInto); int(c.Res) != len(want) || c.More || !bytes.Equal(buf, want) {
			t.Fatalf("%+v, or the bytes differ", c)
		}
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
		if r.engine.bulk != 0 {
			t.Errorf("bulk = %d with nothing outstanding", r.engine.bulk)
		}
		// Cut short by the peer, then by a cancel.
		_, _ = peer.Write([]byte("abc"))
		r.engine.RecvInto(fd, token, buf)
		for n := 0; n < 3; { // until the kernel has them, so that the cancel comes after
			_, _ = r.engine.Poll(r.done[:0], 0)
			n, _ = unix.IoctlGetInt(int(fd), unix.TIOCINQ)
			n = 3 - n
		}
		r.engine.Cancel(fd, token)
		if c := r.next(engine.OpRecvInto); c.Res != 3 || c.More {
			t.Fatalf("cancelled after 3 bytes: %+v", c)
		}
		r.engine.RecvInto(fd, token, buf)
		r.engine.Cancel(fd, token)
		if c := r.next(engine.OpRecvInto); c.Errno() != unix.ECANCELED {
			t.Fatalf("cancelled before any byte: %+v", c)
		}
		r.finish(fd, token, peer)
		r.pool.Put(buf)
	})
}

func TestACancelAlwaysEndsItsReceive(t *testing.T) {
	onBothWaits(t, Config{Buffers: 64, BufferBytes: 256}, func(r *rig) {
		t := r.t
		fd, peer := r.pair()
		var stop atomic.Bool
		var sent int64
		over := make(chan struct{})
		go func() {
			defer close(over)
			b := pattern(997)
			for !stop.Load() {
				n, err := peer.Write(b)
				sent += int64(n)
				if err != nil {
					return
				}
			}
		}()
		var received int64
		var position int
		want := pattern(997)
		take := func(c *engine.Completion) {
			for _, b := range c.Data {
				if b != want[position] {
					t.Fatalf("byte %d is wrong", received)
				}
				position = (position + 1) % len(want)
				received++
			}
			r.engine.Recycle(c)
		}
		for i := range 3000 {
			r.engine.Recv(fd, token)
			if i%3 == 0 {
				_, _ = r.engine.Poll(nil, 0) // armed before it is cancelled
			}
			r.engine.Cancel(fd, token)
			r.engine.Cancel(fd, token)
			r.until(func(c *engine.Completion) bool {
				if c.Res < 0 && c.Errno() != unix.ECANCELED && c.Errno() != unix.ENOBUFS || c.Res == 0 {
					t.Fatalf("%+v", *c)
				}
				take(c)
				return !c.More
			})
		}
		stop.Store(true)
		r.engine.Recv(fd, token)
		ended := make(chan struct{})
		go func() { <-over; _ = peer.CloseWrite(); close(ended) }()
		r.until(func(c *engine.Completion) bool {
			take(c)
			if !c.More && c.Res != 0 {
				r.engine.Recv(fd, token)
			}
			return c.Res == 0
		})
		<-ended
		if received != sent {
			t.Fatalf("received %d bytes of %d", received, sent)
		}
		r.finish(fd, token, peer)
	})
}

func TestExhaustionIsTheOwnersOnlyWhenAllIsLent(t *testing.T) {
	onBothWaits(t, Config{Buffers: 16, BuffersHot: 1, BufferBytes: 64}, func(r *rig) {
		t := r.t
		fd, peer := r.pair()
		sent := write(peer, pattern(64*40))
		var held []engine.Completion
		r.engine.Recv(fd, token)
		r.until(func(c *engine.Completion) bool {
			if c.Res > 0 {
				held = append(held, *c)
				if !c.More {
					r.engine.Recv(fd, token)
				}
				return false
			}
			if c.Errno() != unix.ENOBUFS || c.More {
				t.Fatalf("%+v", *c)
			}
			return true
		})
		if len(held) != 16 {
			t.Fatalf("ENOBUFS with %d of 16 buffers lent", len(held))
		}
		if n := r.engine.counters.LentBytes.Load(); n != 16*64 {
			t.Errorf("LentBytes = %d", n)
		}
		if n := r.engine.counters.Exhausted.Load(); n != 1 {
			t.Errorf("Exhausted = %d", n)
		}
		var got []byte
		for i := range held {
			got = append(got, held[i].Data...)
			r.engine.Recycle(&held[i])
		}
		r.engine.Recv(fd, token)
		r.until(func(c *engine.Completion) bool {
			got = append(got, c.Data...)
			r.engine.Recycle(c)
			if !c.More {
				r.engine.Recv(fd, token)
			}
			return len(got) == 64*40
		})
		if err := <-sent; err != nil || !bytes.Equal(got, pattern(64*40)) {
			t.Fatalf("%v, or the bytes differ", err)
		}
		if c, e := r.engine.counters.Completed.Load(), r.engine.counters.Enters.Load(); e > 4*c+100 {
			t.Errorf("%d enters for %d completions: it spins", e, c)
		}
		_ = peer.Close()
		r.until(func(c *engine.Completion) bool { return !c.More })
		r.engine.CloseFD(fd, token)
		r.next(engine.OpClose)
	})
}

// TestAResetRightBehindDataEndsTheReceive: the kernel's multishot receive takes
// the data, believes its hint that nothing is left, and never looks again.
func TestAResetRightBehindDataEndsTheReceive(t *testing.T) {
	onBothWaits(t, Config{}, func(r *rig) {
		t := r.t
		for i := range 200 {
			fd, peer := r.pair()
			r.engine.Recv(fd, token)
			if i%2 == 0 {
				_, _ = r.engine.Poll(r.done, 0) // armed before it happens
			}
			_, _ = peer.Write(pattern(5000))
			_ = peer.SetLinger(0)
			_ = peer.Close()
			got := 0
			r.until(func(c *engine.Completion) bool {
				got += len(c.Data)
				r.engine.Recycle(c)
				if c.Res < 0 && c.Errno() != unix.ECONNRESET {
					t.Fatalf("%+v", *c)
				}
				return !c.More && c.Res < 0
			})
			r.finish(fd, token, peer)
		}
	})
}
func TestReceivesOutliveTheThreadTheyWereArmedOn(t *testing.T) {
	onWait(t, Config{}, engine.WaitParked, func(r *rig) {
		t := r.t
		l, err := r.network.Listen(engine.ListenConfig{Address: "127.0.0.1:0"})
		if err != nil {
			t.Fatal(err)
		}
		one, onePeer := r.pair()
		two, twoPeer := r.pair()
		full, fullPeer := r.pair()
		buf := r.pool.Get(4)
		big := r.copyOf(pattern(1 << 20))
		tokens := []engine.Token{engine.MakeToken(1, 1), engine.MakeToken(2, 1), engine.MakeToken(3, 1), engine.MakeToken(4, 1)}
		ended := make(chan error)
		go func() {
			runtime.LockOSThread() // and exits locked: the thread ends with the goroutine
			r.engine.Accept(l.FD, tokens[0])
			r.engine.Recv(one, tokens[1])
			r.engine.RecvInto(two, tokens[2], buf)
			for range 8 { // until the peer's window is full
				r.engine.Send(full, tokens[3], [][]byte{big})
				if n, err := r.engine.Poll(r.done, 0); err != nil || n == 0 {
					ended <- err
					return
				}
			}
			ended <- nil
		}()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		// The kernel fails an operation of a thread that is gone when there is
		// something to do for it. The send, which nobody cancelled, ends short.
		go func() { _, _ = io.Copy(io.Discard, fullPeer) }()
		c := r.next(engine.OpSend)
		if c.Res < 0 || c.More {
			t.Fatalf("send: %+v", c)
		}
		if c, err := net.Dial("tcp", l.Addr.String()); err != nil {
			t.Fatal(err)
		} else {
			defer c.Close()
		}
		accepted := r.next(engine.OpAccept)
		if accepted.Res < 0 || !accepted.More {
			t.Fatalf("accept: %+v", accepted)
		}
		r.network.Discard(engine.FD(accepted.Res))
		_, _ = onePeer.Write([]byte("ring"))
		if c := r.next(engine.OpRecv); string(c.Data) != "ring" || !c.More {
			t.Fatalf("receive: %+v", c)
		}
		_, _ = twoPeer.Write([]byte("bell"))
		if c := r.next(engine.OpRecvInto); string(buf) != "bell" {
			t.Fatalf("receive into: %+v", c)
		}
		for _, fd := range []engine.FD{one, two, full, l.FD} {
			defer r.network.Discard(fd)
		}
		for _, p := range []net.Conn{onePeer, twoPeer, fullPeer} {
			_ = p.Close()
		}
		r.close()
	})
}

// TestAReceiveThatFollowsAnEmptySocketWaitsForData before it looks, and one
// that follows a part of what was there looks at once.
func TestAReceiveThatFollowsAnEmptySocketWaitsForData(t *testing.T) {
	onBothWaits(t, Config{}, func(r *rig) {
		fd, peer := r.pair()
		memory := r.pool.Get(100)
		_, _ = peer.Write(pattern(10))
		for i, waits := range []bool{false, false, true} {
			n := []int{4, 6, 5}[i]
			r.engine.RecvInto(fd, token, memory[:n])
			if got := r.engine.sockets.of(fd).drained; got != waits {
				r.t.Errorf("receive %d waits for data first: %v", i, got)
			}
			if i == 2 {
				_, _ = peer.Write(pattern(5))
			}
			if c := r.next(engine.OpRecvInto); int(c.Res) != n {
				r.t.Fatalf("%+v", c)
			}
		}
		r.pool.Put(memory)
		r.finish(fd, token, peer)
	})
}

// What one arming of a receive brings is bounded where the kernel can, however
// fast the peer is, so that its owner is asked before a connection has more.
func TestAReceiveEndsByItselfBeforeAFloodIsAllTaken(t *testing.T) {
	onBothWaits(t, Config{}, func(r *rig) {
		t := r.t
		fd, peer := r.pair()
		if !r.engine.can.recvLimit { // before Linux 6.17: then it refuses one
			r.engine.can.recvLimit = true
			r.engine.Recv(fd, token)
			if _, err := peer.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
			if c := r.next(engine.OpRecv); c.Errno() != unix.EINVAL {
				t.Fatalf("New found no limit of a receive, and the kernel takes one: %+v", c)
			}
			r.finish(fd, token, peer)
			return
		}
		sent := write(peer, pattern(8*recvBytesMax))
		armed := false
		for got, arms := 0, 0; got < 8*recvBytesMax; {
			r.engine.Recv(fd, token)
			armed = true
			arms++
			r.until(func(c *engine.Completion) bool {
				if c.Res <= 0 && c.Errno() != unix.ENOBUFS {
					t.Fatalf("%+v", *c)
				}
				got += max(int(c.Res), 0)
				r.engine.Recycle(c)
				armed = c.More
				return !armed || got == 8*recvBytesMax
			})
			// The last buffer is filled.
			if got > arms*(recvBytesMax+r.engine.config.BufferBytes) {
				t.Fatalf("%d bytes by %d receives of at most %d", got, arms, recvBytesMax)
			}
		}
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
		if armed {
			r.engine.Cancel(fd, token)
			r.until(func(c *engine.Completion) bool { return !c.More })
		}
		r.finish(fd, token, peer)
	})
}
