package contract

import (
	"testing"
	"time"

	"kring"
	"kring/internal/servertest"
)

func reconfigure(t *testing.T, s *kring.Server, cfg kring.Config) {
	t.Helper()
	if err := s.Reconfigure(cfg); err != nil {
		t.Fatal(err)
	}
}

// Kafka: DynamicConnectionQuotaTest, conn_quota_test, F-34.
func TestCountsOfConnectionsChangeWhileServing(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		cfg.Conns.PerIPMax = 1
		s := servertest.Start(t, cfg, servertest.Echo)
		servertest.Dial(t, s).Ask("in", "in")
		servertest.Dial(t, s).AwaitClose()

		cfg.Conns.PerIP = []kring.AddressLimit{{Source: "127.0.0.0/8", ConnsMax: 2}} // more for some
		reconfigure(t, s, cfg)
		servertest.Dial(t, s).Ask("in", "in")
		servertest.Dial(t, s).AwaitClose()

		cfg.Conns.PerIP, cfg.Conns.PerIPMax, cfg.Conns.Max = nil, 0, 2 // all slots are taken
		reconfigure(t, s, cfg)
		waits := servertest.Dial(t, s)
		waits.Send("later")
		servertest.Eventually(t, "one waits", func() bool { return s.Stats().Waiting == 1 })
		cfg.Conns.Max, cfg.Listeners[0].ConnsMax = 10, 3
		reconfigure(t, s, cfg)
		if got := waits.Receive(); got != "later" {
			t.Errorf("answer %q", got)
		}
		waits = servertest.Dial(t, s)
		waits.Send("later")
		servertest.Eventually(t, "one waits", func() bool { return s.Stats().Waiting == 1 })
		cfg.Conns.WhenFull = kring.WhenFullRefuse
		reconfigure(t, s, cfg)
		waits.AwaitClose()
		cfg.Listeners[0].ConnsMax = 1 // fewer than there are: nobody has to go
		reconfigure(t, s, cfg)
		if n := s.Stats().Open; n != 3 {
			t.Errorf("%d connections are open", n)
		}
	})
}

// Kafka: CQ-16, CQ-17, CQ-18, CQ-19, DynamicConnectionQuotaTest, F-34.
func TestRatesOfConnectionsChangeWhileServing(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		const tiny = 0.00001 // a second; who is over it waits for an hour
		cfg.Conns.RateWindow = time.Hour
		s := servertest.Start(t, cfg, servertest.Echo)
		servertest.Dial(t, s).Ask("in", "in")
		for _, at := range []*float64{&cfg.Conns.RateMax, &cfg.Listeners[0].ConnRateMax} {
			*at = tiny
			reconfigure(t, s, cfg)
			waits := servertest.Dial(t, s)
			waits.Send("later")
			servertest.Eventually(t, "one waits", func() bool { return s.Stats().Waiting == 1 })
			*at = 0
			reconfigure(t, s, cfg)
			if got := waits.Receive(); got != "later" {
				t.Errorf("answer %q", got)
			}
		}

		parked := int64(0)
		park := func() {
			t.Helper()
			parked++
			servertest.Dial(t, s)
			servertest.Eventually(t, "one more is parked", func() bool { return s.Stats().ThrottledConns == parked })
		}
		cfg.Conns.PerIP = []kring.AddressLimit{{Source: "127.0.0.1", ConnRateMax: tiny}}
		reconfigure(t, s, cfg)
		park()
		cfg.Conns.RatePerIPMax = 1e6 // the default is nothing to who has his own
		reconfigure(t, s, cfg)
		park()
		cfg.Conns.PerIP = nil
		reconfigure(t, s, cfg)
		servertest.Dial(t, s).Ask("in", "in")
		cfg.Conns.RatePerIPMax = tiny
		reconfigure(t, s, cfg)
		park()
	})
}
