package epoll

import (
	"bytes"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kring/engine"
	"kring/internal/invariants"
	"kring/internal/sock"
)

func TestBytesGoBothWaysUnchanged(t *testing.T) {
	both(t, func(t *testing.T, w engine.Wait) {
		r := newRig(t, w, Config{BufferBytes: 1 << 10})
		fd, tok, peer := r.connect()
		r.e.Recv(fd, tok)
		for round, size := range []int{1, 100, 1 << 10, 1<<10 + 1, 100 << 10} {
			sent := fill(make([]byte, size), round)
			go func() { _, _ = peer.Write(sent) }()
			if !bytes.Equal(r.receive(tok, size), sent) {
				t.Fatalf("%d bytes came differently", size)
			}
			out := fill(r.memory(size), -round)
			r.e.Send(fd, tok, [][]byte{out})
			got := make([]byte, size)
			read := make(chan error, 1)
			go func() { _, err := readFull(peer, got); read <- err }()
			r.want(r.await(tok, engine.OpSend), int32(size), false)
			if err := <-read; err != nil || !bytes.Equal(got, out) {
				t.Fatalf("%d bytes left differently: %v", size, err)
			}
		}
	})
}

func TestSendGathersManyBuffersInOrder(t *testing.T) {
	both(t, func(t *testing.T, w engine.Wait) {
		r := newRig(t, w, Config{})
		fd, tok, peer := r.connect()
		got := readAll(peer)
		var bufs [][]byte
		var want []byte
		for i := range 3000 { // more than one iovec array takes
			b := fill(r.memory(1 + i*7%900)[:i*7%900], i) // some are empty
			bufs = append(bufs, b)
			want = append(want, b...)
		}
		r.e.Send(fd, tok, bufs)
		r.want(r.await(tok, engine.OpSend), int32(len(want)), false)
		r.e.Send(fd, tok, nil)
		r.want(r.await(tok, engine.OpSend), 0, false)
		r.e.CloseFD(fd, tok)
		r.want(r.await(tok, engine.OpClose), 0, false)
		if !bytes.Equal(<-got, want) {
			t.Fatal("the peer got something else")
		}
	})
}

func TestSendWaitsForASlowPeerAndTakesAll(t *testing.T) {
	both(t, func(t *testing.T, w engine.Wait) {
		r := newRig(t, w, Config{})
		fd, tok, peer := r.connect()
		out := fill(r.memory(24<<20), 3)
		r.e.Send(fd, tok, [][]byte{out[:1000], out[1000:]})
		for range 200 {
			r.poll(0)
		}
		r.silent() // nobody reads: it can't be done yet
		got := readAll(peer)
		r.want(r.await(tok, engine.OpSend), int32(len(out)), false)
		r.e.Shutdown(fd, tok)
		r.poll(0)
		if !bytes.Equal(<-got, out) {
			t.Fatal("the peer got something else")
		}
	})
}

func TestSendToAPeerThatNeverReadsEndsAtShutdown(t *testing.T) {
	both(t, func(t *testing.T, w engine.Wait) {
		r := newRig(t, w, Config{})
		fd, tok, _ := r.connect()
		out := r.memory(24 << 20)
		r.e.Recv(fd, tok)
		r.e.Send(fd, tok, [][]byte{out})
		for range 200 {
			r.poll(0)
		}
		r.silent()
		r.e.Shutdown(fd, tok)
		r.e.Shutdown(fd, tok)
		c := r.await(tok, engine.OpSend)
		if c.More || c.Res <= 0 || int(c.Res) >= len(out) {
			t.Fatalf("%+v: want a short count", c)
		}
		r.want(r.await(tok, engine.OpRecv), 0, false)
		r.e.Send(fd, tok, [][]byte{out})
		r.want(r.await(tok, engine.OpSend), engine.Failed(unix.EPIPE), false)
		r.e.CloseFD(fd, tok)
		r.want(r.await(tok, engine.OpClose), 0, false)
		r.silent()
	})
}

func TestResetEndsBothDirections(t *testing.T) {
	both(t, func(t *testing.T, w engine.Wait) {
		r := newRig(t, w, Config{})
		fd, tok, peer := r.connect()
		r.e.Recv(fd, tok)
		r.e.Send(fd, tok, [][]byte{r.memory(24 << 20)})
		for range 200 {
			r.poll(0)
		}
		_ = peer.SetLinger(0)
		_ = peer.Close()
		if c := r.await(tok, engine.OpSend); c.More {
			t.Fatalf("%+v", c)
		}
		if c := r.await(tok, engine.OpRecv); c.More || c.Res > 0 {
			t.Fatalf("%+v", c)
		}
		r.e.Recv(fd, tok) // broken already: ends at the next Poll
		if c := r.await(tok, engine.OpRecv); c.More || c.Res > 0 {
			t.Fatalf("%+v", c)
		}
		r.silent()
	})
}

