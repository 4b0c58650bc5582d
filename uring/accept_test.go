//go:build linux

package uring

import (
	"net"
	"testing"

	"kring/engine"
)

// An acceptor's ring holds no window to receive into, and no long queue; it accepts.
func TestAnEngineToAcceptOnIsSmall(t *testing.T) {
	n := newTestNetwork(t, Config{})
	opened, err := n.OpenToAccept()
	if err != nil {
		t.Fatal(err)
	}
	e := opened.(*ringEngine)
	if p := e.ring.Params(); len(e.window.memory) > 4<<10 || p.CQEntries > acceptCQEntriesMax || p.SQEntries > acceptEntriesMax {
		t.Errorf("a window of %d bytes, %d CQEs, %d SQEs", len(e.window.memory), p.CQEntries, p.SQEntries)
	}
	l, err := n.Listen(engine.ListenConfig{Address: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	e.Accept(l.FD, token)
	done := make([]engine.Completion, 8)
	for range 3 {
		c, err := net.DialTimeout("tcp", l.Addr.String(), patience)
		if err != nil {
			t.Fatal(err)
		}
		for got := 0; got == 0; {
			if got, err = e.Poll(done, patience); err != nil {
				t.Fatal(err)
			}
		}
		if done[0].Op != engine.OpAccept || done[0].Res < 0 {
			t.Fatalf("%+v", done[0])
		}
		n.Discard(engine.FD(done[0].Res))
		_ = c.Close()
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	n.Discard(l.FD)
}
