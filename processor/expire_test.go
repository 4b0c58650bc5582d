package processor

import (
	"strings"
	"testing"
	"time"

	"kring/engine"
	"kring/internal/slab"
	"kring/reqchan"
)

// idleProcessor is one with connections that time out after a second, at its first second.
func idleProcessor(connections int) *Processor {
	l := NewListener("CLIENTS", false, Settings{FrameBytesMax: 100, PipelineMax: 1, QueuedBytesMax: 100, PackedBytesMax: 100,
		HeldBytesMax: 1000, BigFrameBytes: 1000, IdleTimeout: time.Second})
	return quietProcessor(connections, 1000, l)
}

// quietProcessor is one with connections of l, whose handlers do nothing.
func quietProcessor(connections, requestsMax int, l *Listener) *Processor {
	p := New(Config{ConnConfig: ConnConfig{Memory: &slab.Pool{}, Channel: reqchan.New(reqchan.Config{RequestsMax: requestsMax, BytesMax: 1 << 20})}})
	p.engine = opened{Engine: idleEngine{}}
	p.shared.Tick(int64(time.Second), 0)
	for range connections {
		p.open(message{socket: engine.Accepted{Slot: noSlot{}}, from: l})
	}
	return p
}

// TestAfterAStopOfTheProcessNobodyIsLookedAtTwiceAtOnce: what came meanwhile is received
// between the two looks that close a connection for its silence.
func TestAfterAStopOfTheProcessNobodyIsLookedAtTwiceAtOnce(t *testing.T) {
	p := idleProcessor(1)
	c := p.slots.all[0]
	p.shared.Tick(int64(time.Hour), 0)
	if p.expire(); c.Ended() {
		t.Fatal("it was closed without a second look")
	}
	p.shared.Tick(int64(2*time.Hour), 0)
	if p.expire(); !c.Ended() {
		t.Error("it was not closed at the second look")
	}
}

// TestNobodyIsClosedForASilenceThatHasEndedInTheSamePoll: the requests of others that came
// before it are handed on first, and what ended the silence is taken only then.
func TestNobodyIsClosedForASilenceThatHasEndedInTheSamePoll(t *testing.T) {
	const others = handOverFrom/reqchan.RunMax + 1
	p := idleProcessor(others + 1)
	silent := p.slots.all[others]
	p.shared.Tick(int64(10*time.Second), 0)
	if p.expire(); silent.Ended() {
		t.Fatal("it was closed without a second look")
	}
	p.shared.Tick(int64(20*time.Second), 0)
	requests := strings.Repeat("\x00\x00\x00\x01r", reqchan.RunMax)
	for i, c := range p.slots.all {
		sent := requests
		if i == others {
			sent = requests[:2]
		}
		p.reap(c, sent)
	}
	p.completeSome()
	if !p.reaped.left() {
		t.Fatal("all was taken at once: the test needs more requests")
	}
	if p.completeSome(); p.reaped.left() || silent.Ended() || silent.Describe().BytesIn != 2 {
		t.Errorf("%d completions are left; the connection has ended: %v, and received %d bytes",
			p.reaped.n-p.reaped.at, silent.Ended(), silent.Describe().BytesIn)
	}
}

// reap has the last Poll bring data of c.
func (p *Processor) reap(c *slot, data string) {
	p.reaped.done[p.reaped.n] = engine.Completion{Op: engine.OpRecv, Token: c.Token(), Res: int32(len(data)), More: true, Data: []byte(data)}
	p.reaped.n++
}
