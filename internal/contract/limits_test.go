package contract

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"kring"
	"kring/internal/servertest"
)

// dialFrom connects from an address of the loopback network.
func dialFrom(t *testing.T, ip string, s *kring.Server, listener int) *servertest.Client {
	t.Helper()
	from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}
	return servertest.DialWith(t, &from, s.Addrs()[listener].String())
}

func refusedBy(s *kring.Server) map[string]uint64 {
	st := s.Stats()
	return st.RefusedBy()
}

// isServed says that the connection answers; else it is closed without a byte.
func isServed(t *testing.T, c *servertest.Client) bool {
	t.Helper()
	if _, err := c.Write(servertest.Frame([]byte("?"))); err != nil {
		return false
	}
	payload, err := servertest.ReadFrame(c)
	if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
		t.Fatal("a connection is neither served nor closed")
	}
	return err == nil && string(payload) == "?"
}

// servedSoon wants a new connection served, after some that are not yet.
func servedSoon(t *testing.T, dial func() *servertest.Client) *servertest.Client {
	t.Helper()
	var c *servertest.Client
	servertest.Eventually(t, "a connection is served", func() bool {
		if c != nil {
			_ = c.Close()
		}
		c = dial()
		return isServed(t, c)
	})
	return c
}

// Kafka: SS-19, CQ-04.
func TestAnAddressOverItsCountIsClosedUntilOneOfItsOwnLeaves(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		cfg.Conns.PerIPMax = 2
		s := servertest.Start(t, cfg, servertest.Echo)
		here := func() *servertest.Client { return dialFrom(t, "127.0.0.1", s, 0) }
		first, second := here(), here()
		first.Ask("in", "in")
		second.Ask("in", "in")
		here().AwaitClose()
		dialFrom(t, "127.0.0.2", s, 0).Ask("another address", "another address")
		_ = first.Close()
		servedSoon(t, here)
		here().AwaitClose()
		if by := refusedBy(s); by["address_full"] < 2 {
			t.Errorf("refused: %v", by)
		}
	})
}

// Kafka: SS-20, SS-21.
func TestOnlyNamedHostsMayConnectWhenNobodyElseMay(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		cfg.Conns.PerIPMax = kring.NoConns
		cfg.Conns.PerIP = []kring.AddressLimit{
			{Source: "localhost", ConnsMax: 5}, {Source: "127.8.0.0/16", ConnsMax: 1},
		}
		s := servertest.Start(t, cfg, servertest.Echo)
		for range 5 {
			dialFrom(t, "127.0.0.1", s, 0).Ask("in", "in")
		}
		dialFrom(t, "127.0.0.1", s, 0).AwaitClose()
		dialFrom(t, "127.8.0.1", s, 0).Ask("in", "in")
		dialFrom(t, "127.8.0.2", s, 0).Ask("in", "in") // each of the prefix for itself
		dialFrom(t, "127.8.0.1", s, 0).AwaitClose()
		dialFrom(t, "127.0.0.2", s, 0).AwaitClose()
	})
}

// One client after the other is let in from the kernel's queue, while no thread
// waits: the processors serve who is there, and Stats answers.
//
// Kafka: SS-56, SS-60, CQ-05, CQ-06.
func TestClientsWaitInTheKernelsQueueUntilThereIsAPlace(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		const clients = 128
		cfg.Listeners[0].ConnsMax = 1
		s := servertest.Start(t, cfg, servertest.Echo)
		first := servertest.Dial(t, s)
		first.Ask("in", "in")
		var waiting sync.WaitGroup
		for range clients { // each connects at once, whoever is in
			c := servertest.Dial(t, s)
			c.Send("now")
			waiting.Go(func() {
				defer c.Close()
				if payload, err := servertest.ReadFrame(c); err != nil || string(payload) != "now" {
					t.Errorf("answer %q, %v", payload, err)
				}
			})
		}
		servertest.Eventually(t, "somebody waits", func() bool { return s.Stats().Waiting > 0 })
		for range 10 {
			first.Ask("still here", "still here")
			if st := s.Stats(); st.Open != 1 || st.Total.Opened != 1 {
				t.Fatalf("%d connections are open, %d were opened", st.Open, st.Total.Opened)
			}
		}
		_ = first.Close()
		waiting.Wait()
		servertest.Eventually(t, "nobody waits", func() bool { return s.Stats().Waiting == 0 })
		l := s.Stats().Listeners[0]
		if l.Blocked <= 0 || l.RefusedTotal() != 0 || l.Accepted != clients+1 {
			t.Errorf("%+v", l)
		}
	})
}