func TestResetOfAnIdleConnectionIsReported(t *testing.T) {
	both(t, func(t *testing.T, w engine.Wait) {
		r := newRig(t, w, Config{})
		fd, tok, peer := r.connect()
		r.e.Recv(fd, tok)
		r.silent()
		_ = peer.SetLinger(0)
		_ = peer.Close()
		r.want(r.await(tok, engine.OpRecv), engine.Failed(unix.ECONNRESET), false)
	})
}

func TestHalfClosedPeerStillGetsItsAnswer(t *testing.T) {
	both(t, func(t *testing.T, w engine.Wait) {
		r := newRig(t, w, Config{})
		fd, tok, peer := r.connect()
		r.e.Recv(fd, tok)
		r.write(peer, []byte("request"))
		_ = peer.CloseWrite()
		if got := r.receive(tok, 7); string(got) != "request" {
			t.Fatalf("got %q", got)
		}
		r.want(r.await(tok, engine.OpRecv), 0, false)
		r.e.Recv(fd, tok)
		r.want(r.await(tok, engine.OpRecv), 0, false)
		got := readAll(peer)
		out := fill(r.memory(300<<10), 1)
		r.e.Send(fd, tok, [][]byte{out})
		r.want(r.await(tok, engine.OpSend), int32(len(out)), false)
		r.e.CloseFD(fd, tok)
		r.want(r.await(tok, engine.OpClose), 0, false)
		if !bytes.Equal(<-got, out) {
			t.Fatal("the peer got something else")
		}
	})
}

func TestUrgentDataDoesNotHideWhatFollows(t *testing.T) {
	both(t, func(t *testing.T, w engine.Wait) {
		r := newRig(t, w, Config{})
		fd, tok, peer := r.connect()
		raw, err := peer.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		r.write(peer, []byte("before"))
		if err2 := raw.Control(func(p uintptr) { err = unix.Sendto(int(p), []byte("!"), unix.MSG_OOB, nil) }); err2 != nil || err != nil {
			t.Fatal(err, err2)
		}
		r.write(peer, []byte("behind"))
		r.e.Recv(fd, tok)
		// All of it is there at the first look; the receive stops at the mark.
		if got := r.receive(tok, 12); string(got) != "beforebehind" {
			t.Fatalf("got %q", got)
		}
	})
}

func TestNoBufferEndsTheReceiveAndRecyclingRecovers(t *testing.T) {
	both(t, func(t *testing.T, w engine.Wait) {
		r := newRig(t, w, Config{Buffers: 2, BufferBytes: 512})
		fd, tok, peer := r.connect()
		sent := fill(make([]byte, 1500), 1)
		r.write(peer, sent)
		r.e.Recv(fd, tok)
		a, b := r.await(tok, engine.OpRecv), r.await(tok, engine.OpRecv)
		r.want(r.await(tok, engine.OpRecv), engine.Failed(unix.ENOBUFS), false)
		if n := r.e.Counters().Exhausted.Load(); n != 1 {
			t.Errorf("exhausted %d times, want 1", n)
		}
		if n := r.e.Counters().LentBytes.Load(); n != 1024 {
			t.Errorf("%d bytes lent, want 1024", n)
		}
		if !bytes.Equal(a.Data, sent[:512]) || cap(a.Data) != 512 {
			t.Error("lent data changed while it was lent")
		}
		r.e.Recycle(&b)
		r.e.Recycle(&b) // no lease any more
		r.e.Recv(fd, tok)
		if got := r.receive(tok, 1500-1024); !bytes.Equal(got, sent[1024:]) {
			t.Error("other bytes after the recovery")
		}
		r.e.Recycle(&a)
		if n := r.e.Counters().LentBytes.Load(); n != 0 {
			t.Errorf("%d bytes lent after all came back", n)
		}
	})
}

func TestRecvIntoFillsExactlyItsBuffer(t *testing.T) {
	both(t, func(t *testing.T, w engine.Wait) {
		r := newRig(t, w, Config{})
		fd, tok, peer := r.connect()
		sent := fill(make([]byte, 3<<20+10), 9)
		go func() { _, _ = peer.Write(sent) }()
		buf := r.memory(3 << 20)
		r.e.RecvInto(fd, tok, buf)
		r.want(r.await(tok, engine.OpRecvInto), 3<<20, false)
		if !bytes.Equal(buf, sent[:3<<20]) {
			t.Fatal("other bytes")
		}
		r.e.Recv(fd, tok)
		if got := r.receive(tok, 10); !bytes.Equal(got, sent[3<<20:]) {
			t.Fatal("other bytes behind it")
		}
	})
}

