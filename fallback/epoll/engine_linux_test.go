package epoll

import (
	"bytes"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kring/engine"
	"kring/internal/enginetest"
	"kring/internal/invariants"
	"kring/internal/sock"
)

func TestBytesGoBothWaysUnchanged(t *testing.T) {
	both(t, func(t *testing.T, w engine.Wait) {
		r := newRig(t, w, Config{BufferBytes: 1 << 10})
		fd, tok, peer := r.Connect()
		r.e.Recv(fd, tok)
		for round, size := range []int{1, 100, 1 << 10, 1<<10 + 1, 100 << 10} {
			sent := enginetest.Fill(make([]byte, size), round)
			go func() { _, _ = peer.Write(sent) }()
			if !bytes.Equal(r.Receive(tok, size), sent) {
				t.Fatalf("%d bytes came differently", size)
			}
			out := enginetest.Fill(r.Memory(size), -round)
			r.e.Send(fd, tok, [][]byte{out})
			got := make([]byte, size)
			read := make(chan error, 1)
			go func() { _, err := readFull(peer, got); read <- err }()
			r.Want(r.Await(tok, engine.OpSend), int32(size), false)
			if err := <-read; err != nil || !bytes.Equal(got, out) {
				t.Fatalf("%d bytes left differently: %v", size, err)
			}
		}
	})
}

func TestSendGathersManyBuffersInOrder(t *testing.T) {
	both(t, func(t *testing.T, w engine.Wait) {
		r := newRig(t, w, Config{})
		fd, tok, peer := r.Connect()
		got := enginetest.ReadAll(peer)
		var bufs [][]byte
		var want []byte
		for i := range 3000 { // more than one iovec array takes
			b := enginetest.Fill(r.Memory(1 + i*7%900)[:i*7%900], i) // some are empty
			bufs = append(bufs, b)
			want = append(want, b...)
		}
		r.e.Send(fd, tok, bufs)
		r.Want(r.Await(tok, engine.OpSend), int32(len(want)), false)
		r.e.Send(fd, tok, nil)
		r.Want(r.Await(tok, engine.OpSend), 0, false)
		r.e.CloseFD(fd, tok)
		r.Want(r.Await(tok, engine.OpClose), 0, false)
		if !bytes.Equal(<-got, want) {
			t.Fatal("the peer got something else")
		}
	})
}

func TestSendWaitsForASlowPeerAndTakesAll(t *testing.T) {
	both(t, func(t *testing.T, w engine.Wait) {
		r := newRig(t, w, Config{})
		fd, tok, peer := r.Connect()
		out := enginetest.Fill(r.Memory(24<<20), 3)
		r.e.Send(fd, tok, [][]byte{out[:1000], out[1000:]})
		for range 200 {
			r.Poll(0)
		}
		r.Silent() // nobody reads: it can't be done yet
		got := enginetest.ReadAll(peer)
		r.Want(r.Await(tok, engine.OpSend), int32(len(out)), false)
		r.e.Shutdown(fd, tok)
		r.Poll(0)
		if !bytes.Equal(<-got, out) {
			t.Fatal("the peer got something else")
		}
	})
}

func TestSendToAPeerThatNeverReadsEndsAtShutdown(t *testing.T) {
	both(t, func(t *testing.T, w engine.Wait) {
		r := newRig(t, w, Config{})
		fd, tok, _ := r.Connect()
		out := r.Memory(24 << 20)
		r.e.Recv(fd, tok)
		r.e.Send(fd, tok, [][]byte{out})
		for range 200 {
			r.Poll(0)
		}
		r.Silent()
		r.e.Shutdown(fd, tok)
		r.e.Shutdown(fd, tok)
		c := r.Await(tok, engine.OpSend)
		if c.More || c.Res <= 0 || int(c.Res) >= len(out) {
			t.Fatalf("%+v: want a short count", c)
		}
		r.Want(r.Await(tok, engine.OpRecv), 0, false)
		r.e.Send(fd, tok, [][]byte{out})
		r.Want(r.Await(tok, engine.OpSend), engine.Failed(unix.EPIPE), false)
		r.e.CloseFD(fd, tok)
		r.Want(r.Await(tok, engine.OpClose), 0, false)
		r.Silent()
	})
}