// Kafka: SS-22, SS-36, SE-15, Q-4, F-09.
func TestClientsThatBreakOffWhileTheyWaitCostNobodyAPlace(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		cfg.Conns.Max = 1
		s := servertest.Start(t, cfg, servertest.Echo)
		first := servertest.Dial(t, s)
		first.Ask("in", "in")
		for range 5 {
			servertest.Dial(t, s).Reset()
		}
		healthy := servertest.Dial(t, s)
		for range 5 {
			servertest.Dial(t, s).Reset()
		}
		_ = first.Close()
		healthy.Ask("in", "in")
		_ = healthy.Close()
		servertest.Dial(t, s).Ask("in", "in")
	})
}

// Kafka: SS-06, F-72.
func TestShutdownDoesNotWaitForThoseThatWait(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		cfg.Conns.Max = 1
		s := servertest.Start(t, cfg, servertest.Echo)
		servertest.Dial(t, s).Ask("in", "in")
		waits := servertest.Dial(t, s)
		waits.Send("never")
		servertest.Eventually(t, "one waits", func() bool { return s.Stats().Waiting == 1 })
		servertest.Shutdown(t, s)
		waits.AwaitClose()
	})
}

// Kafka: SS-56, CQ-08, connection_rate_test.
func TestConnectionsOverTheRateWaitAndAreAllServed(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		cfg.Conns.RateMax, cfg.Conns.RateWindow = 1, 5*time.Millisecond
		s := servertest.Start(t, cfg, servertest.Echo)
		for range 5 {
			servertest.Dial(t, s).Ask("in", "in")
		}
		if l := s.Stats().Listeners[0]; l.Delayed == 0 || l.DelayTime == 0 || l.Blocked == 0 || l.RefusedTotal() != 0 {
			t.Errorf("%+v", l)
		}
	})
}

// Kafka: SS-23, CQ-12, Q-1, connection_rate_test.
func TestAnAddressOverItsRateIsHeldAndClosedAndServedLater(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		cfg.Conns.RatePerIPMax, cfg.Conns.RateWindows, cfg.Conns.RateWindow = 10, 2, 120*time.Millisecond
		s := servertest.Start(t, cfg, servertest.Echo)
		here := func() *servertest.Client { return dialFrom(t, "127.0.0.1", s, 0) }
		servertest.Eventually(t, "the rate is exceeded", func() bool {
			together := []*servertest.Client{here(), here(), here(), here(), here()}
			exceeded := false
			for _, c := range together { // one after the other they may take too long to exceed it
				exceeded = !isServed(t, c) || exceeded
				_ = c.Close()
			}
			return exceeded
		})
		dialFrom(t, "127.0.0.2", s, 0).Ask("another address", "another address")
		servedSoon(t, here)
		st := s.Stats()
		if l := st.Listeners[0]; l.Throttled == 0 || l.ThrottledTime == 0 || l.Blocked != 0 {
			t.Errorf("%+v", l)
		}
		if by := st.RefusedBy(); by["address_rate"] == 0 || len(by) != 1 {
			t.Errorf("refused: %v", by)
		}
	})
}

// Kafka: SS-24.
func TestParkedConnectionsCloseWithTheServer(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		cfg.Conns.RatePerIPMax, cfg.Conns.RateWindow, cfg.Conns.ThrottledConnsMax = 0.00001, time.Hour, 2
		s := servertest.Start(t, cfg, servertest.Echo)
		first, second := servertest.Dial(t, s), servertest.Dial(t, s)
		servertest.Eventually(t, "two are parked", func() bool { return s.Stats().ThrottledConns == 2 })
		servertest.Dial(t, s).AwaitClose() // no room to park
		servertest.Shutdown(t, s)
		first.AwaitClose()
		second.AwaitClose()
	})
}

// However many processors there are, one connection goes for each that came
// through the protected listener, and it is the one that was idle for longest.
//
// Kafka: CQ-05, Q-9, F-31, F-32, DynamicConnectionQuotaTest, SE-30.
func TestTheProtectedListenerEvictsTheLongestIdleOneForOne(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		held := make(chan kring.Request, 1)
		cfg.Processors.Count, cfg.Conns.Max, cfg.Conns.ProtectedListener = 4, 6, "BROKERS"
		cfg.Listeners = []kring.ListenerConfig{
			{Name: "CLIENTS", Address: "127.0.0.1:0"}, {Name: "BROKERS", Address: "127.0.0.1:0"},
		}
		s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) {
			if string(r.Payload()) == "hold" {
				held <- r
				return
			}
			r.Respond(r.Payload())
		}))
		var clients []*servertest.Client
		for range 6 {
			clients = append(clients, servertest.Dial(t, s))
			clients[len(clients)-1].Ask("in", "in")
		}
		clients[0].Send("hold") // waits for its answer: not idle
		request := <-held
		for _, at := range []int{3, 1, 5, 2, 4} { // idle from here on, in this order
			clients[at].Ask("here", "here")
			servertest.Eventually(t, "the answer is known to be out", func() bool { return infoOf(t, s, clients[at]).BytesOut == 14 })
		}
		for range 2 {
			servertest.DialTo(t, s.Addrs()[1].String()).Ask("broker", "broker")
		}
		clients[3].AwaitClose()
		clients[1].AwaitClose()
		// A processor tells its counts before it sleeps: they may lag behind what a client sees.
		servertest.Eventually(t, "both have left", func() bool {
			st := s.Stats()
			return st.Open == 6 && st.ClosedBy()["evicted"] == 2
		})
		request.Respond([]byte("done"))
		if got := clients[0].Receive(); got != "done" {
			t.Errorf("answer %q", got)
		}
		for _, at := range []int{0, 2, 4, 5} {
			clients[at].Ask("spared", "spared")
		}
		if st := s.Stats(); st.ClosedBy()["evicted"] != 2 || len(st.ClosedBy()) != 1 {
			t.Errorf("closed: %v", st.ClosedBy())
		}
	})
}

