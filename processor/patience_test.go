package processor_test

import (
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
					faults:   faultengine.Config{HoldSends: true, SendWindowBytes: window, ShortSend: 0.2},
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
