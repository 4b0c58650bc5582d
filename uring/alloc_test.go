//go:build linux && !race && !invariants

package uring

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kring/engine"
)

// The assertions of the other builds allocate.
func TestPollAndEveryOperationAllocateNothing(t *testing.T) {
	onBothWaits(t, Config{Entries: 2, CQEntries: 16}, func(r *rig) {
		t := r.t
		fd, peer := r.pair()
		raw, err := peer.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		out := r.copyOf(pattern(64))
		two := [][]byte{out[:10], out[10:]}
		one := [][]byte{out}
		into := r.pool.Get(64)
		in := make([]byte, 128)
		var fdPeer int
		_ = raw.Control(func(f uintptr) { fdPeer = int(f) })
		settle := func(want int) {
			for want > 0 {
				n, err := r.engine.Poll(r.done, patience)
				if err != nil {
					t.Fatal(err)
				}
				for i := range r.done[:n] {
					if !r.done[i].More || r.done[i].Op == engine.OpRecv {
						want--
					}
					r.engine.Recycle(&r.done[i])
				}
			}
		}
		n := testing.AllocsPerRun(500, func() {
			r.engine.Send(fd, token, one)
			settle(1)
			r.engine.Send(fd, token, two)
			settle(1)
			for got := 0; got < 128; {
				n, _ := unix.Read(fdPeer, in[got:])
				got += max(n, 0)
			}
			r.engine.RecvInto(fd, token, into)
			_, _ = unix.Write(fdPeer, in[:64])
			settle(1)
			r.engine.Recv(fd, token)
			_, _ = unix.Write(fdPeer, in[:1])
			settle(1)
			r.engine.Cancel(fd, token)
			settle(1)
			r.engine.Wake()
			_, _ = r.engine.Poll(r.done, -1)
			_, _ = r.engine.Poll(r.done, time.Microsecond)
		})
		if n != 0 {
			t.Errorf("%v allocations for a round of operations", n)
		}
		r.finish(fd, token, peer)
	})
}
