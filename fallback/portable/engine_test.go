package portable

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"kring/engine"
	"kring/internal/enginetest"
)

func TestBytesGoBothWaysUnchanged(t *testing.T) {
	r := newRig(t, Config{BufferBytes: 1 << 10})
	fd, tok, peer := r.Connect()
	r.e.Recv(fd, tok)
	for round, size := range []int{1, 100, 1 << 10, 1<<10 + 1, 100 << 10} {
		sent := enginetest.Fill(make([]byte, size), round)
		go func() { _, _ = peer.Write(sent) }()
		if !bytes.Equal(r.Receive(tok, size), sent) {
			t.Fatalf("%d bytes came differently", size)
		}
		out := enginetest.Fill(r.Memory(size), -round)
		r.e.Send(fd, tok, [][]byte{out[:size/3], out[size/3 : size/3], out[size/3:]})
		got := make([]byte, size)
		read := make(chan error, 1)
		go func() { _, err := io.ReadFull(peer, got); read <- err }()
		r.Want(r.Await(tok, engine.OpSend), int32(size), false)
		if err := <-read; err != nil || !bytes.Equal(got, out) {
			t.Fatalf("%d bytes left differently: %v", size, err)
		}
	}
	r.e.Send(fd, tok, nil)
	r.Want(r.Await(tok, engine.OpSend), 0, false)
}

func TestNothingHappensBeforePoll(t *testing.T) {
	r := newRig(t, Config{})
	fd, tok, peer := r.Connect()
	r.e.Send(fd, tok, [][]byte{r.Memory(1)})
	_ = peer.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if _, err := peer.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the peer got something before Poll: %v", err)
	}
	r.Want(r.Await(tok, engine.OpSend), 1, false)
}

// A receive runs ahead of the owner by a bounded amount: one that waits to be
// polled and one that is in the making.
func TestReceivingAheadIsBounded(t *testing.T) {
	r := newRig(t, Config{BufferBytes: 512})
	fd, tok, peer := r.Connect()
	sent := enginetest.Fill(make([]byte, 20*512), 1)
	r.Write(peer, sent)
	r.e.Recv(fd, tok)
	r.start()
	for deadline := time.Now().Add(patience); r.e.Counters().LentBytes.Load() == 0; <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nothing was received")
		}
	}
	r.start() // time to go too far
	if n := r.e.Counters().LentBytes.Load(); n != 512 {
		t.Errorf("%d bytes lent ahead of Poll, want 512", n)
	}
	if !bytes.Equal(r.Receive(tok, len(sent)), sent) {
		t.Error("other bytes")
	}
}

func TestSendToAPeerThatNeverReadsEndsAtShutdown(t *testing.T) {
	r := newRig(t, Config{})
	fd, tok, _ := r.Connect()
	out := r.Memory(24 << 20)
	r.e.Recv(fd, tok)
	r.e.Send(fd, tok, [][]byte{out[:10], out[10:]})
	r.Silent()
	r.e.Shutdown(fd, tok)
	r.e.Shutdown(fd, tok)
	c := r.Await(tok, engine.OpSend)
	if c.More || c.Res <= 0 || int(c.Res) >= len(out) {
		t.Fatalf("%+v: want a short count", c)
	}
	r.Want(r.Await(tok, engine.OpRecv), 0, false)
	r.e.Send(fd, tok, [][]byte{out})
	r.Want(r.Await(tok, engine.OpSend), engine.Failed(syscall.EPIPE), false)
	r.e.Recv(fd, tok)
	r.Want(r.Await(tok, engine.OpRecv), 0, false)
	r.e.CloseFD(fd, tok)
	r.Want(r.Await(tok, engine.OpClose), 0, false)
	r.Silent()
}

func TestShutdownTellsThePeerAfterWhatWasSent(t *testing.T) {
	r := newRig(t, Config{})
	fd, tok, peer := r.Connect()
	out := enginetest.Fill(r.Memory(1<<20), 1)
	got := enginetest.ReadAll(peer)
	r.e.Recv(fd, tok)
	r.e.Send(fd, tok, [][]byte{out})
	r.Want(r.Await(tok, engine.OpSend), 1<<20, false)
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
}

