//go:build linux

package uring

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"

	"kring/engine"
)

// TestANumberUsedAgainBeforeItsCloseIsHeardIsAnotherConnection: once the kernel
// has closed a descriptor the acceptor's ring may be given its number, and the
// owner arm it, while the CQE of the close still waits in the CQ.
func TestANumberUsedAgainBeforeItsCloseIsHeardIsAnotherConnection(t *testing.T) {
	onBothWaits(t, Config{}, func(r *rig) {
		t := r.t
		l, err := r.network.Listen(engine.ListenConfig{Address: "127.0.0.1:0"})
		if err != nil {
			t.Fatal(err)
		}
		for i := range uint32(20) {
			old, oldPeer := r.pair()
			before, after := engine.MakeToken(7, 2*i), engine.MakeToken(7, 2*i+1)
			peer, err := net.Dial("tcp", l.Addr.String()) // takes no number later
			if err != nil {
				t.Fatal(err)
			}
			r.engine.CloseFD(old, before)
			for closed := false; !closed; { // no room to hear of it
				if _, err := r.engine.Poll(nil, 0); err != nil {
					t.Fatal(err)
				}
				_, err := unix.FcntlInt(uintptr(old), unix.F_GETFD, 0)
				closed = err == unix.EBADF
			}
			accepted, _, err := unix.Accept4(int(l.FD), unix.SOCK_CLOEXEC)
			if err != nil {
				t.Fatal(err)
			}
			if accepted != int(old) { // a test beside this one took it
				_ = unix.Dup3(accepted, int(old), unix.O_CLOEXEC)
				_ = unix.Close(accepted)
			}
			r.engine.Recv(old, after)
			if c := r.next(engine.OpClose); c.Token != before || c.Res != 0 || c.More {
				t.Fatalf("the old one's close: %+v, want token %v", c, before)
			}
			if _, err := peer.Write([]byte("new")); err != nil {
				t.Fatal(err)
			}
			c := r.next(engine.OpRecv)
			if c.Token != after || string(c.Data) != "new" || !c.More {
				t.Fatalf("the new one's data: %+v", c)
			}
			r.engine.Recycle(&c)
			r.engine.Cancel(old, after)
			r.next(engine.OpRecv)
			r.finish(old, after, peer)
			_ = oldPeer.Close()
		}
		r.network.Discard(l.FD)
		if n := len(r.engine.lateCloses); n != 0 {
			t.Errorf("%d closes are remembered after the last", n)
		}
	})
}
