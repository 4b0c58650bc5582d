package kring_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"

	"kring"
	"kring/internal/leaktest"
	"kring/internal/servertest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

func TestEveryClientGetsItsOwnFramesBackInOrder(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) { serveConversations(t, cfg, 24) })
}

// serveConversations serves so many clients that pipeline small frames and big
// ones.
func serveConversations(t *testing.T, cfg kring.Config, n int) {
	t.Helper()
	s := servertest.Start(t, cfg, servertest.Echo)
	var clients sync.WaitGroup
	for k := range n {
		c := servertest.Dial(t, s)
		clients.Go(func() {
			defer c.Close()
			if err := servertest.Converse(c, uint64(k), 60, 0); err != nil {
				t.Errorf("client %d: %v", k, err)
			}
		})
	}
	clients.Wait()
	servertest.Shutdown(t, s)
}

func TestConnectionsBeyondTheBoundAreClosedAndTheNextFindsTheFreedPlace(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		cfg.Conns.Max, cfg.Conns.WhenFull = 2, kring.WhenFullRefuse
		s := servertest.Start(t, cfg, servertest.Echo)
		first, second := servertest.Dial(t, s), servertest.Dial(t, s)
		for _, c := range []net.Conn{first, second} {
			if _, err := c.Write(servertest.Frame([]byte("in"))); err != nil {
				t.Fatal(err)
			}
			if _, err := servertest.ReadFrame(c); err != nil {
				t.Fatal(err)
			}
		}
		third := servertest.Dial(t, s)
		if _, err := third.Read(make([]byte, 1)); err == nil {
			t.Fatal("the third connection was answered")
		}
		_ = first.Close()
		servertest.Eventually(t, "the slot is freed", func() bool { return s.Stats().Open == 1 })
		fourth := servertest.Dial(t, s)
		if _, err := fourth.Write(servertest.Frame([]byte("in"))); err != nil {
			t.Fatal(err)
		}
		if _, err := servertest.ReadFrame(fourth); err != nil {
			t.Fatalf("the freed slot: %v", err)
		}
		for _, c := range []net.Conn{second, third, fourth} {
			_ = c.Close()
		}
		servertest.Shutdown(t, s)
		if st := s.Stats(); st.Refused != 1 || st.Accepted != 4 {
			t.Errorf("%d accepted, %d refused", st.Accepted, st.Refused)
		}
	})
}

// Kafka: Q-16, F-73.
func TestShutdownAnswersWhatIsInFlight(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		held := make(chan kring.Request, 1)
		s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) { held <- r }))
		c := servertest.Dial(t, s)
		defer c.Close()
		if _, err := c.Write(servertest.Frame([]byte("slow"))); err != nil {
			t.Fatal(err)
		}
		r := <-held
		ended := make(chan struct{})
		go func() { defer close(ended); servertest.Shutdown(t, s) }()
		for refused := false; !refused; { // until the server accepts no more
			probe, err := net.Dial("tcp", c.RemoteAddr().String())
			if refused = err != nil; !refused {
				_ = probe.Close()
			}
		}
		r.Respond([]byte("done"))
		if got, err := servertest.ReadFrame(c); err != nil || string(got) != "done" {
			t.Fatalf("response %q, %v", got, err)
		}
		<-ended
	})
}

// Kafka: Q-16, F-73.
func TestShutdownCutsWhatTheDeadlineLeavesAndSaysSo(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		held := make(chan kring.Request, 1)
		s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) { held <- r }))
		c := servertest.Dial(t, s)
		defer c.Close()
		if _, err := c.Write(servertest.Frame([]byte("slow"))); err != nil {
			t.Fatal(err)
		}
		r := <-held
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			_, _ = c.Read(make([]byte, 1)) // until it is cut
			r.NoResponse()
		}()
		if err := s.Shutdown(ctx); !errors.Is(err, context.Canceled) {
			t.Fatalf("error %v", err)
		}
		<-answered
		if st := s.Stats(); st.Total.Dropped != 1 {
			t.Errorf("%d requests dropped", st.Total.Dropped)
		}
	})
}

func TestAHandlerThatNeverAnswersDoesNotHoldUpShutdown(t *testing.T) {
	held := make(chan kring.Request, 1)
	s, err := kring.New(servertest.Config(kring.EngineAuto, kring.DispatchPool), kring.HandlerFunc(func(r kring.Request) { held <- r }))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	c := servertest.Dial(t, s)
	defer c.Close()
	if _, err := c.Write(servertest.Frame([]byte("never"))); err != nil {
		t.Fatal(err)
	}
	<-held
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Shutdown(ctx); err == nil || !strings.Contains(err.Error(), "has not answered") {
		t.Fatalf("error %v", err)
	}
}

