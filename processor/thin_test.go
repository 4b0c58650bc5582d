package processor

import (
	"testing"
	"time"

	"kring/engine"
	"kring/internal/slab"
	"kring/reqchan"
)

// TestWhoIsAboutToAskForTheFirstTimeIsDrainedLater: a client that has just connected, or was just told
// the versions. Whoever has asked for more, or says nothing, is not waited for.
func TestWhoIsAboutToAskForTheFirstTimeIsDrainedLater(t *testing.T) {
	settings := Settings{FrameBytesMax: 100, PipelineMax: 4, QueuedBytesMax: 100, PackedBytesMax: 100, HeldBytesMax: 100, BigFrameBytes: 1000}
	from := NewListener("CLIENTS", false, settings)
	channel := reqchan.New(reqchan.Config{RequestsMax: 10, BytesMax: 1 << 20})
	p := New(Config{ConnConfig: ConnConfig{Memory: &slab.Pool{}, Channel: channel}})
	p.engine = opened{Engine: idleEngine{}}
	const request, second = "\x00\x00\x00\x01r", int64(time.Second)
	for i, of := range []struct {
		opened   int64
		received string
	}{{0, ""}, {second / 2, ""}, {second / 2, request}, {second / 2, request + request}} {
		p.shared.Tick(of.opened, 0)
		p.open(message{socket: engine.Accepted{Slot: noSlot{}}, from: from})
		if of.received != "" {
			p.complete(&engine.Completion{Op: engine.OpRecv, Token: engine.MakeToken(uint32(i), 0), Res: int32(len(of.received)), More: true, Data: []byte(of.received)})
		}
	}
	for _, want := range []struct {
		now    int64
		slots  []uint32
		others int
	}{{second, []uint32{0, 3}, 2}, {second, nil, 2}, {2 * second, []uint32{1, 2}, 0}} {
		p.shared.Tick(want.now, 0)
		got, later := p.chooseToDrain(10)
		if len(got) != len(want.slots) || later != want.others {
			t.Fatalf("at %v: %v and %d later, want %v and %d", time.Duration(want.now), got, later, want.slots, want.others)
		}
		for i, token := range got {
			if token.Slot() != want.slots[i] {
				t.Errorf("at %v: %v, want %v", time.Duration(want.now), got, want.slots)
			}
		}
	}
}
