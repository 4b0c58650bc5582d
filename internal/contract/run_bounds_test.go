package contract

import (
	"slices"
	"sync/atomic"
	"testing"

	"kring"
	"kring/internal/servertest"
)

// Of a listener that has priority each request counts, also behind others.
func TestRequestsThatGoFirstAreCountedEachAlsoWhenTheyCameTogether(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		cfg.Listeners[0].Priority = true
		s := servertest.Start(t, cfg, servertest.Echo)
		c := servertest.Dial(t, s)
		sendTogether(c, 20)
		wantAnswers(t, c, 20)
		servertest.Eventually(t, "all are counted", func() bool { return s.Stats().Total.Responses == 20 })
		if n := s.Stats().Total.Prioritized; n != 20 {
			t.Errorf("%d of 20 had priority", n)
		}
	})
}

// No request is begun of a peer that leaves more unread than it may, also if it came together
// with those before it.
func TestWhoDoesNotReadHasNoMoreAnsweredThanItMayLeaveUnreadThoughItCameTogether(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		cfg.Processors.Count = 1
		cfg.Limits.QueuedResponseBytesMax = 64 << 10
		var handled atomic.Int64
		const large = 8 << 20
		s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) {
			handled.Add(1)
			if string(r.Payload()) == "big" {
				r.Respond(r.Buffer(large))
				return
			}
			r.Respond([]byte{0})
		}))
		warm := servertest.Dial(t, s)
		for range 300 { // until the pool takes several at once
			warm.Ask("a", "\x00")
		}
		handled.Store(0)
		servertest.Dial(t, s).Send(slices.Repeat([]string{"big"}, 40)...)
		servertest.Eventually(t, "it is muted", func() bool {
			return slices.ContainsFunc(list(t, s), func(c kring.ConnInfo) bool {
				return c.QueuedBytes > cfg.Limits.QueuedResponseBytesMax && c.InFlight == 0
			})
		})
		if n := handled.Load(); n > 2 { // the system may take one whole
			t.Errorf("%d responses of %d bytes were made, of which %d may be queued", n, large, cfg.Limits.QueuedResponseBytesMax)
		}
	})
}
