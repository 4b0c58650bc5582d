package epoll

import (
	"bytes"
	"io"
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

// there waits until there is something to receive: the system may deliver what was
// written a while after the write.
func there(t *testing.T, fd engine.FD) {
	t.Helper()
	for end := time.Now().Add(patience); ; {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 1000)
		if n == 1 {
			return
		}
		if err != nil && err != unix.EINTR || time.Now().After(end) {
			t.Fatalf("nothing arrived: %v", err)
		}
	}
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
		there(t, calm)
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
				there(t, b)
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
			if _, err := io.ReadFull(peer, in); err != nil {
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
