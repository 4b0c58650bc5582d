package processor

import (
	"testing"
	"time"

	"kring/engine"
	"kring/internal/queue"
)

// TestAFrameThatWaitsIsHeardWhereverItStands: the first in line may be gone, or have no timeout,
// and silent peers keep the bytes of those behind it.
func TestAFrameThatWaitsIsHeardWhereverItStands(t *testing.T) {
	settings := Settings{FrameBytesMax: 100 << 10, PipelineMax: 1, QueuedBytesMax: 100, PackedBytesMax: 100, HeldBytesMax: 1000, BigFrameBytes: 1000}
	patient := NewListener("PATIENT", false, settings)
	settings.FrameTimeout = 10 * time.Second
	p := quietProcessor(0, 1000, patient)
	for s := p.cfg.Channel.NewSender(queue.NewWakeFlag(func() {})); s.Reserve(1000); {
	}
	for _, from := range []*Listener{patient, NewListener("CLIENTS", false, settings)} {
		p.open(message{socket: engine.Accepted{Slot: noSlot{}}, from: from})
	}
	for _, c := range p.slots.all {
		p.reap(c, "\x00\x01\x00\x00begun")
	}
	for p.completeSome(); p.reaped.left(); p.completeSome() {
	}
	if n := len(p.slots.rearm.list); n != 2 {
		t.Fatalf("%d wait for bytes", n)
	}
	p.hurryFrames()
	if now := p.shared.Now(); p.cfg.Channel.StarvedUntil() >= now {
		t.Fatal("somebody is heard before he has waited")
	}
	p.shared.Tick(p.shared.Now()+2*int64(time.Second), 0)
	p.hurryFrames()
	if now := p.shared.Now(); p.cfg.Channel.StarvedUntil() < now {
		t.Error("who stands behind one that has no timeout is not heard")
	}
}
