package processor

import (
	"strings"
	"testing"

	"kring/reqchan"
)

// TestWhatIsHandedOnAtOnceFindsRoom: however long the runs of requests are that one Poll
// brings, an empty request channel takes those that are handed on together. What it does
// not take waits, and its client gets its answers in pieces.
func TestWhatIsHandedOnAtOnceFindsRoom(t *testing.T) {
	for _, requestsMax := range []int{4, 100, 500, 4096} {
		for _, together := range []int{1, 3, 16, reqchan.RunMax} {
			l := NewListener("CLIENTS", false, Settings{FrameBytesMax: 100, PipelineMax: 1, QueuedBytesMax: 1 << 20, PackedBytesMax: 100,
				HeldBytesMax: 1 << 20, BigFrameBytes: 1000})
			p := quietProcessor(completionsPerPoll, requestsMax, l)
			for _, c := range p.slots.all {
				p.reap(c, strings.Repeat("\x00\x00\x00\x01r", together))
			}
			if p.completeSome(); p.shared.Fresh() == 0 {
				t.Fatal("nothing was cut")
			}
			if p.publish(); p.handlers.ordinary.held > 0 {
				t.Errorf("a channel for %d, runs of %d: %d of %d found no room", requestsMax, together, p.handlers.ordinary.held, p.shared.Fresh())
			}
		}
	}
}
