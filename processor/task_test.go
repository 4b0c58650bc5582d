package processor_test

import (
	"testing"
	"time"

	"kring/reqchan"
)

// A handler blocks its processor, and others go on asking for its connections, for
// other settings and for a better balance: one of each is remembered, and answered
// when the handler is done.
func TestQuestionsToABlockedProcessorDoNotPileUp(t *testing.T) {
	held, release := make(chan struct{}, 1), make(chan struct{})
	s := newStage(t, stageConfig{inline: true, processors: 2, handle: func(r reqchan.Request) {
		held <- struct{}{}
		<-release
		r.Respond(r.Payload())
	}})
	c, p := s.dial(), s.processors[0]
	mustWrite(t, c, string(frameOf(1, 10)))
	<-held
	if p.Load() == 0 {
		p = s.processors[1]
	}
	first := p.List()
	for range 1000 {
		p.List()
		p.Refresh()
		p.Shed(1, s.processors[0])
	}
	last := p.List()
	if n := p.TasksWaiting(); n > 3 {
		t.Errorf("%d tasks wait", n)
	}
	close(release)
	for _, l := range []interface{ Done() <-chan struct{} }{first, last} {
		<-l.Done()
	}
	if n := len(last.Conns()); n != 1 {
		t.Errorf("%d connections listed", n)
	}
	if _, err := readFrame(c); err != nil {
		t.Error(err)
	}
	<-p.List().Done() // another walk
	_ = c.Close()
	s.stop(time.Second)
}
