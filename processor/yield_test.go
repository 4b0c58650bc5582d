package processor_test

import (
	"bytes"
	"runtime"
	"testing"

	"kring/internal/faultengine"
	"kring/processor"
)

// TestAnswersGivenWhileHandlersAreLetRunLeaveTogether: who sent several frames and
// has one request in flight at a time costs a send for all, not one for each. With
// one P it is sure that handlers run when the processor lets them.
func TestAnswersGivenWhileHandlersAreLetRunLeaveTogether(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	const frames, rounds = 16, 20
	s := newStage(t, stageConfig{
		faults: faultengine.Config{Seed: 1}, handle: echo, handlers: 2, requests: 4, yieldFrom: 1,
		settings: processor.Settings{PipelineMax: 1},
	})
	c := s.dial()
	for range rounds {
		var sent []byte
		for i := range frames {
			sent = append(sent, frameOf(uint32(i), 20)...)
		}
		mustWrite(t, c, string(sent))
		for i := range frames {
			got, err := readFrame(c)
			if err != nil || !bytes.Equal(got, frameOf(uint32(i), 20)) {
				t.Fatalf("response %d: %q, %v", i, got, err)
			}
		}
	}
	sends := s.processors[0].Stats().Sends
	_ = c.Close()
	s.stop(deadline)
	if sends > frames*rounds/2 {
		t.Errorf("%d sends for %d answers", sends, frames*rounds)
	}
}
