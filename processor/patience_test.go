package processor

import (
	"testing"
	"time"

	"kring/engine"
	"kring/internal/budget"
	"kring/internal/conn"
	"kring/internal/slab"
	"kring/reqchan"
)

// deafEngine has peers that take nothing.
type deafEngine struct{ idleEngine }

func (deafEngine) Send(engine.FD, engine.Token, [][]byte) {}

// TestADrainEndsWhoReadsNothingThoughResponsesAreShort: both are reasons to look at all
// connections, and neither look takes the other's place.
func TestADrainEndsWhoReadsNothingThoughResponsesAreShort(t *testing.T) {
	const patience = time.Second
	settings := Settings{FrameBytesMax: 100, PipelineMax: 1, QueuedBytesMax: 100, PackedBytesMax: 100, HeldBytesMax: 100, BigFrameBytes: 1000}
	p := New(Config{ConnConfig: ConnConfig{
		Memory: &slab.Pool{}, Channel: reqchan.New(reqchan.Config{RequestsMax: 10, BytesMax: 1 << 20}),
		Responses: budget.New(1 << 20), Handle: func(r reqchan.Request) { r.Respond(make([]byte, 10)) },
	}})
	p.engine = opened{Engine: deafEngine{}}
	p.shared.Tick(int64(time.Second), 0)
	p.open(message{socket: engine.Accepted{Slot: noSlot{}}, from: NewListener("CLIENTS", false, settings)})
	c := p.slots.all[0]
	p.reap(c, "\x00\x00\x00\x01r")
	p.completeSome()
	p.flush()
	p.cfg.Responses.Queue(2<<20, func() {})
	if unread, _ := c.Unread(); unread == 0 || !p.cfg.Responses.Tight() {
		t.Fatalf("%d bytes are unread, responses are short: %v", unread, p.cfg.Responses.Tight())
	}
	p.ends.patience.Store(int64(patience))
	p.enter(conn.Draining)
	for range 4 { // the first look has nothing to compare with
		if c.Ended() {
			return
		}
		p.shared.Tick(p.shared.Now()+int64(patience), 0)
		p.expire()
	}
	if !c.Ended() {
		t.Error("a drain waits for a peer that takes nothing")
	}
}
