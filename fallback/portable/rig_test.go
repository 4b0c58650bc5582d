package portable

import (
	"io"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"

	"kring/engine"
	"kring/internal/slab"
)

// patience is how long a test waits for what must happen.
const patience = 10 * time.Second

var listenerToken = engine.MakeToken(1<<20, 0)

// rig is an engine with its listener, owned by the test's goroutine.
type rig struct {
	*testing.T
	n    *Network
	e    *Engine
	l    engine.Listener
	pool slab.Pool
	kept []engine.Completion // polled, and not asked for yet
	next uint32
}

func newRig(t *testing.T, c Config) *rig {
	t.Helper()

	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) }) // the last clean-up to run
	n, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	e, err := n.Open(engine.WaitParked)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{T: t, n: n, e: e.(*Engine)}
	t.Cleanup(func() {
		if err := r.e.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// connect gives both ends of a fresh connection: ours, with its token, and the
// peer's.
func (r *rig) connect() (engine.FD, engine.Token, *net.TCPConn) {
	r.Helper()
	if r.l.FD == 0 {
		l, err := r.n.Listen(engine.ListenConfig{Address: "127.0.0.1:0"})
		if err != nil {
			r.Fatal(err)
		}
		r.l = l
		r.Cleanup(func() { r.n.Discard(l.FD) })
		r.e.Accept(l.FD, listenerToken)
	}
	peer, err := net.Dial("tcp", r.l.Addr.String())
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { _ = peer.Close() })
	c := r.await(listenerToken, engine.OpAccept)
	if c.Res < 0 || !c.More {
		r.Fatalf("accept: %+v", c)
	}
	r.next++
	return engine.FD(c.Res), engine.MakeToken(r.next, r.next), peer.(*net.TCPConn)
}

// poll polls once and keeps what came.
func (r *rig) poll(wait time.Duration) int {
	r.Helper()
	var done [16]engine.Completion
	n, err := r.e.Poll(done[:], wait)
	if err != nil {
		r.Fatal(err)
	}
	r.kept = append(r.kept, done[:n]...)
	return n
}

// await is the next completion of op for t.
func (r *rig) await(t engine.Token, op engine.Op) engine.Completion {
	r.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); r.poll(time.Second) {
		for i, c := range r.kept {
			if c.Token == t && c.Op == op {
				r.kept = append(r.kept[:i], r.kept[i+1:]...)
				return c
			}
		}
	}
	r.Fatalf("no completion of %v for %v; there are %+v", op, t, r.kept)
	return engine.Completion{}
}

// silent fails when something completes within a few Polls.
func (r *rig) silent() {
	r.Helper()
	for range 3 {
		r.poll(2 * time.Millisecond)
	}
	if len(r.kept) > 0 {
		r.Fatalf("unexpected %+v", r.kept)
	}
}

// receive collects n bytes of a Recv that is outstanding, or re-armed when it ended.
func (r *rig) receive(t engine.Token, n int) []byte {
	r.Helper()
	var b []byte
	for len(b) < n {
		c := r.await(t, engine.OpRecv)
		if c.Res <= 0 {
			r.Fatalf("after %d of %d bytes: %+v", len(b), n, c)
		}
		b = append(b, c.Data...)
		r.e.Recycle(&c)
	}
	return b
}

// memory is n bytes fit for Send and RecvInto.
func (r *rig) memory(n int) []byte {
	b := r.pool.Get(n)
	r.Cleanup(func() { r.pool.Put(b) })
	return b
}

func (r *rig) want(c engine.Completion, res int32, more bool) {
	r.Helper()
	if c.Res != res || c.More != more {
		r.Fatalf("%v ended with %d (%v), more %v; want %d, %v", c.Op, c.Res, c.Errno(), c.More, res, more)
	}
}

// fill writes a pattern in which no two places near each other look alike.
func fill(b []byte, seed int) []byte {
	for i := range b {
		b[i] = byte((i + seed) * 131 >> 3)
	}
	return b
}

// readAll reads what the peer gets until the end.
func readAll(peer net.Conn) <-chan []byte {
	got := make(chan []byte, 1)
	go func() {
		b, _ := io.ReadAll(peer)
		got <- b
	}()
	return got
}

func (r *rig) write(peer net.Conn, b []byte) {
	r.Helper()
	if _, err := peer.Write(b); err != nil {
		r.Fatal(err)
	}
}