// Turns alone would go on giving one connection in two to the processor that
// has more.
//
// Kafka: Q-14.
func TestNewConnectionsGoToTheProcessorThatHasTheFewest(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		s := servertest.Start(t, cfg, servertest.Echo)
		const half = 4
		by := map[uint32][]*servertest.Client{}
		for range 2 * half {
			c, processor := dialOwned(t, s)
			by[processor] = append(by[processor], c)
		}
		if len(by[0]) != half || len(by[1]) != half {
			t.Fatalf("%d and %d connections", len(by[0]), len(by[1]))
		}
		for _, c := range by[1] {
			_ = c.Close()
		}
		servertest.Eventually(t, "half have left", func() bool { return s.Stats().Open == half })
		for range half {
			if _, processor := dialOwned(t, s); processor != 1 {
				t.Errorf("a new connection went to processor %d, which has more", processor)
			}
		}
	})
}

// dialOwned connects and says which processor has the connection.
func dialOwned(t *testing.T, s *kring.Server) (*servertest.Client, uint32) {
	t.Helper()
	c := servertest.Dial(t, s)
	c.Ask("in", "in")
	return c, infoOf(t, s, c).ID.Processor
}

// infoOf is what the server knows of a client's connection.
func infoOf(t *testing.T, s *kring.Server, c *servertest.Client) kring.ConnInfo {
	t.Helper()
	conns, err := s.Conns(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, info := range conns {
		if info.Remote.String() == c.LocalAddr().String() {
			return info
		}
	}
	t.Fatal("the connection is not listed")
	return kring.ConnInfo{}
}

// A place that one processor frees lets in who waits at another.
//
// Kafka: CQ-05, Q-17.
func TestAFreedPlaceReachesThoseThatWaitAtAnyProcessor(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		cfg.Processors.Accept, cfg.Processors.Count, cfg.Conns.Max = kring.AcceptPerProcessor, 3, 1
		s := servertest.Start(t, cfg, servertest.Echo)
		first := servertest.Dial(t, s)
		first.Ask("in", "in")
		var waiting sync.WaitGroup
		for range 60 {
			c := servertest.Dial(t, s)
			c.Send("now")
			waiting.Go(func() {
				defer c.Close()
				if payload, err := servertest.ReadFrame(c); err != nil || string(payload) != "now" {
					t.Errorf("answer %q, %v", payload, err)
				}
			})
		}
		servertest.Eventually(t, "somebody waits", func() bool { return s.Stats().Waiting > 0 })
		_ = first.Close()
		waiting.Wait()
		if st := s.Stats(); st.Refused != 0 || st.Accepted != 61 {
			t.Errorf("%d accepted, %d refused", st.Accepted, st.Refused)
		}
	})
}

// Kafka: Q-9.
func TestAsManyAreEvictedAsCameAtOnce(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		const clients, brokers = 12, 8
		threeListeners(&cfg)
		cfg.Processors.Count, cfg.Conns.Max = 4, clients
		s := servertest.Start(t, cfg, servertest.Echo)
		ask(t, s, clients, 0)
		var came sync.WaitGroup
		for range brokers {
			c := servertest.DialTo(t, s.Addrs()[2].String())
			c.Send("in")
			came.Go(func() {
				if _, err := servertest.ReadFrame(c); err != nil {
					t.Error(err)
				}
			})
		}
		came.Wait()
		servertest.Eventually(t, "as many have left", func() bool { return s.Stats().Open == clients })
		servertest.DialTo(t, s.Addrs()[2].String()).Ask("one more", "one more")
		servertest.Eventually(t, "one more has left", func() bool { return s.Stats().Open == clients })
		servertest.Eventually(t, "all are counted", func() bool {
			st := s.Stats()
			return st.ClosedBy()["evicted"] == brokers+1
		})
	})
}