func TestAnAddressInUseIsSaidAndLeavesNothing(t *testing.T) {
	for _, engine := range servertest.Engines() {
		t.Run(string(engine), func(t *testing.T) {
			first := servertest.Start(t, servertest.Config(engine, kring.DispatchPool), servertest.Echo)
			cfg := servertest.Config(engine, kring.DispatchPool)
			cfg.Listeners[0].Address = first.Addrs()[0].String()
			second, err := kring.New(cfg, servertest.Echo)
			if err != nil {
				t.Fatal(err)
			}
			if err := second.Start(); err == nil || !strings.Contains(err.Error(), cfg.Listeners[0].Address) {
				t.Errorf("error %v", err)
			}
			servertest.Shutdown(t, first)
		})
	}
}

// TestAnAddressThatIsNoneIsAFaultOfTheConfig, beside the others: nothing has to be opened
// or asked to see that.
func TestAnAddressThatIsNoneIsAFaultOfTheConfig(t *testing.T) {
	for _, address := range []string{"localhost", "127.0.0.1", "127.0.0.1:99999", ":no-such-service", "::1:9092", "unix:"} {
		_, err := kring.New(kring.Config{
			Listeners: []kring.ListenerConfig{{Name: "A", Address: address}},
			Conns:     kring.ConnsConfig{PerIP: []kring.AddressLimit{{Source: "10.0.0.0/40"}}}, Limits: kring.LimitsConfig{PipelineMax: -1},
		}, servertest.Echo)
		for _, field := range []string{"Listeners[A].Address", "Conns.PerIP[10.0.0.0/40].Source", "Limits.PipelineMax"} {
			if err == nil || !strings.Contains(err.Error(), field+" is ") {
				t.Errorf("%s: %s is not named in: %v", address, field, err)
			}
		}
	}
	for _, address := range []string{":0", "localhost:http", "[::1]:9092", "[fe80::1%eth0]:9092", "a.name.of.another.machine:1"} {
		cfg := kring.Config{Listeners: []kring.ListenerConfig{{Address: address}}}
		if err := cfg.Validate(); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestEveryFaultOfAConfigIsNamedAtOnce(t *testing.T) {
	_, err := kring.New(kring.Config{
		Engine: "kqueue", Dispatch: kring.DispatchConfig{Mode: "both", Handlers: -2}, Processors: kring.ProcessorsConfig{Wait: "spin", Count: -1}, Limits: kring.LimitsConfig{PipelineMax: -3, FrameBytesMax: -4},
		Conns: kring.ConnsConfig{WhenFull: "panic", PerIPMax: -5}, Listeners: []kring.ListenerConfig{{Name: "A"}, {Name: "A", Address: ":0"}},
	}, servertest.Echo)
	for _, field := range []string{"Engine", "Dispatch.Mode", "Processors.Wait", "Processors.Count", "Dispatch.Handlers", "Limits.PipelineMax",
		"Limits.FrameBytesMax", "Conns.WhenFull", "Conns.PerIPMax", "Listeners[A].Address", "Listeners.Name"} {
		if err == nil || !strings.Contains(err.Error(), field+" is ") {
			t.Errorf("%s is not named in: %v", field, err)
		}
	}
	if _, err := kring.New(kring.Config{}, nil); err == nil {
		t.Error("a nil Handler was taken")
	}
	_, err = kring.New(kring.Config{Engine: "kqueue"}, nil)
	if is := (*kring.ConfigError)(nil); !errors.As(err, &is) || !strings.Contains(err.Error(), "Handler is nil") {
		t.Errorf("without a Handler as well: %v", err)
	}
}

// watcher notes the connections it was told of.
type watcher struct {
	mu     sync.Mutex
	opened map[string]bool              // guarded by mu
	closed map[string]kring.CloseReason // guarded by mu
}

func (w *watcher) Handle(r kring.Request) { r.Respond([]byte(r.Conn().ID.String())) }

func (w *watcher) ConnOpened(c *kring.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.opened[c.ID.String()] = c.Remote.IsValid() && c.Local.IsValid() && c.Listener == "PLAINTEXT"
}

func (w *watcher) ConnClosed(c *kring.Conn, why kring.CloseReason) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed[c.ID.String()] = why
}

func TestAWatcherSeesEachConnectionOpenBeforeItsFirstRequestAndClose(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		w := &watcher{opened: map[string]bool{}, closed: map[string]kring.CloseReason{}}
		s := servertest.Start(t, cfg, w)
		ids := map[string]bool{}
		for range 10 {
			c := servertest.Dial(t, s)
			if _, err := c.Write(servertest.Frame([]byte("who am I"))); err != nil {
				t.Fatal(err)
			}
			id, err := servertest.ReadFrame(c)
			if err != nil {
				t.Fatal(err)
			}
			w.mu.Lock()
			if ids[string(id)] || !w.opened[string(id)] {
				t.Errorf("connection %s: seen before %v, opened %v", id, ids[string(id)], w.opened[string(id)])
			}
			w.mu.Unlock()
			ids[string(id)] = true
			_ = c.Close()
		}
		servertest.Shutdown(t, s)
		if len(w.closed) != len(ids) {
			t.Errorf("%d connections closed of %d", len(w.closed), len(ids))
		}
	})
}
