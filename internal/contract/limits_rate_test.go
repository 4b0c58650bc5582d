package contract

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"kring"
	"kring/acceptor"
	"kring/internal/servertest"
)

// threeListeners are CLIENTS, OTHERS and BROKERS, of which BROKERS is protected.
func threeListeners(cfg *kring.Config) {
	cfg.Listeners = nil
	for _, name := range []string{"CLIENTS", "OTHERS", "BROKERS"} {
		cfg.Listeners = append(cfg.Listeners, kring.ListenerConfig{Name: name, Address: "127.0.0.1:0"})
	}
	cfg.Conns.ProtectedListener = "BROKERS"
}

// ask connects to each of the listeners so many times, one after the other.
func ask(t *testing.T, s *kring.Server, times int, listeners ...int) {
	t.Helper()
	for range times {
		for _, at := range listeners {
			servertest.DialTo(t, s.Addrs()[at].String()).Ask("in", "in")
		}
	}
}

// listenerStats are those of one listener.
func listenerStats(t *testing.T, s *kring.Server, name string) acceptor.ListenerStats {
	t.Helper()
	for _, l := range s.Stats().Listeners {
		if l.Name == name {
			return l
		}
	}
	t.Fatalf("no listener %s in Stats", name)
	return acceptor.ListenerStats{}
}

// Kafka: CQ-03, CQ-07, CQ-09, CQ-11.
func TestWithoutLimitsOrBelowThemNobodyWaits(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		for _, limited := range []bool{false, true} {
			threeListeners(&cfg)
			if limited {
				cfg.Conns.Max, cfg.Conns.RateMax, cfg.Conns.PerIPMax, cfg.Conns.RatePerIPMax = 60, 1e6, 60, 1e6
				for i := range cfg.Listeners {
					cfg.Listeners[i].ConnsMax, cfg.Listeners[i].ConnRateMax = 20, 1e6
				}
			}
			s := servertest.Start(t, cfg, servertest.Echo)
			ask(t, s, 20, 0, 1, 2)
			st := s.Stats()
			if st.AcceptRate <= 0 || st.Refused != 0 || st.ThrottledConns != 0 || st.Waiting != 0 || st.Open != 60 {
				t.Errorf("%+v", st)
			}
			for _, l := range st.Listeners {
				if l.Blocked != 0 || l.Delayed != 0 || l.Open != 20 || l.AcceptRate <= 0 {
					t.Errorf("%+v", l)
				}
			}
		}
	})
}

// Kafka: CQ-08, CQ-10, F-31.
func TestTheProtectedListenerWaitsForItsOwnRateOnly(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		for _, own := range []bool{false, true} {
			threeListeners(&cfg)
			cfg.Conns.RateWindow = 2 * time.Millisecond
			if own {
				cfg.Conns.RateMax, cfg.Listeners[0].ConnRateMax, cfg.Listeners[2].ConnRateMax = 0, 1, 1
			} else {
				cfg.Conns.RateMax = 1
			}
			s := servertest.Start(t, cfg, servertest.Echo)
			ask(t, s, 5, 0, 1, 2)
			// Those that have no rate of their own go by the server's, if it has one.
			for name, waits := range map[string]bool{"CLIENTS": true, "OTHERS": !own, "BROKERS": own} {
				l := listenerStats(t, s, name)
				if (l.Delayed == 5) != waits || (l.DelayTime > 0) != waits || (l.Blocked > 0) != waits || l.Open != 5 {
					t.Errorf("own rate %v: %+v", own, l)
				}
			}
		}
	})
}

// Kafka: CQ-06, CQ-20.
func TestAListenersCountAndRateHoldTogether(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		threeListeners(&cfg)
		cfg.Conns.RateWindow = 2 * time.Millisecond
		cfg.Listeners[2].ConnsMax, cfg.Listeners[2].ConnRateMax = 3, 1 // the protected one's too
		s := servertest.Start(t, cfg, servertest.Echo)
		to := s.Addrs()[2].String()
		first := servertest.DialTo(t, to)
		first.Ask("in", "in")
		ask(t, s, 2, 2)
		waits := servertest.DialTo(t, to)
		waits.Send("later")
		servertest.Eventually(t, "one waits", func() bool { return s.Stats().Waiting == 1 })
		ask(t, s, 3, 0, 1) // others have slots
		if l := listenerStats(t, s, "BROKERS"); l.Open != 3 || l.Delayed < 3 {
			t.Errorf("%+v", l)
		}
		_ = first.Close()
		if got := waits.Receive(); got != "later" {
			t.Errorf("answer %q", got)
		}
	})
}

