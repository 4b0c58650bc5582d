package processor

import (
	"testing"

	"kring/engine"
	"kring/internal/slab"
	"kring/reqchan"
)

// idleEngine completes nothing.
type idleEngine struct{ engine.Engine }

func (idleEngine) Recv(engine.FD, engine.Token)     {}
func (idleEngine) Cancel(engine.FD, engine.Token)   {}
func (idleEngine) Recycle(*engine.Completion)       {}
func (idleEngine) Shutdown(engine.FD, engine.Token) {}

func (idleEngine) ShutdownSend(engine.FD, engine.Token) {}

type noSlot struct{}

func (noSlot) Release() {}

// Kafka: SE-30.
func TestTheConnectionToGiveUpIsOneThatClosesElseTheLongestIdleElseAny(t *testing.T) {
	settings := Settings{FrameBytesMax: 100, PipelineMax: 1, QueuedBytesMax: 100, PackedBytesMax: 100, HeldBytesMax: 100, BigFrameBytes: 1000}
	spared, others := NewListener("BROKERS", false, settings), NewListener("CLIENTS", false, settings)
	channel := reqchan.New(reqchan.Config{RequestsMax: 10, BytesMax: 1 << 20})
	p := New(Config{ConnConfig: ConnConfig{Memory: &slab.Pool{}, Channel: channel}})
	p.engine = opened{Engine: idleEngine{}}
	request, tooBig := "\x00\x00\x00\x01r", "\x00\x00\x00\x7f?"
	for i, of := range []struct {
		listener *Listener
		active   int64
		received string
	}{{spared, 1, ""}, {others, 2, request}, {others, 4, ""}, {others, 3, ""}, {others, 9, tooBig}, {others, 10, ""}} {
		p.shared.Tick(of.active, 0)
		p.open(message{socket: engine.Accepted{Slot: noSlot{}}, from: of.listener})
		if of.received != "" {
			p.complete(&engine.Completion{Op: engine.OpRecv, Token: engine.MakeToken(uint32(i), 0), Res: 5, More: true, Data: []byte(of.received)})
		}
	}
	p.slots.all[5].EngineFailed()
	p.slots.all[5].Closed() // a free slot
	for _, want := range []uint32{4, 3, 2, 1} {
		got := p.nominee("BROKERS")
		if got.None() || got.token.Slot() != want {
			t.Fatalf("connection %d is to go, want %d", got.token.Slot(), want)
		}
		p.slots.all[want].EngineFailed()
		p.slots.all[want].Closed()
	}
	if got := p.nominee("BROKERS"); !got.None() {
		t.Errorf("connection %d is to go, though it is spared", got.token.Slot())
	}
}
