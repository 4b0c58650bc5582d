// Package contract holds the behaviours of Kafka's network layer that can be
// seen from outside a Server, one test each, on every engine. The comment of a
// test names the cases of Kafka's own tests that it covers, in a line of the
// form "Kafka: SS-10, SE-13."; docs/CONFORMANCE.md is generated from them.
package contract

import (
	"runtime"
	"testing"

	"kring"
	"kring/internal/leaktest"
	"kring/internal/servertest"
	"kring/reqchan"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// Kafka: SS-10.
func TestARequestWithoutResponseLetsTheNextGoOn(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) {
			if string(r.Payload()) == "last" {
				r.Respond(r.Payload())
				return
			}
			r.NoResponse()
		}))
		c := servertest.Dial(t, s)
		c.Send("one", "two", "last")
		if got := c.Receive(); got != "last" {
			t.Errorf("answer %q", got)
		}
	})
}

// Kafka: SS-28.
func TestThePrincipalIsAnonymousUntilAHandlerSaysOtherwise(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) {
			who := r.Conn().Principal()
			r.Conn().SetPrincipal("User:alice")
			r.Respond([]byte(who))
		}))
		c := servertest.Dial(t, s)
		c.Ask("who am I", "User:ANONYMOUS")
		c.Ask("who am I", "User:alice")
		if conns := list(t, s); len(conns) != 1 || conns[0].Principal != "User:alice" {
			t.Errorf("listed as %+v", conns)
		}
		servertest.Dial(t, s).Ask("and I", "User:ANONYMOUS")
	})
}

// Kafka: Q-7.
func TestAConnectionThatNobodyVouchedForHasASmallerFrameCap(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		for _, pipeline := range []int{1, 8} {
			cfg.Limits.FrameBytesMaxUnauthenticated, cfg.Limits.PipelineMax = 20, pipeline
			s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) {
				r.Conn().SetAuthenticated(string(r.Payload()) != "wrong password")
				r.Respond([]byte("ok"))
			}))
			large := string(make([]byte, 21))
			good, bad, worst := servertest.Dial(t, s), servertest.Dial(t, s), servertest.Dial(t, s)
			good.Send("password", large, large)
			bad.Send("wrong password", large)
			worst.Send(large)
			for _, c := range []*servertest.Client{good, good, good, bad} {
				if got := c.Receive(); got != "ok" {
					t.Errorf("answer %q", got)
				}
			}
			bad.AwaitClose()
			worst.AwaitClose()
			servertest.Eventually(t, "both are counted", func() bool { return closedBy(s, reqchan.FrameTooBig) == 2 })
		}
	})
}

// Kafka: Q-6.
func TestAFullRequestChannelHoldsUpNoResponseNoCloseAndNoNewConnection(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		cfg.Processors.Count, cfg.Dispatch.Handlers, cfg.Dispatch.QueuedRequestsMax = 1, 1, 1
		early, gate := make(chan kring.Request, 1), make(chan struct{})
		s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) {
			if string(r.Payload()) == "early" {
				early <- r
				return
			}
			<-gate
			r.Respond(r.Payload())
		}))
		first, leaving := servertest.Dial(t, s), servertest.Dial(t, s)
		first.Send("early")
		held := <-early
		var stuck []*servertest.Client
		for range 4 {
			c := servertest.Dial(t, s)
			c.Send("stuck")
			stuck = append(stuck, c)
		}
		servertest.Eventually(t, "requests found the channel full", func() bool { return s.Stats().Total.Held >= 2 })

		held.Respond([]byte("now"))
		if got := first.Receive(); got != "now" {
			t.Errorf("answer %q", got)
		}
		_ = leaving.Close()
		servertest.Eventually(t, "it is closed", func() bool { return closedBy(s, reqchan.PeerFinished) == 1 })
		fresh := servertest.Dial(t, s)
		servertest.Eventually(t, "a new one is let in", func() bool { return s.Stats().Total.Opened == 7 })

		close(gate)
		for _, c := range stuck {
			if got := c.Receive(); got != "stuck" {
				t.Errorf("answer %q", got)
			}
		}
		fresh.Ask("fresh", "fresh")
	})
}

// Kafka: Q-12.
func TestAHandlerThatFailsWithoutAnAnswerClosesItsConnection(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) {
			switch {
			case string(r.Payload()) == "panic":
				panic("on request")
			case string(r.Payload()) == "exit" && cfg.Dispatch.Mode == kring.DispatchPool: // inline forbids it
				runtime.Goexit()
			}
			r.Respond(r.Payload())
		}))
		bad, worse, good := servertest.Dial(t, s), servertest.Dial(t, s), servertest.Dial(t, s)
		bad.Send("panic")
		bad.AwaitClose()
		failures := uint64(1)
		if cfg.Dispatch.Mode == kring.DispatchPool {
			worse.Send("exit")
			worse.AwaitClose()
			failures++
		}
		good.Ask("good", "good")
		servertest.Eventually(t, "all are counted", func() bool { return closedBy(s, reqchan.HandlerPanicked) == failures })
	})
}
