package portable

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"kring/engine"
	"kring/internal/enginetest"
)

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

// A receive runs ahead of the owner by a bounded amount: one completion that waits to be
// polled and one that is being made.
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

// start starts what was requested without taking a completion, and gives the goroutines
// time to fill the queue.
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
