package processor_test

import (
	"io"
	"testing"
	"time"

	"kring/internal/faultengine"
	"kring/processor"
)

// TestNothingWaitsForASendThatMayWait: the engine holds the completions of such
// sends until something else completes, which for a client that has said all it
// has to say is never.
func TestNothingWaitsForASendThatMayWait(t *testing.T) {
	sizes := []int{10, 100, 20_000, 10, 10, 40_000, 40_000, 3000, 3000, 3000, 3000, 1}
	for _, inline := range []bool{true, false} {
		for _, pipeline := range []int{1, 4} {
			for _, window := range []int{1 << 10, 64 << 10} {
				s := newStage(t, stageConfig{
					handle: echo, inline: inline, handlers: 2,
					settings: processor.Settings{PipelineMax: pipeline, QueuedBytesMax: 4 << 10, HeldBytesMax: 8 << 10},
					faults:   faultengine.Config{WithholdDelayedSends: true, SendWindowBytes: window, ShortSend: 0.2},
				})
				c := s.dial()
				if c == nil {
					return
				}
				for range 3 {
					if err := converse(c, sizes); err != nil {
						t.Fatalf("inline %v, pipeline %d, window %d, seed %d: %v", inline, pipeline, window, s.network.Seed(), err)
					}
				}
				_ = c.Close()
				s.stop(time.Minute)
			}
		}
	}
}

// TestASendThatThePeerHoldsUpIsMeasuredWhole, although nothing here waited for it.
func TestASendThatThePeerHoldsUpIsMeasuredWhole(t *testing.T) {
	s := newStage(t, stageConfig{handle: echo, inline: true, faults: faultengine.Config{SendWindowBytes: 1 << 10}})
	c := s.dial()
	if c == nil {
		return
	}
	const held = 20 * time.Millisecond
	if _, err := c.Write(frameOf(1, 8<<10)); err != nil {
		t.Fatal(err)
	}
	first := make([]byte, 1)
	if _, err := c.Read(first); err != nil { // the answer is on its way
		t.Fatal(err)
	}
	began := time.Now()
	eventually(t, "the client has waited", func() bool { return time.Since(began) > held })
	if _, err := io.CopyN(io.Discard, c, 4+8<<10-1); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the answer is measured", func() bool {
		all := s.processors[0].Requests()
		return len(all) == 1 && all[0].Send.Count == 1
	})
	if got := s.processors[0].Requests()[0].Send.Max; got < uint64(held.Microseconds()/2) {
		t.Errorf("the send took %d µs, and was held up for %v", got, held)
	}
	_ = c.Close()
	s.stop(time.Minute)
}