func TestResetEndsBothDirections(t *testing.T) {
	r := newRig(t, Config{})
	fd, tok, peer := r.Connect()
	r.e.Recv(fd, tok)
	r.e.Send(fd, tok, [][]byte{r.Memory(24 << 20)})
	r.Silent()
	_ = peer.SetLinger(0)
	_ = peer.Close()
	if c := r.Await(tok, engine.OpSend); c.More {
		t.Fatalf("%+v", c)
	}
	if c := r.Await(tok, engine.OpRecv); c.More || c.Res > 0 {
		t.Fatalf("%+v", c)
	}
	r.e.Recv(fd, tok)
	if c := r.Await(tok, engine.OpRecv); c.More || c.Res > 0 {
		t.Fatalf("%+v", c)
	}
	r.Silent()
}

func TestHalfClosedPeerStillGetsItsAnswer(t *testing.T) {
	r := newRig(t, Config{})
	fd, tok, peer := r.Connect()
	r.e.Recv(fd, tok)
	r.Write(peer, []byte("request"))
	_ = peer.CloseWrite()
	if got := r.Receive(tok, 7); string(got) != "request" {
		t.Fatalf("got %q", got)
	}
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
}

func TestNoBufferEndsTheReceiveAndRecyclingRecovers(t *testing.T) {
	r := newRig(t, Config{Buffers: 2, BufferBytes: 512})
	fd, tok, peer := r.Connect()
	sent := enginetest.Fill(make([]byte, 1500), 1)
	r.Write(peer, sent)
	r.e.Recv(fd, tok)
	a, b := r.Await(tok, engine.OpRecv), r.Await(tok, engine.OpRecv)
	r.Want(r.Await(tok, engine.OpRecv), engine.Failed(syscall.ENOBUFS), false)
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
	// What was read when no buffer could be lent comes first, here half of it
	// into memory of the owner's.
	into := r.Memory(200)
	r.e.RecvInto(fd, tok, into)
	r.Want(r.Await(tok, engine.OpRecvInto), 200, false)
	if !bytes.Equal(into, sent[1024:1224]) {
		t.Error("other bytes into the owner's memory")
	}
	r.e.Recv(fd, tok)
	if got := r.Receive(tok, 1500-1224); !bytes.Equal(got, sent[1224:]) {
		t.Error("other bytes after the recovery")
	}
	r.e.Recycle(&a)
	if n := r.e.Counters().LentBytes.Load(); n != 0 {
		t.Errorf("%d bytes lent after all came back", n)
	}
	r.e.Cancel(fd, tok)
	r.Want(r.Await(tok, engine.OpRecv), engine.Failed(syscall.ECANCELED), false)
	r.e.CloseFD(fd, tok)
	r.Await(tok, engine.OpClose)
	if n := r.n.pool.Lent(); n != 0 {
		t.Errorf("%d buffers are out", n)
	}
}

func TestRecvIntoFillsExactlyAndIsShortAtTheEnd(t *testing.T) {
	r := newRig(t, Config{})
	fd, tok, peer := r.Connect()
	sent := enginetest.Fill(make([]byte, 3<<20+10), 9)
	go func() { _, _ = peer.Write(sent); _ = peer.CloseWrite() }()
	buf := r.Memory(3 << 20)
	r.e.RecvInto(fd, tok, buf)
	r.Want(r.Await(tok, engine.OpRecvInto), 3<<20, false)
	if !bytes.Equal(buf, sent[:3<<20]) {
		t.Fatal("other bytes")
	}
	r.e.RecvInto(fd, tok, buf)
	r.Want(r.Await(tok, engine.OpRecvInto), 10, false)
	r.e.RecvInto(fd, tok, buf)
	r.Want(r.Await(tok, engine.OpRecvInto), 0, false)
}

func TestRecvIntoTellsTheResetAfterItsBytes(t *testing.T) {
	r := newRig(t, Config{})
	fd, tok, peer := r.Connect()
	r.Write(peer, []byte("short"))
	r.e.RecvInto(fd, tok, r.Memory(100))
	r.Silent()
	_ = peer.SetLinger(0)
	_ = peer.Close()
	r.Want(r.Await(tok, engine.OpRecvInto), 5, false)
	r.e.Recv(fd, tok)
	r.Want(r.Await(tok, engine.OpRecv), engine.Failed(syscall.ECONNRESET), false)
}

