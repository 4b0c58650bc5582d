package contract

import (
	"errors"
	"runtime"
	"testing"

	"kring"
	"kring/internal/servertest"
	"kring/processor"
	"kring/reqchan"
)

// underWay is an Answering that takes its time.
type underWay struct{ reached, open chan struct{} }

func (g underWay) Answering(_ kring.Request, _ reqchan.AnswerKind, payload []byte) []byte {
	close(g.reached)
	<-g.open
	return payload
}

func (underWay) AnsweringParts(kring.Request, []byte, int) []byte { return nil }

// A handler leaves its goroutine, and its processor with it, while another goroutine
// answers its request: that one has the request until it is done, and nothing is lost.
func TestAnAnswerUnderWayOutlivesTheProcessor(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		cfg.Dispatch.Mode, cfg.Processors.Count = kring.DispatchInline, 1
		g, answered := underWay{make(chan struct{}), make(chan struct{})}, make(chan struct{})
		s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) {
			r.BeforeAnswer(g)
			go func() {
				defer close(answered)
				r.Respond(make([]byte, 100_000))
			}()
			<-g.reached
			runtime.Goexit()
		}))
		c := servertest.Dial(t, s)
		c.Send("exit")
		if err := <-s.Failed(); !errors.Is(err, processor.ErrGoexit) {
			t.Errorf("failed with %v", err)
		}
		c.AwaitClose()
		close(g.open)
		<-answered
		servertest.Shutdown(t, s)
		if st := s.Stats(); st.MemoryLent != 0 {
			t.Errorf("%d pieces of memory are lost", st.MemoryLent)
		}
	})
}
