//go:build linux

package uring

import (
	"bytes"
	"io"
	"net"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kring/engine"
	"kring/internal/invariants"
)

var token = engine.MakeToken(5, 7)

// pattern is n bytes that tell their place.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 ^ i>>8 ^ i>>16)
	}
	return b
}

// drive writes data from the peer and reports how that went.
func write(c net.Conn, b []byte) <-chan error {
	result := make(chan error, 1)
	go func() {
		_, err := c.Write(b)
		result <- err
	}()
	return result
}

func TestReceivedBytesAreThoseSentWithEveryQueueSize(t *testing.T) {
	for _, c := range []Config{{}, {Entries: 1, CQEntries: 2, Buffers: 2, BufferBytes: 64}, {Buffers: 8, BuffersHot: 1, BufferBytes: 512}} {
		onBothWaits(t, c, func(r *rig) {
			t := r.t
			fd, peer := r.pair()
			want := pattern(100_000)
			sent := write(peer, want)
			var got []byte
			r.engine.Recv(fd, token)
			r.until(func(c *engine.Completion) bool {
				if c.Op != engine.OpRecv || c.Token != token || c.Res <= 0 && c.Errno() != unix.ENOBUFS {
					t.Fatalf("%+v", *c)
				}
				got = append(got, c.Data...)
				r.engine.Recycle(c)
				if !c.More && len(got) < len(want) {
					r.engine.Recv(fd, token)
				}
				return len(got) >= len(want)
			})
			if err := <-sent; err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%v; %d bytes differ from those sent", err, len(got))
			}
			_ = peer.CloseWrite()
			for over := false; !over; {
				r.until(func(c *engine.Completion) bool {
					over = c.Res == 0
					return true
				})
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

func TestSendsGatherWithinTheirLimits(t *testing.T) {
	onBothWaits(t, Config{SendBuffersMax: 64, SendBytesMax: 100_000}, func(r *rig) {
		t := r.t
		fd, peer := r.pair()
		heard := make(chan []byte)
		go func() {
			b, _ := io.ReadAll(peer)
			heard <- b
		}()
		want := pattern(1 << 20)
		memory := r.copyOf(want)
		var bufs [][]byte
		for at := 0; at < len(memory); {
			n := min(1+at%5000, len(memory)-at)
			bufs = append(bufs, memory[at:at+n])
			at += n
		}
		for len(bufs) > 0 {
			r.engine.Send(fd, token, bufs)
			c := r.next(engine.OpSend)
			if c.Res <= 0 || c.Res > 100_000 || c.More {
				t.Fatalf("send: %+v", c)
			}
			for left := int(c.Res); left > 0; {
				if left < len(bufs[0]) {
					bufs[0] = bufs[0][left:]
					break
				}
				left -= len(bufs[0])
				bufs = bufs[1:]
			}
		}
		r.engine.Shutdown(fd, token)
		r.engine.Shutdown(fd, token)
		_, _ = r.engine.Poll(r.done, 0)
		if got := <-heard; !bytes.Equal(got, want) {
			t.Fatal("the peer got other bytes than were sent")
		}
		r.finish(fd, token, peer)
		r.pool.Put(memory)
	})
}

// TestAFullSQAndScratchSubmitAndGoOn asks for far more than fits, at once.
func TestAFullSQAndScratchSubmitAndGoOn(t *testing.T) {
	onBothWaits(t, Config{Entries: 4, CQEntries: 8, SendBuffersMax: 1024}, func(r *rig) {
		t := r.t
		const conns = 40
		var fds []engine.FD
		var peers []net.Conn
		word := r.copyOf(pattern(300))
		var bufs [][]byte
		for i := range word {
			bufs = append(bufs, word[i:i+1])
		}
		for range conns {
			fd, peer := r.pair()
			fds, peers = append(fds, fd), append(peers, peer)
		}
		for i, fd := range fds {
			r.engine.Recv(fd, engine.MakeToken(uint32(i), 1))
			r.engine.Send(fd, engine.MakeToken(uint32(i), 1), bufs)
		}
		sends := 0
		r.until(func(c *engine.Completion) bool {
			if c.Op != engine.OpSend || c.Res != 300 {
				t.Fatalf("%+v", *c)
			}
			sends++
			return sends == conns
		})
		for _, p := range peers {
			got := make([]byte, 300)
			if _, err := io.ReadFull(p, got); err != nil || !bytes.Equal(got, pattern(300)) {
				t.Fatalf("a peer got other bytes than were sent (%v)", err)
			}
			_ = p.Close()
		}
		closes := 0
		r.until(func(c *engine.Completion) bool {
			switch {
			case c.Res != 0 || c.More:
				t.Fatalf("%+v", *c)
			case c.Op == engine.OpRecv:
				r.engine.CloseFD(fds[c.Token.Slot()], c.Token)
			case c.Op == engine.OpClose:
				closes++
			}
			return closes == conns
		})
		if r.engine.counters.Overflows.Load() == 0 {
			t.Log("the CQ of 8 never overflowed")
		}
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

func TestWakesAreNeverLostAndCostNothingTwice(t *testing.T) {
	onBothWaits(t, Config{}, func(r *rig) {
		t := r.t
		e := r.engine
		e.Wake()
		if _, err := e.Poll(r.done, -1); err != nil { // sticky
			t.Fatal(err)
		}
		if n := e.counters.Wakes.Load(); n != 0 {
			t.Errorf("a Wake of an awake owner made %d system calls", n)
		}
		const rounds = 20_000
		var asked, parked atomic.Int64
		over := make(chan struct{})
		go func() {
			defer close(over)
			for i := range int64(rounds) {
				asked.Store(i + 1)
				if parked.Swap(0) == 1 {
					e.Wake()
				}
				for asked.Load() != 0 {
					runtime.Gosched()
				}
			}
		}()
		for answered := 0; answered < rounds; {
			parked.Store(1)
			if asked.Load() == 0 {
				if _, err := e.Poll(r.done, patience); err != nil {
					t.Fatal(err)
				}
			}
			parked.Store(0)
			if asked.Swap(0) != 0 {
				answered++
			}
		}
		<-over
	})
}

func TestAWakeStormReturnsOnePoll(t *testing.T) {
	onBothWaits(t, Config{}, func(r *rig) {
		t := r.t
		e := r.engine
		var group sync.WaitGroup
		var stop atomic.Bool
		for range 8 {
			group.Go(func() {
				for !stop.Load() {
					e.Wake()
				}
			})
		}
		for range 2000 {
			if _, err := e.Poll(r.done, patience); err != nil {
				t.Fatal(err)
			}
		}
		stop.Store(true)
		group.Wait()
		for range 4 { // what the storm left
			_, _ = e.Poll(r.done, 0)
		}
		start := time.Now()
		for time.Since(start) < 20*time.Millisecond {
			if n, err := e.Poll(r.done, 20*time.Millisecond); n != 0 || err != nil {
				t.Fatal(n, err)
			}
		}
		r.close()
		e.Wake() // harmless after Close
		if _, err := e.Poll(r.done, 0); err == nil {
			t.Error("Poll of a closed engine worked")
		}
	})
}

// TestCloseWithEverythingOutstandingFreesIt under a busy garbage collector, so
// that whatever still used the memory would hit something.
func TestCloseWithEverythingOutstandingFreesIt(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(1))
	onBothWaits(t, Config{}, func(r *rig) {
		t := r.t
		l, err := r.network.Listen(engine.ListenConfig{Address: "127.0.0.1:0"})
		if err != nil {
			t.Fatal(err)
		}
		defer r.network.Discard(l.FD)
		r.engine.Accept(l.FD, engine.MakeToken(0, 1))
		big := r.copyOf(pattern(1 << 20))
		for i := range uint32(20) {
			fd, peer := r.pair()
			defer peer.Close()
			defer r.network.Discard(fd)
			tok := engine.MakeToken(i+1, 1)
			if i%2 == 0 {
				r.engine.Recv(fd, tok)
			} else {
				r.engine.RecvInto(fd, tok, r.pool.Get(100_000))
			}
			r.engine.Send(fd, tok, [][]byte{big, big, big, big})
			_, _ = peer.Write(pattern(5000))
		}
		for range 3 {
			if _, err := r.engine.Poll(r.done, 0); err != nil {
				t.Fatal(err)
			}
		}
		c, err := net.Dial("tcp", l.Addr.String()) // accepted, and nobody will hear of it
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		r.close()
		runtime.GC()
	})
}

func TestPollAndEveryOperationAllocateNothing(t *testing.T) {
	if invariants.Enabled {
		t.Skip("assertions allocate; the build without them runs this test")
	}
	onBothWaits(t, Config{Entries: 2, CQEntries: 16}, func(r *rig) {
		t := r.t
		fd, peer := r.pair()
		raw, err := peer.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		out := r.copyOf(pattern(64))
		two := [][]byte{out[:10], out[10:]}
		one := [][]byte{out}
		into := r.pool.Get(64)
		in := make([]byte, 128)
		var fdPeer int
		_ = raw.Control(func(f uintptr) { fdPeer = int(f) })
		settle := func(want int) {
			for want > 0 {
				n, err := r.engine.Poll(r.done, patience)
				if err != nil {
					t.Fatal(err)
				}
				for i := range r.done[:n] {
					if !r.done[i].More || r.done[i].Op == engine.OpRecv {
						want--
					}
					r.engine.Recycle(&r.done[i])
				}
			}
		}
		n := testing.AllocsPerRun(500, func() {
			r.engine.Send(fd, token, one)
			settle(1)
			r.engine.Send(fd, token, two)
			settle(1)
			for got := 0; got < 128; {
				n, _ := unix.Read(fdPeer, in[got:])
				got += max(n, 0)
			}
			r.engine.RecvInto(fd, token, into)
			_, _ = unix.Write(fdPeer, in[:64])
			settle(1)
			r.engine.Recv(fd, token)
			_, _ = unix.Write(fdPeer, in[:1])
			settle(1)
			r.engine.Cancel(fd, token)
			settle(1)
			r.engine.Wake()
			_, _ = r.engine.Poll(r.done, -1)
			_, _ = r.engine.Poll(r.done, time.Microsecond)
		})
		if n != 0 {
			t.Errorf("%v allocations for a round of operations", n)
		}
		r.finish(fd, token, peer)
	})
}

func TestTheWindowWidensUnderBurstsAndRests(t *testing.T) {
	w, err := openWindow(&Config{Buffers: 64, BuffersHot: 4, BufferBytes: 64})
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	check := func(given, lent int) {
		t.Helper()
		if w.given != given || w.lent != lent || w.given+w.lent+len(w.spare) != 64 {
			t.Fatalf("given %d, lent %d, spare %d", w.given, w.lent, len(w.spare))
		}
	}
	check(4, 0)
	var lent []uint16
	take := func(n int) {
		for range n {
			e := w.ring.entries[(w.ring.tail-uint16(w.given))&w.ring.mask]
			bid := e.Bid
			if (w.ring.tail-uint16(w.given))&w.ring.mask == 0 {
				bid = w.ring.first
			}
			w.lend(bid, 1)
			lent = append(lent, bid)
		}
	}
	take(4)
	if w.exhausted() {
		t.Fatal("exhausted with 60 spare buffers")
	}
	w.publish()
	check(8, 4)
	for range 4 {
		take(w.given)
		w.exhausted()
		w.publish()
	}
	check(0, 64)
	if !w.exhausted() {
		t.Fatal("not exhausted with every buffer lent")
	}
	for _, bid := range lent {
		w.giveBack(bid)
	}
	check(64, 0)
	lent = nil
	for range restEvery * 10 {
		take(1)
		w.publish()
		w.giveBack(lent[0])
		lent = lent[:0]
		w.publish()
	}
	check(4, 0)
}
