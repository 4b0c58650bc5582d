package contract

import (
	"testing"

	"kring"
	"kring/internal/servertest"
	"kring/reqchan"
)

// What a connection has sent and nobody has taken is bounded: past HeldBytesMax
// nothing more is received, which is counted, and TCP pushes back.
//
// Kafka: U-2.
func TestAConnectionHoldsNoMoreThanItMay(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		cfg.Limits.PipelineMax, cfg.Limits.HeldBytesMax = 1, 64<<10
		g := newGated()
		s := servertest.Start(t, cfg, g)
		c := servertest.Dial(t, s)
		const frames = 4096
		sent := make(chan error, 1)
		go func() {
			frame := servertest.Frame(make([]byte, 4<<10))
			for range frames {
				if _, err := c.Write(frame); err != nil {
					sent <- err
					return
				}
			}
			sent <- nil
		}()
		r := <-g.held
		servertest.Eventually(t, "it is muted", func() bool { return s.Stats().Total.Mutes > 0 })
		// What an engine may have received beyond it: one turn of a receive, and
		// the buffers that were being filled.
		const most = 64<<10 + 1<<20
		if n := s.Stats().Total.BytesIn; n > most {
			t.Errorf("%d bytes received of a connection that may hold %d", n, cfg.Limits.HeldBytesMax)
		}
		for i := range frames {
			if i > 0 {
				r = <-g.held
			}
			r.Respond(nil)
			if c.Receive() != "" {
				t.Fatal("a response has content")
			}
		}
		if err := <-sent; err != nil {
			t.Error(err)
		}
	})
}

// A full priority lane holds what comes next, and loses nothing.
//
// Kafka: U-9.
func TestAFullPriorityLaneHoldsAndCounts(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		cfg.Dispatch.Handlers, cfg.Dispatch.QueuedPriorityMax = 1, 1
		cfg.Dispatch.Priority = func(kring.Request) bool { return true }
		h := newTurnstile()
		s := servertest.Start(t, cfg, h)
		clients := make([]*servertest.Client, 8)
		for i := range clients {
			clients[i] = servertest.Dial(t, s)
			clients[i].Send("urgent")
		}
		// One is with the handler, one in the lane.
		servertest.Eventually(t, "the others found it full", func() bool { return s.Stats().Total.Held >= 6 })
		close(h.open)
		for _, c := range clients {
			if got := c.Receive(); got != "urgent" {
				t.Errorf("answer %q", got)
			}
		}
		if s.Stats().Total.Prioritized != uint64(len(clients)) {
			t.Errorf("%d of %d had priority", s.Stats().Total.Prioritized, len(clients))
		}
	})
}

// Before it is authenticated a connection may send small frames only; what is
// larger closes it, with a reason that is counted, and afterwards it is served.
//
// Kafka: U-3.
func TestWhoIsNotAuthenticatedSendsSmallFrames(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		cfg.Limits.FrameBytesMaxUnauthenticated = 16
		s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) {
			if string(r.Payload()) == "secret" {
				r.Conn().SetAuthenticated(true)
			}
			r.Respond(r.Payload())
		}))
		large := string(make([]byte, 17))
		stranger, friend := servertest.Dial(t, s), servertest.Dial(t, s)
		stranger.Ask("small", "small")
		stranger.Send(large)
		servertest.Eventually(t, "the stranger is closed", func() bool { return closedBy(s, reqchan.FrameTooBig) == 1 })
		friend.Ask("secret", "secret")
		friend.Ask(large, large)
	})
}