func TestResetEndsBothDirections(t *testing.T) {
	both(t, func(t *testing.T, w engine.Wait) {
		r := newRig(t, w, Config{})
		fd, tok, peer := r.Connect()
		r.e.Recv(fd, tok)
		r.e.Send(fd, tok, [][]byte{r.Memory(24 << 20)})
		for range 200 {
			r.Poll(0)
		}
		_ = peer.SetLinger(0)
		_ = peer.Close()
		if c := r.Await(tok, engine.OpSend); c.More {
			t.Fatalf("%+v", c)
		}
		if c := r.Await(tok, engine.OpRecv); c.More || c.Res > 0 {
			t.Fatalf("%+v", c)
		}
		r.e.Recv(fd, tok) // broken already: ends at the next Poll
		if c := r.Await(tok, engine.OpRecv); c.More || c.Res > 0 {
			t.Fatalf("%+v", c)
		}
		r.Silent()
	})
}

func TestResetOfAnIdleConnectionIsReported(t *testing.T) {
	both(t, func(t *testing.T, w engine.Wait) {
		r := newRig(t, w, Config{})
		fd, tok, peer := r.Connect()
		r.e.Recv(fd, tok)
		r.Silent()
		_ = peer.SetLinger(0)
		_ = peer.Close()
		r.Want(r.Await(tok, engine.OpRecv), engine.Failed(unix.ECONNRESET), false)
	})
}

func TestHalfClosedPeerStillGetsItsAnswer(t *testing.T) {
	both(t, func(t *testing.T, w engine.Wait) {
		r := newRig(t, w, Config{})
		fd, tok, peer := r.Connect()
		r.e.Recv(fd, tok)
		r.Write(peer, []byte("request"))
		_ = peer.CloseWrite()
		if got := r.Receive(tok, 7); string(got) != "request" {
			t.Fatalf("got %q", got)
		}
		r.Want(r.Await(tok, engine.OpRecv), 0, false)
		r.e.Recv(fd, tok)
		r.Want(r.Await(tok, engine.OpRecv), 0, false)
		got := enginetest.ReadAll(peer)
		out := enginetest.Fill(r.Memory(300<<10), 1)
		r.e.Send(fd, tok, [][]byte{out})
		r.Want(r.Await(tok, engine.OpSend), int32(len(out)), false)
		r.e.CloseFD(fd, tok)
		r.Want(r.Await(tok, engine.OpClose), 0, false)
		if !bytes.Equal(<-got, out) {
			t.Fatal("the peer got something else")
		}
	})
}

func TestUrgentDataDoesNotHideWhatFollows(t *testing.T) {
	both(t, func(t *testing.T, w engine.Wait) {
		r := newRig(t, w, Config{})
		fd, tok, peer := r.Connect()
		raw, err := peer.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		r.Write(peer, []byte("before"))
		if err2 := raw.Control(func(p uintptr) { err = unix.Sendto(int(p), []byte("!"), unix.MSG_OOB, nil) }); err2 != nil || err != nil {
			t.Fatal(err, err2)
		}
		r.Write(peer, []byte("behind"))
		r.e.Recv(fd, tok)
		// All of it is there at the first look; the receive stops at the mark.
		if got := r.Receive(tok, 12); string(got) != "beforebehind" {
			t.Fatalf("got %q", got)
		}
	})
}