func TestCancelEndsEachKindExactlyOnce(t *testing.T) {
	r := newRig(t, Config{})
	fd, tok, peer := r.Connect()
	cancelled := engine.Failed(syscall.ECANCELED)
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
	r.Write(peer, []byte("four"))
	r.e.RecvInto(fd, tok, buf)
	r.Silent()
	r.e.Cancel(fd, tok)
	r.Want(r.Await(tok, engine.OpRecvInto), 4, false)
	r.e.RecvInto(fd, tok, buf)
	r.Silent()
	r.e.Cancel(fd, tok)
	r.Want(r.Await(tok, engine.OpRecvInto), cancelled, false)

	r.e.Cancel(r.Listener.FD, enginetest.ListenerToken)
	r.Want(r.Await(enginetest.ListenerToken, engine.OpAccept), cancelled, false)
	r.Silent()
	r.e.Accept(r.Listener.FD, enginetest.ListenerToken)
	r.Connect()
}

func TestCancelWhileDataStreamsLosesNoByte(t *testing.T) {
	r := newRig(t, Config{BufferBytes: 4 << 10})
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
	if ends == 0 {
		t.Error("nothing was cancelled")
	}
}

func TestReusedSlotsNeverCrossTokens(t *testing.T) {
	r := newRig(t, Config{})
	numbers := map[engine.FD]int{}
	for i := range 300 {
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
	if len(numbers) > 100 {
		t.Errorf("%d different slots: this test saw no reuse", len(numbers))
	}
}

func TestOperationsOnABadDescriptorEndWithItsError(t *testing.T) {
	r := newRig(t, Config{})
	conn, _, _ := r.Connect()
	ebadf := engine.Failed(syscall.EBADF)
	for i, bad := range []engine.FD{-1, 0, 900, r.Listener.FD} {
		tok := engine.MakeToken(1, uint32(1000+i))
		r.e.Recv(bad, tok)
		r.Want(r.Await(tok, engine.OpRecv), ebadf, false)
		r.e.Send(bad, tok, [][]byte{r.Memory(10)})
		r.Want(r.Await(tok, engine.OpSend), ebadf, false)
		r.e.RecvInto(bad, tok, r.Memory(10))
		r.Want(r.Await(tok, engine.OpRecvInto), ebadf, false)
		if bad != r.Listener.FD {
			r.e.Shutdown(bad, tok)
			r.e.CloseFD(bad, tok)
			r.Want(r.Await(tok, engine.OpClose), ebadf, false)
		}
		if _, _, err := r.n.Addrs(bad); !errors.Is(err, syscall.EBADF) {
			t.Errorf("addresses of %d: %v", bad, err)
		}
	}
	tok := engine.MakeToken(2, 2)
	r.e.Accept(conn, tok)
	r.Want(r.Await(tok, engine.OpAccept), ebadf, false)
}

func TestWakeIsStickyAndUsedUpByOnePoll(t *testing.T) {
	r := newRig(t, Config{})
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
}

func TestNoWakeIsLostInAHandOver(t *testing.T) {
	r := newRig(t, Config{})
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
}

func TestWakeStormDuringTrafficAndAfterClose(t *testing.T) {
	r := newRig(t, Config{})
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
	for i := range 100 {
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
}

func TestCloseEndsEveryGoroutineAndLeavesTheConnectionsWell(t *testing.T) {
	r := newRig(t, Config{Buffers: 4, BufferBytes: 512})
	fd, tok, peer := r.Connect()
	idle, idleTok, _ := r.Connect()
	r.e.Recv(idle, idleTok)
	r.Write(peer, []byte("lent"))
	r.e.Recv(fd, tok)
	c := r.Await(tok, engine.OpRecv)
	r.e.Send(idle, idleTok, [][]byte{r.Memory(24 << 20)})
	r.Write(peer, []byte("unpolled"))
	unknown, err := net.Dial("tcp", r.Listener.Addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unknown.Close() }()
	r.start()
	if err := r.e.Close(); err != nil {
		t.Fatal(err)
	}
	if err := r.e.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	if _, err := r.e.Poll(make([]engine.Completion, 1), -1); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Poll after Close: %v", err)
	}
	if string(c.Data) != "lent" {
		t.Errorf("lent data reads %q", c.Data)
	}
	r.e.Recycle(&c)
	second, err := r.n.Open(engine.WaitLocked)
	if err != nil {
		t.Fatal(err)
	}
	r.e, r.Rig = second.(*Engine), enginetest.RigOn(t, r.n, second)
	r.Write(peer, []byte("again"))
	r.e.Recv(fd, tok)
	if c := r.Await(tok, engine.OpRecv); c.Res <= 0 || !strings.HasSuffix(string(c.Data), "again") {
		t.Errorf("%+v: a connection doesn't work on another engine", c)
	} else {
		r.e.Recycle(&c)
	}
	r.e.Cancel(fd, tok)
	r.Await(tok, engine.OpRecv)
	r.n.Discard(fd)
	r.n.Discard(idle)
	if n := r.n.pool.Lent(); n != 0 {
		t.Errorf("%d buffers are out", n)
	}
}

// start starts what was asked for without taking a completion, and gives the
// goroutines time to fill the queue.
func (r *rig) start() {
	for range 5 {
		if _, err := r.e.Poll(nil, 0); err != nil {
			r.Fatal(err)
		}
		<-time.After(2 * time.Millisecond)
	}
}

func TestErrorsBecomeTheErrnosOfTheContract(t *testing.T) {
	for _, c := range []struct {
		err  error
		want syscall.Errno
	}{
		{nil, 0},
		{io.EOF, 0},
		{os.ErrDeadlineExceeded, syscall.ECANCELED},
		{&net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}, syscall.ECONNRESET},
		{&net.OpError{Op: "accept", Err: os.NewSyscallError("accept", syscall.EMFILE)}, syscall.EMFILE},
		{&net.OpError{Op: "read", Err: net.ErrClosed}, syscall.EBADF},
		{os.NewSyscallError("read", syscall.ENOBUFS), syscall.ENOMEM},
		{os.NewSyscallError("read", syscall.ECANCELED), syscall.EIO},
		{errors.New("no errno at all"), syscall.EIO},
	} {
		if got := errnoOf(c.err); got != c.want {
			t.Errorf("%v became %v, want %v", c.err, got, c.want)
		}
	}
}

