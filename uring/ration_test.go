//go:build linux

package uring

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"

	"kring/engine"
)

// busy is connections that have more to receive as soon as they were served.
type busy struct {
	r     *rig
	fds   []engine.FD
	peers []*net.TCPConn
}

func newBusy(r *rig, conns int) *busy {
	b := &busy{r: r}
	for i := range conns {
		fd, peer := r.pair()
		b.fds, b.peers = append(b.fds, fd), append(b.peers, peer)
		r.engine.Recv(fd, engine.MakeToken(uint32(i), 1))
	}
	return b
}

// ask has a connection's peer send a byte.
func (b *busy) ask(slot uint32) {
	if _, err := b.peers[slot].Write([]byte{1}); err != nil {
		b.r.t.Fatal(err)
	}
}

// serve has every connection served rounds times over, on average. served learns
// of each completion with data.
func (b *busy) serve(rounds int, served func(slot uint32)) {
	for i := range b.fds {
		b.ask(uint32(i))
	}
	left := rounds * len(b.fds)
	b.r.until(func(c *engine.Completion) bool {
		res, slot := c.Res, c.Token.Slot()
		b.r.engine.Recycle(c)
		if res > 0 {
			served(slot)
			if left--; left >= len(b.fds) {
				b.ask(slot)
			}
		}
		if !c.More && (res > 0 || c.Errno() == unix.ENOBUFS) {
			b.r.engine.Recv(b.fds[slot], c.Token)
		}
		return left == 0
	})
}

func (b *busy) end() {
	for i, fd := range b.fds {
		t := engine.MakeToken(uint32(i), 1)
		b.r.engine.Cancel(fd, t)
		for ended := false; !ended; {
			b.r.until(func(c *engine.Completion) bool {
				b.r.engine.Recycle(c)
				ended = !c.More && c.Op == engine.OpRecv && c.Token == t
				return true
			})
		}
		b.r.finish(fd, t, b.peers[i])
	}
}

// TestConnectionsThatWaitForABufferAreServedInTurn: all connections have data all
// the time, and there are buffers for a few. Between two completions of one, each
// of the others is served about once.
func TestConnectionsThatWaitForABufferAreServedInTurn(t *testing.T) {
	const conns, rounds = 48, 60
	for _, buffers := range []int{1, 8, 32} {
		onBothWaits(t, Config{Buffers: buffers, BufferBytes: 64}, func(r *rig) {
			b := newBusy(r, conns)
			var at, last [conns]int
			now, most := 0, 0
			b.serve(rounds, func(slot uint32) {
				now++
				if at[slot] > 0 { // the first wait includes the multishot receives that stood
					most = max(most, now-last[slot])
				}
				at[slot]++
				last[slot] = now
			})
			if most > 3*conns {
				r.t.Errorf("%d buffers: a connection waited for %d completions of %d others", buffers, most, conns-1)
			}
			b.end()
		})
	}
}

// TestReceivesDoNotAskForBuffersThatLieFilledInTheQueue: Poll hands out a few
// completions at a time, so most filled buffers lie in the CQ. Receives are armed for
// free buffers only: few are asked for in vain.
func TestReceivesDoNotAskForBuffersThatLieFilledInTheQueue(t *testing.T) {
	const conns, rounds = 200, 40
	onBothWaits(t, Config{Buffers: 32, BufferBytes: 64}, func(r *rig) {
		r.done = r.done[:8]
		b := newBusy(r, conns)
		requests := 0
		b.serve(rounds, func(uint32) { requests++ })
		b.end()
		if starved := r.engine.counters.Snapshot().Starved; starved > uint64(3*requests/4) {
			r.t.Errorf("%d receives found no buffer for %d that did", starved, requests)
		}
	})
}
