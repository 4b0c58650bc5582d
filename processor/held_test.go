package processor_test

import (
	"errors"
	"testing"

	"kring/engine"
	"kring/internal/faultengine"
	"kring/processor"
)

// An engine that could not end its operations keeps their memory: a frame that is
// received in place, the size of one, a response that is being sent. The processor
// leaves that memory alone, counts it, and gives back all else.
func TestMemoryThatTheEngineHoldsOnToIsNotUsedAgain(t *testing.T) {
	s := newStage(t, stageConfig{faults: faultengine.Config{FailAfterPolls: 400, HoldMemory: true, SendWindowBytes: 1 << 10},
		handle: echo, inline: true, settings: processor.Settings{PipelineMax: 2, PackedBytesMax: 100}})
	p := s.processors[0]
	big, half, deaf, idle := s.dial(), s.dial(), s.dial(), s.dial()
	mustWrite(t, big, string(frameOf(1, 20_000))) // afterwards the size of the next is awaited
	if _, err := readFrame(big); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, half, string(frameOf(2, 50_000)[:10_000]))
	mustWrite(t, deaf, string(frameOf(3, 10_000))) // and does not read
	eventually(t, "the engine died", func() bool {
		_, _ = idle.Write([]byte{0}) // something to poll for
		select {
		case <-p.Ended():
			return true
		default:
			return false
		}
	})
	s.acceptor.Stop()
	s.channel.Close()
	s.running.Wait()
	held := false
	for range 2 {
		held = errors.Is(<-s.errs, engine.ErrMemoryHeld) || held
	}
	if !held {
		t.Error("nobody was told")
	}
	lost := 0
	for _, b := range s.network.Held() {
		lost += len(b)
	}
	if n := p.Stats().BytesLost; lost < 40_000 || n < uint64(lost) {
		t.Errorf("%d bytes counted, the engine holds %d", n, lost)
	}
	for range 100 { // whoever comes next gets other memory
		for _, size := range []int{4, 4 << 10, 32 << 10, 60_000} {
			clear(s.memory.Get(size))
		}
	}
	if n := s.responses.Stats().Used; n != 0 {
		t.Errorf("%d bytes of the budget of responses did not come home", n)
	}
	if n := s.channel.Bytes(); n != 0 {
		t.Errorf("%d bytes of the channel's capacity did not come home", n)
	}
	if n := s.admission.Open(); n != 0 {
		t.Errorf("%d slots are still taken", n)
	}
	if err := s.network.Check(); err != nil {
		t.Error(err)
	}
}
