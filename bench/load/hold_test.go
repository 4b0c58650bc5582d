package load

import (
	"net"
	"testing"
	"time"
)

func TestIdleConnectionsAreHeldAndTheirEndsCounted(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	h, err := Hold(ln.Addr().String(), 3, 7)
	if err != nil {
		t.Fatal(err)
	}
	var peers []net.Conn
	for range 3 {
		c, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		peers = append(peers, c)
	}
	if n := h.Ended(); n != 0 {
		t.Errorf("%d connections ended by themselves", n)
	}
	peers[0].Close()
	if _, err := peers[1].Write([]byte{1}); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(time.Minute)
	for h.Ended() != 2 {
		if time.Now().After(deadline) {
			t.Fatalf("%d ended, want one that was closed and one that was written to", h.Ended())
		}
		<-time.After(time.Millisecond)
	}
	h.Close()
	if n := h.Ended(); n != 2 {
		t.Errorf("its own end counts: %d", n)
	}
	ln.Close()
	if _, err := Hold(ln.Addr().String(), 1, 0); err == nil {
		t.Error("nobody listens, and that is no error")
	}
}
