package processor

import (
	"testing"

	"kring/engine"
	"kring/reqchan"
)

// Kafka: SE-30.
func TestTheConnectionToGiveUpIsOneThatClosesElseTheLongestIdleElseAny(t *testing.T) {
	spared, others := NewListener("BROKERS", false, Settings{}), NewListener("CLIENTS", false, Settings{})
	p := &Processor{conns: []*conn{
		{info: &reqchan.Conn{}, from: spared, active: 1},
		{info: &reqchan.Conn{}, from: others, active: 2, inFlight: 1},
		{info: &reqchan.Conn{}, from: others, active: 4},
		{info: &reqchan.Conn{}, from: others, active: 3},
		{info: &reqchan.Conn{}, from: others, active: 9, finishing: true, parked: &reqchan.Job{}},
		{}, // a free slot
	}}
	for i, c := range p.conns {
		c.token = engine.MakeToken(uint32(i), 0)
	}
	for _, want := range []uint32{4, 3, 2, 1} {
		got := p.nominee("BROKERS")
		if got.None() || got.token.Slot() != want {
			t.Fatalf("connection %d is to go, want %d", got.token.Slot(), want)
		}
		p.conns[want].info = nil
	}
	if got := p.nominee("BROKERS"); !got.None() {
		t.Errorf("connection %d is to go, though it is spared", got.token.Slot())
	}
}
