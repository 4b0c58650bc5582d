package contract

import (
	"errors"
	"runtime"
	"sync/atomic"
	"testing"

	"kring"
	"kring/internal/servertest"
	"kring/processor"
	"kring/reqchan"
)

// misbehave does what it is asked for, before or after it answers.
func misbehave(r kring.Request) {
	switch string(r.Payload()) {
	case "panic":
		panic("asked for")
	case "panic after the answer":
		r.Respond(r.Payload())
		panic("asked for")
	case "exit":
		runtime.Goexit()
	}
	r.Respond(r.Payload())
}

// A request whose handler panics, or leaves its goroutine, is answered by
// closing its connection, counted and told; nobody waits for an answer that never
// comes, and nobody else sees anything of it.
//
// Kafka: Q-12, F-68.
func TestAHandlerThatFailsClosesItsConnectionOnly(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		cfg.Dispatch.Handlers = 1
		var told, closed atomic.Int64
		cfg.Events.HandlerPanicked = func(r kring.Request, _ any, _ []byte) {
			told.Add(1)
			if r.ClosedByPanic() {
				closed.Add(1)
			}
		}
		s := servertest.Start(t, cfg, kring.HandlerFunc(misbehave))
		other := servertest.Dial(t, s)
		other.Ask("before", "before")
		failures := []string{"panic", "panic", "exit"}
		if cfg.Dispatch.Mode == kring.DispatchInline {
			failures = failures[:2] // see below
		}
		for _, failure := range failures {
			c := servertest.Dial(t, s)
			c.Send(failure)
			c.AwaitClose()
			other.Ask("still here", "still here")
		}
		c := servertest.Dial(t, s)
		c.Ask("panic after the answer", "panic after the answer")
		servertest.Eventually(t, "all are counted", func() bool {
			st := s.Stats()
			return st.Total.Closed[reqchan.HandlerPanicked] == uint64(len(failures)) &&
				st.Total.Panics+st.Handlers.Panics == uint64(len(failures))+1 && told.Load() == int64(len(failures))+1 &&
				closed.Load() == int64(len(failures))
		})
	})
}

// A handler that leaves its goroutine while it has a processor for it takes the
// processor along: its connections are closed, and the server says that it has
// failed.
//
// Kafka: SS-55, Q-12.
func TestAHandlerThatTakesItsProcessorAlongIsTold(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		cfg.Dispatch.Mode, cfg.Processors.Count = kring.DispatchInline, 1
		s := servertest.Start(t, cfg, kring.HandlerFunc(misbehave))
		c, other := servertest.Dial(t, s), servertest.Dial(t, s)
		other.Ask("before", "before")
		c.Send("exit")
		if err := <-s.Failed(); !errors.Is(err, processor.ErrGoexit) {
			t.Errorf("failed with %v", err)
		}
		c.AwaitClose()
		other.AwaitClose()
		servertest.Eventually(t, "nothing is open", func() bool { return s.Stats().Open == 0 })
	})
}