func TestNoBufferEndsTheReceiveAndRecyclingRecovers(t *testing.T) {
	both(t, func(t *testing.T, w engine.Wait) {
		r := newRig(t, w, Config{Buffers: 2, BufferBytes: 512})
		fd, tok, peer := r.Connect()
		sent := enginetest.Fill(make([]byte, 1500), 1)
		r.Write(peer, sent)
		r.e.Recv(fd, tok)
		a, b := r.Await(tok, engine.OpRecv), r.Await(tok, engine.OpRecv)
		r.Want(r.Await(tok, engine.OpRecv), engine.Failed(unix.ENOBUFS), false)
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
		if got := r.Receive(tok, 1500-1024); !bytes.Equal(got, sent[1024:]) {
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
		fd, tok, peer := r.Connect()
		sent := enginetest.Fill(make([]byte, 3<<20+10), 9)
		go func() { _, _ = peer.Write(sent) }()
		buf := r.Memory(3 << 20)
		r.e.RecvInto(fd, tok, buf)
		r.Want(r.Await(tok, engine.OpRecvInto), 3<<20, false)
		if !bytes.Equal(buf, sent[:3<<20]) {
			t.Fatal("other bytes")
		}
		r.e.Recv(fd, tok)
		if got := r.Receive(tok, 10); !bytes.Equal(got, sent[3<<20:]) {
			t.Fatal("other bytes behind it")
		}
	})
}

func TestRecvIntoIsShortWhenThePeerEnds(t *testing.T) {
	both(t, func(t *testing.T, w engine.Wait) {
		r := newRig(t, w, Config{})
		fd, tok, peer := r.Connect()
		r.Write(peer, []byte("short"))
		_ = peer.CloseWrite()
		buf := r.Memory(100)
		r.e.RecvInto(fd, tok, buf)
		r.Want(r.Await(tok, engine.OpRecvInto), 5, false)
		r.e.RecvInto(fd, tok, buf)
		r.Want(r.Await(tok, engine.OpRecvInto), 0, false)
	})
}

func TestRecvIntoTellsTheResetAfterItsBytes(t *testing.T) {
	both(t, func(t *testing.T, w engine.Wait) {
		r := newRig(t, w, Config{})
		fd, tok, peer := r.Connect()
		r.Write(peer, []byte("short"))
		r.e.RecvInto(fd, tok, r.Memory(100))
		r.Silent()
		_ = peer.SetLinger(0)
		_ = peer.Close()
		r.Want(r.Await(tok, engine.OpRecvInto), 5, false)
		r.e.Recv(fd, tok)
		r.Want(r.Await(tok, engine.OpRecv), engine.Failed(unix.ECONNRESET), false)
		r.e.Recv(fd, tok)
		r.Want(r.Await(tok, engine.OpRecv), 0, false)
	})
}

func TestOperationsOnABadDescriptorEndWithItsError(t *testing.T) {
	both(t, func(t *testing.T, w engine.Wait) {
		r := newRig(t, w, Config{})
		const bad = 900
		tok, ebadf := engine.MakeToken(1, 1), engine.Failed(unix.EBADF)
		r.e.Recv(bad, tok)
		r.e.Send(bad, tok, [][]byte{r.Memory(10)})
		r.Want(r.Await(tok, engine.OpRecv), ebadf, false)
		r.Want(r.Await(tok, engine.OpSend), ebadf, false)
		r.e.RecvInto(bad, tok, r.Memory(10))
		r.Want(r.Await(tok, engine.OpRecvInto), ebadf, false)
		r.e.Accept(bad, tok)
		r.Want(r.Await(tok, engine.OpAccept), ebadf, false)
		r.e.Shutdown(bad, tok)
		r.e.CloseFD(bad, tok)
		r.Want(r.Await(tok, engine.OpClose), ebadf, false)
	})
}

func TestAcceptedSocketsAreBlockingAndKnowTheirEnds(t *testing.T) {
	r := newRig(t, engine.WaitParked, Config{})
	fd, _, peer := r.Connect()
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
		fd, _, _ := r.Connect()
		r.n.Discard(fd)
		peer, err := net.Dial("tcp", r.Listener.Addr.String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = peer.Close() }()
		withoutDescriptors(t, func() {
			r.Want(r.Await(enginetest.ListenerToken, engine.OpAccept), engine.Failed(unix.EMFILE), false)
			r.Silent()
		})
		r.e.Accept(r.Listener.FD, enginetest.ListenerToken)
		c := r.Await(enginetest.ListenerToken, engine.OpAccept)
		if c.Res < 0 || !c.More {
			t.Fatalf("%+v", c)
		}
		r.n.Discard(engine.FD(c.Res))
	})
}

func TestFloodingPeerTakesABoundedShareOfAPoll(t *testing.T) {
	both(t, func(t *testing.T, w engine.Wait) {
		r := newRig(t, w, Config{BufferBytes: 512, Buffers: 512, ReceivesMax: 4})
		loud, loudTok, loudPeer := r.Connect()
		calm, calmTok, calmPeer := r.Connect()
		r.e.Recv(loud, loudTok)
		r.e.Recv(calm, calmTok)
		r.Write(loudPeer, make([]byte, 64<<10))
		r.Poll(time.Second)
		r.Write(calmPeer, []byte("a"))
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
		a, aTok, aPeer := r.Connect()
		b, bTok, bPeer := r.Connect()
		r.e.Recv(a, aTok)
		r.e.Recv(b, bTok)
		r.Write(aPeer, make([]byte, 40<<10))
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
				r.Write(bPeer, make([]byte, 600))
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
		fd, tok, peer := r.Connect()
		r.e.Recv(fd, tok)
		out := r.Memory(100)
		bufs := [][]byte{out}
		in := make([]byte, 100)
		var done [8]engine.Completion
		serve := func() {
			r.Write(peer, in)
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
