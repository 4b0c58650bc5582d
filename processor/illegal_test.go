package processor_test

import (
	"testing"

	"kring/reqchan"
)

// TestAnIllegalStepOfTheMuteStateClosesItsConnectionOnly, when a request begins
// and when its answer comes home.
//
// Kafka: SS-52.
func TestAnIllegalStepOfTheMuteStateClosesItsConnectionOnly(t *testing.T) {
	held := make(chan reqchan.Request, 1)
	s := newStage(t, stageConfig{handlers: 1, requests: 10, handle: func(r reqchan.Request) {
		if string(r.Payload()) == "slow" {
			held <- r
			return
		}
		echo(r)
	}})
	p := s.processors[0]
	pending, idle := s.dial(), s.dial()
	mustWrite(t, pending, "\x00\x00\x00\x04slow")
	r := <-held
	eventually(t, "both are there", func() bool { return p.Stats().Opened == 2 })
	p.SpoilMute()
	mustWrite(t, idle, "\x00\x00\x00\x04next")
	if f, err := readFrame(idle); err == nil {
		t.Errorf("answer %q", f)
	}
	eventually(t, "it is counted", func() bool { return s.closedBy(reqchan.MuteStateIllegal) == 1 })
	r.Respond([]byte("late"))
	if f, err := readFrame(pending); err == nil {
		t.Errorf("answer %q", f)
	}
	eventually(t, "that is counted too", func() bool { return s.closedBy(reqchan.MuteStateIllegal) == 2 })
	other := s.dial()
	if err := converse(other, []int{1, 2000, 3}); err != nil {
		t.Error(err)
	}
	_, _, _ = pending.Close(), idle.Close(), other.Close()
	s.stop(deadline)
}

// Kafka: SS-53.
func TestACompletionThatBelongsToNoConnectionIsPassedOver(t *testing.T) {
	s := newStage(t, stageConfig{handle: echo, inline: true})
	c := s.dial()
	for range 3 {
		s.processors[0].CompleteForNobody()
		if err := converse(c, []int{1, 2000, 3}); err != nil {
			t.Fatal(err)
		}
	}
	_ = c.Close()
	s.stop(deadline)
}