// Kafka: CQ-13.
func TestWhoIsHeldBackByTheListenersRateIsNotOverTheAddresses(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		cfg.Conns.RateWindows, cfg.Conns.RateWindow = 2, 10*time.Millisecond
		cfg.Listeners[0].ConnRateMax, cfg.Conns.RatePerIPMax = 100, 1500
		s := servertest.Start(t, cfg, servertest.Echo)
		ask(t, s, 20, 0)
		if l := s.Stats().Listeners[0]; l.Throttled != 0 || l.Open != 20 {
			t.Errorf("%+v", l)
		}
	})
}

// Kafka: CQ-14, CQ-12, connection_rate_test.
func TestParkedConnectionsCountInNoRate(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		threeListeners(&cfg)
		cfg.Conns.RatePerIPMax, cfg.Conns.RateWindow = 0.00001, time.Hour
		cfg.Conns.PerIP = []kring.AddressLimit{{Source: "127.0.0.2", ConnRateMax: 1e6}}
		s := servertest.Start(t, cfg, servertest.Echo)
		for range 3 {
			dialFrom(t, "127.0.0.2", s, 0).Ask("in", "in")
		}
		before := s.Stats().AcceptRate
		for at := range 3 {
			servertest.DialTo(t, s.Addrs()[at].String())
		}
		servertest.Eventually(t, "three are parked", func() bool { return s.Stats().ThrottledConns == 3 })
		// A rate falls by itself a little, as time goes on.
		if after := s.Stats().AcceptRate; before <= 0 || after > before || listenerStats(t, s, "BROKERS").AcceptRate != 0 {
			t.Errorf("%v connections a second before, %v after", before, after)
		}
		dialFrom(t, "127.0.0.2", s, 0).Ask("in", "in")
	})
}

// However a connection ends, its place is free again, and only its own.
//
// Kafka: CQ-02, Q-4.
func TestEveryConnectionGivesBackOnePlaceHoweverItEnds(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		cfg.Conns.Max, cfg.Conns.PerIPMax = 3, 3
		s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) {
			if string(r.Payload()) == "close" {
				r.CloseConnection(kring.CloseReason(0))
				return
			}
			r.Respond(r.Payload())
		}))
		for range 5 {
			for _, end := range []func(*servertest.Client){
				func(c *servertest.Client) { _ = c.Close() },
				func(c *servertest.Client) { c.Reset() },
				func(c *servertest.Client) { c.Send("close"); c.AwaitClose() },
				func(c *servertest.Client) { _, _ = c.Write([]byte{0xff, 0, 0, 0}); c.AwaitClose() },
				func(c *servertest.Client) { _, _ = c.Write([]byte{0, 0, 0, 9, 'x'}); _ = c.Close() },
			} {
				end(servedSoon(t, func() *servertest.Client { return servertest.Dial(t, s) }))
			}
		}
		servertest.Eventually(t, "all have left", func() bool { return s.Stats().Open == 0 })
		ask(t, s, 3, 0)
		if n := s.Stats().Open; n != 3 {
			t.Errorf("%d slots are taken by three connections", n)
		}
		servertest.Dial(t, s).AwaitClose()
	})
}

// Kafka: CQ-01, CQ-15.
func TestAListenerWithoutALimitThatCanBeIsRefused(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		cfg.Listeners = []kring.ListenerConfig{
			{Name: "A", Address: "127.0.0.1:0", ConnRateMax: -1}, {Name: "A", Address: "127.0.0.1:0", ConnsMax: -1},
		}
		_, err := kring.New(cfg, servertest.Echo)
		for _, fault := range []string{"ConnRateMax is -1", "ConnsMax is -1", "a name of its own"} {
			if err == nil || !strings.Contains(err.Error(), fault) {
				t.Errorf("%q is not named in: %v", fault, err)
			}
		}
		cfg.Listeners = []kring.ListenerConfig{{Name: "A", Address: "127.0.0.1:0"}, {Name: "B", Address: "127.0.0.1:0"}}
		s := servertest.Start(t, cfg, servertest.Echo)
		gone := s.Addrs()[1].String()
		if err := s.RemoveListener(context.Background(), "B"); err != nil {
			t.Fatal(err)
		}
		if c, err := net.DialTimeout("tcp", gone, servertest.Deadline); err == nil {
			_ = c.Close()
			t.Error("a listener that was removed lets in")
		}
		ask(t, s, 1, 0)
	})
}
