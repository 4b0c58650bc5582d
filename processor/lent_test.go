package processor_test

import (
	"bytes"
	"testing"

	"kring/internal/faultengine"
	"kring/processor"
	"kring/reqchan"
)

// TestRequestsKeepTheirMemoryWhenTheEngineEnds before their processor has heard
// of their answers: they lie where they were received. One that its handler
// still has stays readable, one that waits for its turn is given back late.
func TestRequestsKeepTheirMemoryWhenTheEngineEnds(t *testing.T) {
	for _, dies := range []bool{false, true} {
		kept, answered := make(chan reqchan.Request, 1), make(chan struct{}, 1)
		faults := faultengine.Config{}
		if dies {
			faults.FailAfterPolls = 50
		}
		s := newStage(t, stageConfig{faults: faults, inline: true, settings: processor.Settings{PipelineMax: 2}, handle: func(r reqchan.Request) {
			if len(kept) == 0 {
				kept <- r
				return
			}
			r.Respond(r.Payload())
			answered <- struct{}{}
		}})
		c, p := s.dial(), s.processors[0]
		first, second := frameOf(0, 100), frameOf(1, 100)
		mustWrite(t, c, string(first))
		eventually(t, "the first is with its handler", func() bool { return len(kept) == 1 })
		mustWrite(t, c, string(second))
		<-answered
		if !dies {
			p.Abandon()
		}
		eventually(t, "its processor ended", func() bool {
			_, _ = c.Write([]byte{0}) // something to poll for
			select {
			case <-p.Ended():
				return true
			default:
				return false
			}
		})
		r := <-kept
		if !bytes.Equal(r.Payload(), first[4:]) {
			t.Errorf("the engine died: %t; the payload changed under its handler", dies)
		}
		r.NoResponse() // comes home to nobody, and gives its memory back
		_ = c.Close()
		s.acceptor.Stop()
		s.channel.Close()
		s.running.Wait()
		if err := s.network.Check(); err != nil {
			t.Errorf("the engine died: %t; %v", dies, err)
		}
		if s.memory.Lent() != 0 || s.channel.Bytes() != 0 || s.admission.Open() != 0 {
			t.Errorf("the engine died: %t; %d pieces of memory, %d bytes and %d slots did not come home",
				dies, s.memory.Lent(), s.channel.Bytes(), s.admission.Open())
		}
	}
}
