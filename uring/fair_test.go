//go:build linux

package uring

import (
	"fmt"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kring/engine"
)

// TestAFloodLeavesBuffersForOthers: a flooding connection takes every buffer
// there is in its turn, and the kernel serves the others after it. From the
// moment that a byte of another lies in its socket, it comes within so many
// completions: those that are in the CQ already, and a turn of each flood.
func TestAFloodLeavesBuffersForOthers(t *testing.T) {
	const turn = 32 // the kernel's bound of one multishot receive
	for _, c := range []struct {
		buffers, floods int
		recv            string
	}{{1, 1, ""}, {4, 1, ""}, {4, 5, ""}, {16, 1, ""}, {64, 1, ""}, {64, 3, ""}, {4, 5, RecvSingleMode}, {16, 40, RecvSingleMode}} {
		onBothWaitsOfOneThread(t, Config{Buffers: c.buffers, BufferBytes: 1024, Recv: c.recv}, func(r *rig) {
			bound := 2*c.buffers + (c.floods+1)*min(c.buffers, turn) + 2*turn
			if most := newFlood(r, c.floods).serve(100); most > bound {
				r.t.Errorf("%+v: %d completions of the flood came before a byte that was there, want %d at most", c, most, bound)
			}
		})
	}
}

// TestAFloodLeavesTimeForOthers: a Poll takes 8 completions, and there are buffers
// for a thousand. Floods don't fill them all before a byte that is there comes: each
// has a turn at most, as where buffers are few.
func TestAFloodLeavesTimeForOthers(t *testing.T) {
	const taken, turn = 8, 32
	for _, floods := range []int{1, 5} {
		onBothWaitsOfOneThread(t, Config{BufferBytes: 1024}, func(r *rig) {
			r.done = r.done[:taken]
			f := newFlood(r, floods)
			f.pause = 2048 // what they filled before anybody took turns is gone
			bound := 2*taken + (floods+1)*turn + 2*turn
			f.excuse = bound
			if most := f.serve(20); most > bound || f.excused > 10 {
				r.t.Errorf("%d completions of %d floods came before a byte that was there, want %d at most; %d excused", most, floods, bound, f.excused)
			}
		})
	}
}

// flood is a quiet connection among flooding ones.
type flood struct {
	r     *rig
	fds   []engine.FD // the first is the quiet one's
	peers []*net.TCPConn
	over  chan struct{}
	pause int // completions of the flood before each quiet byte
	// excuse is how many may come before a byte while receives do not take turns: a flood
	// whose peer the system does not schedule for a while is none, and when it comes back
	// receives stand. excused are the bytes that had more before them. 0: none are.
	excuse, excused int
}

// standing is for how many completions what receives filled as they stood may come.
const standing = 512

func newFlood(r *rig, floods int) *flood {
	f := &flood{r: r, over: make(chan struct{}, floods), pause: 20}
	for i := range floods + 1 {
		fd, peer := r.pair()
		f.fds, f.peers = append(f.fds, fd), append(f.peers, peer)
		r.engine.Recv(fd, f.token(i))
	}
	for _, p := range f.peers[1:] {
		go func() {
			defer func() { f.over <- struct{}{} }()
			for b := make([]byte, 64<<10); ; {
				if _, err := p.Write(b); err != nil {
					return
				}
			}
		}()
	}
	return f
}

func (f *flood) token(i int) engine.Token { return engine.MakeToken(uint32(i), 1) }

// take gives a completion's memory back, and receives on.
func (f *flood) take(c *engine.Completion) {
	res, ended := c.Res, !c.More
	f.r.engine.Recycle(c)
	if ended && (res > 0 || c.Errno() == unix.ENOBUFS) {
		f.r.engine.Recv(f.fds[c.Token.Slot()], c.Token)
	}
}

// serve says the most completions of the flood between a quiet byte's arrival
// in its socket, and its own.
func (f *flood) serve(bytes int) (most int) {
	heard, sent, before, there, inTurns := 0, 0, 0, false, 0
	send := func() {
		if _, err := f.peers[0].Write([]byte{1}); err != nil {
			f.r.t.Fatal(err)
		}
		sent++
		before, there = 0, false
	}
	see := func(c *engine.Completion) {
		quiet := c.Token.Slot() == 0 && c.Res > 0
		f.take(c)
		if inTurns++; f.r.engine.short == 0 {
			inTurns = 0
		}
		switch before++; {
		case quiet:
			if f.excuse > 0 && before-1 > f.excuse && inTurns < before+standing {
				f.excused++
			} else {
				most = max(most, before-1)
			}
			heard++
			before = 0
		case heard == sent && before > f.pause: // among the flood
			send()
		case heard < sent && !there:
			before = 0
			there = f.arrived() == uint64(sent)
		}
	}
	for deadline := time.Now().Add(patience); heard < bytes; {
		n := f.r.poll(time.Second)
		for i := range f.r.done[:n] {
			see(&f.r.done[i])
		}
		if n == 0 && heard == sent { // TCP waits for its timer: it dropped what had no room
			send()
		}
		if time.Now().After(deadline) {
			f.r.t.Fatalf("%d of %d bytes after %v", heard, bytes, patience)
		}
	}
	f.end()
	return most
}

// arrived are the bytes that TCP has received for the quiet connection, taken
// or not.
func (f *flood) arrived() uint64 {
	info, err := unix.GetsockoptTCPInfo(int(f.fds[0]), unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		f.r.t.Fatal(fmt.Errorf("TCP_INFO: %w", err))
	}
	return info.Bytes_received
}

func (f *flood) end() {
	for i, p := range f.peers {
		_ = p.SetLinger(0)
		_ = p.Close()
		f.r.engine.Shutdown(f.fds[i], f.token(i))
	}
	ended := 0
	f.r.until(func(c *engine.Completion) bool {
		if f.take(c); c.Op == engine.OpRecv && (c.Res == 0 || c.Res < 0 && c.Errno() != unix.ENOBUFS) {
			f.r.engine.CloseFD(f.fds[c.Token.Slot()], c.Token)
		}
		if c.Op == engine.OpClose {
			ended++
		}
		return ended == len(f.fds)
	})
	for range len(f.peers) - 1 {
		<-f.over
	}
}
