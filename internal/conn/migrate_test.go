package conn

import (
	"slices"
	"strings"
	"syscall"
	"testing"

	"kring/engine"
	"kring/internal/conn/conntest"
	"kring/internal/slab"
	"kring/reqchan"
)

// TestAFrameLeavesTheBufferOfTheProcessorThatItsConnectionLeaves: it was begun in a large
// buffer, which only that processor's engine can have back.
func TestAFrameLeavesTheBufferOfTheProcessorThatItsConnectionLeaves(t *testing.T) {
	const size = 24 << 10
	old := newTestLoop(t, Settings{}, echo)
	old.shared.UseLarge(size/2, 2*size)
	f := testFrame(strings.Repeat("large frames", size/12))
	sends := func(l *testLoop) {
		for l.flush(); l.conn.out.sending; l.flush() {
			if string(l.sending) != string(f) {
				t.Error("other bytes came back")
			}
			l.sent(len(l.sending))
		}
	}
	old.receive(f[:100], false)
	for old.fill(f[100:]); old.conn.in.receive == receiveSize; old.fill(f[4:]) {
		sends(old)
		old.fill(f[:4])
	}
	sends(old)
	if old.conn.in.receive != receiveLarge {
		t.Fatal("it does not receive into a large buffer")
	}
	buffer := make([]byte, size/3, 2*size)
	copy(buffer, f)
	old.conn.Received(&engine.Completion{Op: engine.OpRecv, Token: testToken, Res: int32(len(buffer)), Data: buffer})
	if old.conn.big.lease == nil {
		t.Fatal("the frame was not begun in the buffer")
	}
	old.conn.Migrate()
	old.conn.Filled(&engine.Completion{Op: engine.OpRecvInto, Token: testToken, Res: engine.Failed(syscall.ECANCELED)})
	if !old.moves || old.conn.big.lease != nil || old.shared.buffers.large != 0 {
		t.Fatalf("it moves: %v, with a buffer: %v; %d buffers are out", old.moves, old.conn.big.lease != nil, old.shared.buffers.large)
	}
	clear(buffer) // it is another connection's
	m := old.conn.Detach()

	target := newTestLoop(t, Settings{}, echo)
	target.end()
	target.over, target.shared.cfg.Memory = false, old.memory // all processors have the same
	target.conn.Attach(target.shared, testToken, m)
	target.conn.ApplySettings()
	target.conn.Resume()
	target.fill(f[size/3:])
	sends(target)
	if target.shared.count.Responses != 1 {
		t.Error("nothing came back")
	}
}

// TestAHandshakeGoesOnWhileItsConnectionLeaves: it waits for its peer, so that it can't move,
// and its peer's bytes come.
func TestAHandshakeGoesOnWhileItsConnectionLeaves(t *testing.T) {
	var p *ponder
	l := newTestLoop(t, Settings{Transport: func(*reqchan.Conn, func()) Transport {
		p = &ponder{Transport: conntest.NewServer(func() {}), waits: true}
		return p
	}}, nil)
	l.wants("opened", "receive")
	l.conn.Migrate()
	l.wants("leaving", "cancel")
	l.receiveEnds(engine.Failed(syscall.ECANCELED))
	l.wants("a handshake waits for its peer", "receive")
	if l.moves {
		t.Fatal("it moves in its handshake")
	}
	p.waits = false
	l.conn.transportMoved()
	l.wants("the handshake is over", "cancel")
	l.receiveEnds(engine.Failed(syscall.ECANCELED))
	if l.wants("it has left"); !l.moves {
		t.Error("it does not move")
	}
	l.end()
}

// bulky is a transport that has much of its own to send.
type bulky struct {
	Transport
	own int
}

func (b *bulky) Open() bool { return true }

func (b *bulky) Sealed(plain int) int { return min(b.own, 16<<10) + plain + plain/10 }

func (b *bulky) Seal(wire, plain []byte) ([]byte, reqchan.CloseReason) {
	n := min(b.own, 16<<10)
	b.own -= n
	return append(append(wire, make([]byte, n)...), plain...), reqchan.ReasonNone
}

// TestOutputWaitsForWhatATransportHasOfItsOwn: a ticket with the certificates of a client
// fills a piece alone.
func TestOutputWaitsForWhatATransportHasOfItsOwn(t *testing.T) {
	b := &bulky{Transport: conntest.NewServer(func() {}), own: 40 << 10}
	l := newTestLoop(t, Settings{Transport: func(*reqchan.Conn, func()) Transport { return b }, PackedBytesMax: 64 << 10, QueuedBytesMax: 1 << 20}, nil)
	c := l.conn
	c.output()
	room, chunk := l.shared.arena.OpenPiece(sealBytes)
	l.shared.packed(c.out.unsent, room[:sealBytes], chunk)
	c.out.unsent.queued += sealBytes
	var pieces []int
	for range 10 {
		if !c.seal() {
			t.Fatal("not sealed")
		}
		for _, p := range c.secure.pieces {
			pieces = append(pieces, len(p.wire))
			if cap(p.wire) > slab.ArenaChunkBytes {
				t.Fatalf("a piece of %d bytes", cap(p.wire))
			}
			l.shared.releaseSealed(&p)
		}
		c.secure.pieces = c.secure.pieces[:0]
	}
	if want := []int{16 << 10, 16 << 10, 8 << 10, sealBytes}; !slices.Equal(pieces, want) {
		t.Errorf("pieces of %d bytes, want %d", pieces, want)
	}
	c.secure.plain = 0
	l.end()
}
