//go:build linux

package uring

import (
	"bytes"
	"net"
	"testing"

	"golang.org/x/sys/unix"

	"kring/engine"
)

// TestACQThatOverflowsUnderLoadLosesNoByte: a CQ of 16 under many connections that send
// and are sent to at once. The kernel keeps what does not fit on a list, ends
// multishot receives early, and each byte still comes once and in order.
func TestACQThatOverflowsUnderLoadLosesNoByte(t *testing.T) {
	const conns, size = 64, 40_000
	onBothWaits(t, Config{Entries: 8, CQEntries: 16, Buffers: 256, BuffersHot: 256, BufferBytes: 512}, func(r *rig) {
		t := r.t
		want := pattern(size)
		out := r.copyOf(want)
		fds, got, sent := make([]engine.FD, conns), make([][]byte, conns), make([]int, conns)
		var peers []*net.TCPConn
		var writes []<-chan error
		for i := range fds {
			fd, peer := r.pair()
			fds[i], peers = fd, append(peers, peer)
			writes = append(writes, write(peer, want))
		}
		for _, w := range writes { // all of it is there
			if err := <-w; err != nil {
				t.Fatal(err)
			}
		}
		for i, fd := range fds {
			r.engine.Recv(fd, engine.MakeToken(uint32(i), 1))
			r.engine.Send(fd, engine.MakeToken(uint32(i), 1), [][]byte{out})
		}
		done := 0
		r.until(func(c *engine.Completion) bool {
			i := c.Token.Slot()
			switch {
			case c.Op == engine.OpSend && c.Res >= 0 && !c.More:
				if sent[i] += int(c.Res); sent[i] < size {
					r.engine.Send(fds[i], c.Token, [][]byte{out[sent[i]:]})
				}
			case c.Op == engine.OpRecv && (c.Res > 0 || c.Errno() == unix.ENOBUFS):
				got[i] = append(got[i], c.Data...)
				r.engine.Recycle(c)
				if !c.More {
					r.engine.Recv(fds[i], c.Token)
				}
			default:
				t.Fatalf("%+v", *c)
			}
			if len(got[i]) == size && sent[i] == size {
				done++
				got[i] = append(got[i], 0) // counted
			}
			return done == conns
		})
		for i, b := range got {
			if !bytes.Equal(b[:size], want) {
				t.Fatalf("connection %d received other bytes than were sent", i)
			}
		}
		if n := r.engine.counters.Overflows.Load(); n == 0 {
			t.Error("the CQ never overflowed: the test shows nothing")
		}
		r.endAll(fds, peers)
	})
}

// endAll ends connections that have nothing but a receive outstanding; their
// tokens are their places.
func (r *rig) endAll(fds []engine.FD, peers []*net.TCPConn) {
	r.t.Helper()
	for i, p := range peers {
		_ = p.Close()
		r.engine.Shutdown(fds[i], engine.MakeToken(uint32(i), 1))
	}
	closed := 0
	r.until(func(c *engine.Completion) bool {
		r.engine.Recycle(c)
		switch {
		case c.Op == engine.OpClose:
			closed++
		case !c.More:
			r.engine.CloseFD(fds[c.Token.Slot()], c.Token)
		}
		return closed == len(fds)
	})
}
