package contract

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"kring"
	"kring/acceptor"
	"kring/internal/servertest"
	"kring/processor"
	"kring/reqchan"
)

// A processor has died, with two others beside it: it has no connections, but it
// gets none either, whoever is chosen by whatever rule; what it had is closed and
// its slots are free; the others serve whoever comes, share the load evenly, are
// rebalanced among themselves, and stay when the number of processors is reduced.
//
// Kafka: SS-55.
func TestADeadProcessorGetsNoConnections(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		for _, assignment := range []kring.Assignment{kring.AssignLeastConns, kring.AssignRoundRobin} {
			for _, accept := range []kring.Accept{kring.AcceptApart, kring.AcceptPerProcessor} {
				t.Run(string(assignment)+"/"+string(accept), func(t *testing.T) {
					cfg := cfg
					cfg.Dispatch.Mode, cfg.Processors.Count, cfg.Processors.Assignment, cfg.Processors.Accept = kring.DispatchInline, 3, assignment, accept
					cfg.Processors.Rebalance = time.Millisecond
					cfg.Conns.Max = 40
					survivors(t, cfg)
				})
			}
		}
	})
}

func survivors(t *testing.T, cfg kring.Config) {
	s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) {
		if string(r.Payload()) == "die" {
			runtime.Goexit()
		}
		r.Respond(fmt.Append(nil, r.Conn().ID.Processor))
	}))
	var before []*servertest.Client
	for range 30 {
		c := servertest.Dial(t, s)
		c.Send("who")
		c.Receive()
		before = append(before, c)
	}
	before[7].Send("die")
	if err := <-s.Failed(); !errors.Is(err, processor.ErrGoexit) {
		t.Errorf("failed with %v", err)
	}
	before[7].AwaitClose()
	var closed uint64
	servertest.Eventually(t, "its connections are closed and counted", func() bool {
		st := s.Stats()
		closed = st.Total.Closed[reqchan.EngineFailed] + st.Total.Closed[reqchan.HandlerPanicked]
		return closed > 0 && st.Open == 30-int64(closed)
	})
	by := map[string]int{}
	for range 30 - s.Stats().Open + 10 { // as many as there is room for
		c := servertest.Dial(t, s)
		c.Send("who")
		by[c.Receive()]++
	}
	if len(by) != 2 && cfg.Processors.Accept == kring.AcceptApart {
		t.Errorf("new connections went to %v, want two processors", by)
	}
	if cfg.Processors.Accept == kring.AcceptPerProcessor {
		return // the number of processors is fixed
	}
	smaller := cfg
	smaller.Processors.Count = 2
	if err := s.Reconfigure(smaller); err != nil {
		t.Fatal(err)
	}
	for _, c := range before {
		c.Send("who")
	}
	servertest.Eventually(t, "nobody left for it", func() bool { return s.Stats().Open == 40 })
	if conns, err := s.Conns(context.Background()); err != nil || len(conns) != 40 {
		t.Errorf("%d connections, %v", len(conns), err)
	}
}

// When every processor has died a client is closed, counted, and not left to wait.
func TestNobodyWaitsForProcessorsThatAllDied(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		cfg.Dispatch.Mode, cfg.Processors.Count = kring.DispatchInline, 2
		s := servertest.Start(t, cfg, kring.HandlerFunc(func(kring.Request) { runtime.Goexit() }))
		for range cfg.Processors.Count {
			c := servertest.Dial(t, s)
			c.Send("die")
			c.AwaitClose()
		}
		for range 3 {
			servertest.Dial(t, s).AwaitClose()
		}
		servertest.Eventually(t, "all are counted", func() bool {
			return s.Stats().Listeners[0].Refused[acceptor.Unassigned] == 3
		})
	})
}
