package enginetest

import (
	"net"
	"testing"
	"time"

	"kring/engine"
	"kring/internal/slab"
)

// ListenerToken is the token of a Rig's listener.
var ListenerToken = engine.MakeToken(1<<20, 0)

// Rig is an engine with its listener, owned by the test's goroutine. An engine's own
// package uses it for its tests beside the suite.
type Rig struct {
	testing.TB
	Listener engine.Listener // listens from the first Connect on

	kept    []engine.Completion // polled, and not returned by Await yet
	network engine.Network
	engine  engine.Engine
	pool    slab.Pool
	next    uint32
}

// NewRig opens an engine of n, which the end of the test closes.
func NewRig(t testing.TB, n engine.Network, w engine.Wait) (*Rig, engine.Engine) {
	t.Helper()
	e, err := n.Open(w)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return RigOn(t, n, e), e
}

// RigOn is a Rig of an engine that its test closes.
func RigOn(t testing.TB, n engine.Network, e engine.Engine) *Rig {
	return &Rig{TB: t, network: n, engine: e}
}

// Connect returns both ends of a new connection: the engine's, with its token, and the
// peer's.
func (r *Rig) Connect() (engine.FD, engine.Token, *net.TCPConn) {
	r.Helper()
	if r.Listener.FD == 0 {
		l, err := r.network.Listen(engine.ListenConfig{Address: "127.0.0.1:0"})
		if err != nil {
			r.Fatal(err)
		}
		r.Listener = l
		r.Cleanup(func() { r.network.Discard(l.FD) })
		r.engine.Accept(l.FD, ListenerToken)
	}
	peer, err := net.Dial("tcp", r.Listener.Addr.String())
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { _ = peer.Close() })
	c := r.Await(ListenerToken, engine.OpAccept)
	if c.Res < 0 || !c.More {
		r.Fatalf("accept: %+v", c)
	}
	r.next++
	return engine.FD(c.Res), engine.MakeToken(r.next, r.next), peer.(*net.TCPConn)
}

// Poll polls once and keeps the completions.
func (r *Rig) Poll(wait time.Duration) int {
	r.Helper()
	var done [16]engine.Completion
	n, err := r.engine.Poll(done[:], wait)
	if err != nil {
		r.Fatal(err)
	}
	r.kept = append(r.kept, done[:n]...)
	return n
}

// Await is the next completion of op for t.
func (r *Rig) Await(t engine.Token, op engine.Op) engine.Completion {
	r.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); r.Poll(time.Second) {
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

// Silent fails the test if something completes within a few Polls.
func (r *Rig) Silent() {
	r.Helper()
	for range 3 {
		r.Poll(2 * time.Millisecond)
	}
	if len(r.kept) > 0 {
		r.Fatalf("unexpected %+v", r.kept)
	}
}

// Receive collects n bytes of a Recv that is outstanding, or re-armed when it ended.
func (r *Rig) Receive(t engine.Token, n int) []byte {
	r.Helper()
	var b []byte
	for len(b) < n {
		c := r.Await(t, engine.OpRecv)
		if c.Res <= 0 {
			r.Fatalf("after %d of %d bytes: %+v", len(b), n, c)
		}
		b = append(b, c.Data...)
		r.engine.Recycle(&c)
	}
	return b
}

// Memory is n bytes fit for Send and RecvInto.
func (r *Rig) Memory(n int) []byte {
	b := r.pool.Get(n)
	r.Cleanup(func() { r.pool.Put(b) })
	return b
}

// Want checks how an operation ended.
func (r *Rig) Want(c engine.Completion, res int32, more bool) {
	r.Helper()
	if c.Res != res || c.More != more {
		r.Fatalf("%v ended with %d (%v), more %v; want %d, %v", c.Op, c.Res, c.Errno(), c.More, res, more)
	}
}

// Fill writes a pattern that does not repeat over short distances.
func Fill(b []byte, seed int) []byte {
	for i := range b {
		b[i] = byte((i + seed) * 131 >> 3)
	}
	return b
}

// Write has the peer write b.
func (r *Rig) Write(peer net.Conn, b []byte) {
	r.Helper()
	if _, err := peer.Write(b); err != nil {
		r.Fatal(err)
	}
}