func TestRecvIntoIsShortWhenThePeerEnds(t *testing.T) {
	both(t, func(t *testing.T, w engine.Wait) {
		r := newRig(t, w, Config{})
		fd, tok, peer := r.connect()
		r.write(peer, []byte("short"))
		_ = peer.CloseWrite()
		buf := r.memory(100)
		r.e.RecvInto(fd, tok, buf)
		r.want(r.await(tok, engine.OpRecvInto), 5, false)
		r.e.RecvInto(fd, tok, buf)
		r.want(r.await(tok, engine.OpRecvInto), 0, false)
	})
}

func TestRecvIntoTellsTheResetAfterItsBytes(t *testing.T) {
	both(t, func(t *testing.T, w engine.Wait) {
		r := newRig(t, w, Config{})
		fd, tok, peer := r.connect()
		r.write(peer, []byte("short"))
		r.e.RecvInto(fd, tok, r.memory(100))
		r.silent()
		_ = peer.SetLinger(0)
		_ = peer.Close()
		r.want(r.await(tok, engine.OpRecvInto), 5, false)
		r.e.Recv(fd, tok)
		r.want(r.await(tok, engine.OpRecv), engine.Failed(unix.ECONNRESET), false)
		r.e.Recv(fd, tok)
		r.want(r.await(tok, engine.OpRecv), 0, false)
	})
}

func TestOperationsOnABadDescriptorEndWithItsError(t *testing.T) {
	both(t, func(t *testing.T, w engine.Wait) {
		r := newRig(t, w, Config{})
		const bad = 900
		tok, ebadf := engine.MakeToken(1, 1), engine.Failed(unix.EBADF)
		r.e.Recv(bad, tok)
		r.e.Send(bad, tok, [][]byte{r.memory(10)})
		r.want(r.await(tok, engine.OpRecv), ebadf, false)
		r.want(r.await(tok, engine.OpSend), ebadf, false)
		r.e.RecvInto(bad, tok, r.memory(10))
		r.want(r.await(tok, engine.OpRecvInto), ebadf, false)
		r.e.Accept(bad, tok)
		r.want(r.await(tok, engine.OpAccept), ebadf, false)
		r.e.Shutdown(bad, tok)
		r.e.CloseFD(bad, tok)
		r.want(r.await(tok, engine.OpClose), ebadf, false)
	})
}

func TestAcceptedSocketsAreBlockingAndKnowTheirEnds(t *testing.T) {
	r := newRig(t, engine.WaitParked, Config{})
	fd, _, peer := r.connect()
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK != 0 {
		t.Errorf("flags %#x, %v: want blocking", flags, err)
	}
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("descriptor flags %#x, %v: want close-on-exec", flags, err)
	}
	_, remote, err := r.n.Addrs(fd)
	if err != nil || remote.String() != peer.LocalAddr().String() {
		t.Errorf("remote end %v, %v; want %v", remote, err, peer.LocalAddr())
	}
	if err := r.n.Configure(fd, engine.SocketOptions{KeepAlive: -1}); err != nil {
		t.Error(err)
	}
}

// withoutDescriptors runs f while this process may open no further one.
func withoutDescriptors(t *testing.T, f func()) {
	t.Helper()
	var old unix.Rlimit
	if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, nil, &old); err != nil {
		t.Fatal(err)
	}
	none := unix.Rlimit{Cur: 3, Max: old.Max}
	if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, &none, nil); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, &old, nil); err != nil {
			t.Fatal(err)
		}
	}()
	f()
}

func TestAcceptEndsWithEMFILEAndGoesOnWhenArmedAgain(t *testing.T) {
	both(t, func(t *testing.T, w engine.Wait) {
		r := newRig(t, w, Config{})
		fd, _, _ := r.connect()
		r.n.Discard(fd)
		peer, err := net.Dial("tcp", r.l.Addr.String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = peer.Close() }()
		withoutDescriptors(t, func() {
			r.want(r.await(listenerToken, engine.OpAccept), engine.Failed(unix.EMFILE), false)
			r.silent()
		})
		r.e.Accept(r.l.FD, listenerToken)
		c := r.await(listenerToken, engine.OpAccept)
		if c.Res < 0 || !c.More {
			t.Fatalf("%+v", c)
		}
		r.n.Discard(engine.FD(c.Res))
	})
}