func TestConfigFaultsAreReportedTogether(t *testing.T) {
	_, err := New(Config{Buffers: -1, BufferBytes: 3, AcceptsMax: -1})
	if err == nil {
		t.Fatal("no error")
	}
	for _, field := range []string{"Buffers", "BufferBytes", "AcceptsMax"} {
		if !strings.Contains(err.Error(), field) {
			t.Errorf("%q doesn't name %s", err, field)
		}
	}
}

func TestListenErrorsSayWhatToDo(t *testing.T) {
	r := newRig(t, Config{})
	r.Connect()
	for address, part := range map[string]string{
		r.Listener.Addr.String(): "port 0",
		"127.0.0.1":              "host:port",
		"192.0.2.1:0":            "one of its own",
	} {
		if l, err := r.n.Listen(engine.ListenConfig{Address: address}); err == nil {
			r.n.Discard(l.FD)
			t.Errorf("%q: no error", address)
		} else if !strings.Contains(err.Error(), part) {
			t.Errorf("%q lacks %q", err, part)
		}
	}
	if _, err := r.n.Listen(engine.ListenConfig{Address: "127.0.0.1:0", Backlog: -1}); err == nil {
		t.Error("no error for a negative backlog")
	}
}

func TestEndsAndOptionsOfAConnection(t *testing.T) {
	r := newRig(t, Config{})
	fd, _, peer := r.Connect()
	local, remote, err := r.n.Addrs(fd)
	if err != nil || local.String() != peer.RemoteAddr().String() || remote.String() != peer.LocalAddr().String() {
		t.Errorf("ends %v and %v, %v", local, remote, err)
	}
	for _, d := range []time.Duration{-1, 0, time.Nanosecond, time.Hour} {
		if err := r.n.Configure(fd, engine.SocketOptions{KeepAlive: d, SendBufferBytes: 1 << 16, ReceiveBufferBytes: 1 << 16}); err != nil {
			t.Errorf("keepalive %v: %v", d, err)
		}
	}
	if err := r.n.Configure(fd, engine.SocketOptions{SendBufferBytes: -1}); err == nil {
		t.Error("no error for a negative buffer")
	}
}
