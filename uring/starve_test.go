//go:build linux

package uring

import (
	"net"
	"testing"

	"kring/engine"
)

// TestMoreReadySocketsThanBuffersNeverKeepPollFromReturning: with a small SQ,
// receives that found no buffer must not be armed again while CQEs are reaped,
// or they meet the same empty window for ever and the owner never recycles.
func TestMoreReadySocketsThanBuffersNeverKeepPollFromReturning(t *testing.T) {
	const sockets, rounds = 120, 20
	onBothWaits(t, Config{Entries: 4, Buffers: 8, BuffersHot: 2, BufferBytes: 256}, func(r *rig) {
		var fds [sockets]engine.FD
		var peers [sockets]*net.TCPConn
		for i := range fds {
			fds[i], peers[i] = r.pair()
			r.engine.Recv(fds[i], engine.MakeToken(uint32(i), 0))
		}
		for range rounds {
			for _, p := range peers {
				if _, err := p.Write(make([]byte, 100)); err != nil {
					t.Fatal(err)
				}
			}
			got := 0
			r.until(func(c *engine.Completion) bool {
				got += int(max(c.Res, 0))
				r.engine.Recycle(c)
				if !c.More {
					r.engine.Recv(fds[c.Token.Slot()], c.Token)
				}
				return got == 100*sockets
			})
		}
		for i, fd := range fds {
			r.engine.Cancel(fd, engine.MakeToken(uint32(i), 0))
		}
		ended := 0
		r.until(func(c *engine.Completion) bool {
			r.engine.Recycle(c)
			if !c.More {
				ended++
			}
			return ended == sockets
		})
		for i, fd := range fds {
			r.finish(fd, engine.MakeToken(uint32(i), 0), peers[i])
		}
	})
}
