package contract

import (
	"context"
	"fmt"
	"testing"

	"kring"
	"kring/internal/servertest"
)

// perProcessor runs a property on every engine and dispatch, with a listening
// socket for each processor.
func perProcessor(t *testing.T, property func(t *testing.T, cfg kring.Config)) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		cfg.Processors.Accept = kring.AcceptPerProcessor
		property(t, cfg)
	})
}

// The kernel spreads connections over the processors' own sockets, which have
// one address; each is served by the processor that accepted it.
func TestProcessorsAcceptForThemselves(t *testing.T) {
	perProcessor(t, func(t *testing.T, cfg kring.Config) {
		s := servertest.Start(t, cfg, servertest.Echo)
		n := uint64(0)
		spread := func() bool {
			for range 8 {
				n++
				servertest.Dial(t, s).Ask(fmt.Sprint("hello ", n), fmt.Sprint("hello ", n))
			}
			st := s.Stats()
			return st.Processors[0].Opened > 0 && st.Processors[1].Opened > 0
		}
		servertest.Eventually(t, "a connection on each processor", spread)
		if st := s.Stats(); st.Accepted != n || st.Open != int64(n) {
			t.Errorf("%d accepted, %d open, of %d", st.Accepted, st.Open, n)
		}
		address := s.Addrs()[0].String()
		servertest.Shutdown(t, s)
		if !refused(address) {
			t.Error("a connection after Shutdown")
		}
	})
}

// A burst of clients that wait already is accepted in a few waits, not one each.
//
// Kafka: Q-5.
func TestABurstIsAcceptedInAFewWaits(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		const burst = 200
		cfg.Processors.Accept, cfg.Dispatch.Mode, cfg.Processors.Count = kring.AcceptPerProcessor, kring.DispatchInline, 1
		entered, gate := make(chan struct{}), make(chan struct{})
		s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) {
			close(entered)
			<-gate // its processor lets nobody in meanwhile
			r.Respond(nil)
		}))
		servertest.Dial(t, s).Send("hold")
		<-entered
		for range burst {
			servertest.Dial(t, s)
		}
		before := s.Stats().Total.Polls
		close(gate)
		servertest.Eventually(t, "all are let in", func() bool { return s.Stats().Open == burst+1 })
		if polls := s.Stats().Total.Polls - before; polls > burst/4 {
			t.Errorf("%d waits for %d connections", polls, burst)
		}
	})
}

// Limits count over all sockets of a listener: who finds no slot waits, and
// goes on when one is free, on whichever processor that was.
func TestProcessorsThatAcceptShareTheLimits(t *testing.T) {
	perProcessor(t, func(t *testing.T, cfg kring.Config) {
		cfg.Conns.Max = 2
		s := servertest.Start(t, cfg, servertest.Echo)
		first, second := servertest.Dial(t, s), servertest.Dial(t, s)
		first.Ask("1", "1")
		second.Ask("2", "2")
		var waiting []*servertest.Client
		for range 6 {
			c := servertest.Dial(t, s)
			c.Send("3")
			waiting = append(waiting, c)
		}
		servertest.Eventually(t, "somebody waits", func() bool { return s.Stats().Waiting > 0 })
		if open := s.Stats().Open; open != 2 {
			t.Errorf("%d open, of 2", open)
		}
		_ = first.Close()
		_ = second.Close()
		for _, c := range waiting { // they come in any order, two at a time
			go func() {
				_, _ = servertest.ReadFrame(c)
				_ = c.Close()
			}()
		}
		servertest.Eventually(t, "everybody was served", func() bool { return s.Stats().Total.Responses == 8 })
	})
}

// A listener can come and go while others serve, as with an acceptor apart.
func TestAListenerOfProcessorsComesAndGoes(t *testing.T) {
	perProcessor(t, func(t *testing.T, cfg kring.Config) {
		s := servertest.Start(t, cfg, servertest.Echo)
		for range 3 {
			if err := s.AddListener(kring.ListenerConfig{Name: "SECOND", Address: "127.0.0.1:0"}); err != nil {
				t.Fatal(err)
			}
			address := s.Addrs()[1].String()
			servertest.DialTo(t, address).Ask("second", "second")
			servertest.Dial(t, s).Ask("first", "first")
			ctx, cancel := context.WithTimeout(context.Background(), servertest.Deadline)
			if err := s.RemoveListener(ctx, "SECOND"); err != nil {
				t.Fatal(err)
			}
			cancel()
			if !refused(address) {
				t.Error("a connection to a listener that was removed")
			}
		}
	})
}
