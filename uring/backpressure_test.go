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

// TestBusyConnectionsAreServedInTurn: all connections have data all the time, and
// there are buffers for a few, or Poll takes a few at a time. Between two completions
// of one, each of the others is served about once, and never more than twice, or with
// few buffers three times.
func TestBusyConnectionsAreServedInTurn(t *testing.T) {
	const conns, rounds = 48, 60
	for _, c := range []struct{ buffers, taken, turns int }{{1, 64, 3}, {8, 64, 3}, {32, 64, 3}, {64, 8, 2}, {1024, 8, 2}} {
		onBothWaitsOfOneThread(t, Config{Buffers: c.buffers, BufferBytes: 64}, func(r *rig) {
			r.done = r.done[:c.taken]
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
			if most > c.turns*conns {
				r.t.Errorf("%+v: a connection waited for %d completions of %d others", c, most, conns-1)
			}
			b.end()
		})
	}
}

// TestWhatPollDoesNotTakeStaysInTheSockets: when the owner is behind, receives are
// armed as it takes their completions, and not as data comes.
func TestWhatPollDoesNotTakeStaysInTheSockets(t *testing.T) {
	const conns, rounds, taken = 200, 40, 8
	onBothWaitsOfOneThread(t, Config{BufferBytes: 64}, func(r *rig) {
		r.done = r.done[:taken]
		b := newBusy(r, conns)
		requests, most := 0, 0
		b.serve(rounds, func(uint32) {
			if requests++; requests > 3*conns { // the multishot receives that stood have ended
				most = max(most, r.engine.unreaped())
			}
		})
		if most > 2*taken {
			r.t.Errorf("%d completions lay behind what Poll took, which is %d", most, taken)
		}
		b.end()
	})
}

// TestReceivesDoNotAskForBuffersThatLieFilledInTheQueue: Poll hands out a few
// completions at a time, so most filled buffers lie in the CQ. Receives are armed for
// free buffers only: few are asked for in vain.
func TestReceivesDoNotAskForBuffersThatLieFilledInTheQueue(t *testing.T) {
	const conns, rounds = 200, 40
	onBothWaitsOfOneThread(t, Config{Buffers: 32, BufferBytes: 64}, func(r *rig) {
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