func TestFloodingPeerTakesABoundedShareOfAPoll(t *testing.T) {
	both(t, func(t *testing.T, w engine.Wait) {
		r := newRig(t, w, Config{BufferBytes: 512, Buffers: 512, ReceivesMax: 4})
		loud, loudTok, loudPeer := r.connect()
		calm, calmTok, calmPeer := r.connect()
		r.e.Recv(loud, loudTok)
		r.e.Recv(calm, calmTok)
		r.write(loudPeer, make([]byte, 64<<10))
		r.poll(time.Second)
		r.write(calmPeer, []byte("a"))
		var before int
		for deadline := time.Now().Add(patience); ; {
			if time.Now().After(deadline) {
				t.Fatal("the calm connection never had its turn")
			}
			var done [256]engine.Completion
			n, err := r.e.Poll(done[:], time.Second)
			if err != nil {
				t.Fatal(err)
			}
			of := 0
			for i := range done[:n] {
				if done[i].Token == calmTok {
					if before > 4*4 {
						t.Errorf("%d receives of the loud one came first", before)
					}
					return
				}
				of++
				r.e.Recycle(&done[i])
			}
			if before += of; of > 4 {
				t.Fatalf("%d receives in one Poll, want 4 at most", of)
			}
		}
	})
}

func TestASliceOfOneCompletionLosesNothingAndStarvesNobody(t *testing.T) {
	both(t, func(t *testing.T, w engine.Wait) {
		r := newRig(t, w, Config{BufferBytes: 512})
		a, aTok, aPeer := r.connect()
		b, bTok, bPeer := r.connect()
		r.e.Recv(a, aTok)
		r.e.Recv(b, bTok)
		r.write(aPeer, make([]byte, 40<<10))
		var done [1]engine.Completion
		got := map[engine.Token]int{}
		for deadline := time.Now().Add(patience); got[aTok] < 40<<10 || got[bTok] < 600; {
			if time.Now().After(deadline) {
				t.Fatalf("got %v", got)
			}
			n, err := r.e.Poll(done[:], time.Second)
			if err != nil {
				t.Fatal(err)
			}
			for i := range done[:n] {
				got[done[i].Token] += int(done[i].Res)
				r.e.Recycle(&done[i])
			}
			if got[aTok] == 512*10 && got[bTok] == 0 {
				r.write(bPeer, make([]byte, 600))
			}
			if got[aTok] == 40<<10 && got[bTok] == 0 {
				t.Fatal("one connection was served to its end before the other")
			}
		}
		if n, err := r.e.Poll(nil, -1); n != 0 || err != nil {
			t.Errorf("Poll with room for nothing: %d, %v", n, err)
		}
	})
}

func TestARequestCostsThreeSystemCalls(t *testing.T) {
	both(t, func(t *testing.T, w engine.Wait) {
		r := newRig(t, w, Config{})
		fd, tok, peer := r.connect()
		r.e.Recv(fd, tok)
		out := r.memory(100)
		bufs := [][]byte{out}
		in := make([]byte, 100)
		var done [8]engine.Completion
		serve := func() {
			r.write(peer, in)
			for answered := false; !answered; {
				n, err := r.e.Poll(done[:], patience)
				if err != nil || n == 0 {
					t.Fatal(n, err)
				}
				for i := range done[:n] {
					switch done[i].Op {
					case engine.OpRecv:
						r.e.Recycle(&done[i])
						r.e.Send(fd, tok, bufs)
					case engine.OpSend:
						answered = true
					}
				}
			}
			if _, err := readFull(peer, in); err != nil {
				t.Fatal(err)
			}
		}
		serve()
		before := r.e.Counters().Enters.Load()
		const rounds = 100
		allocs := testing.AllocsPerRun(rounds-1, serve) // calls it once more
		enters := float64(r.e.Counters().Enters.Load()-before) / rounds
		// One receive, one send, one look for events; a parked owner may look
		// again after it slept, and signals of the scheduler interrupt a sleep.
		if enters > 5 {
			t.Errorf("%.2f system calls a request", enters)
		}
		if allocs > 0 && !invariants.Enabled {
			t.Errorf("%.2f allocations a request", allocs)
		}
		t.Logf("%.2f system calls a request", enters)
	})
}

func TestConfigFaultsAreReportedTogether(t *testing.T) {
	_, err := New(Config{Buffers: -1, BufferBytes: 3, ReceivesMax: -1})
	if err == nil {
		t.Fatal("no error")
	}
	for _, field := range []string{"Buffers", "BufferBytes", "ReceivesMax"} {
		if !strings.Contains(err.Error(), field) {
			t.Errorf("%q doesn't name %s", err, field)
		}
	}
	if _, err := New(Config{Buffers: 1 << 20, BufferBytes: 1 << 20}); err == nil {
		t.Error("a terabyte of buffers is no error")
	}
}

func TestListenErrorsOfTheSystemReachTheCaller(t *testing.T) {
	r := newRig(t, engine.WaitParked, Config{})
	l, err := r.n.Listen(engine.ListenConfig{Address: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer sock.Close(l.FD)
	if _, err := r.n.Listen(engine.ListenConfig{Address: l.Addr.String()}); err == nil {
		t.Error("no error for an address in use")
	}
}
