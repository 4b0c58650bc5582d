package contract

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"kring"
	"kring/internal/servertest"
	"kring/reqchan"
)

// freeAddress is one that nobody listens on: the loopback network has 2^24
// hosts, and this one is known to nobody else.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.83.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// refused says that nobody listens there.
func refused(address string) bool {
	c, err := net.DialTimeout("tcp", address, servertest.Deadline)
	if err == nil {
		_ = c.Close()
	}
	return err != nil
}

// gate is a precondition: what it is sent is what the listener waits for.
func gate() (open chan error, ready func(context.Context) error) {
	open = make(chan error, 1)
	return open, func(ctx context.Context) error {
		select {
		case err := <-open:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// A listener serves as soon as its own precondition is fulfilled, whatever the
// others wait for; a port that was chosen opens only then.
//
// Kafka: SS-05, SS-64.
func TestAListenerServesWhenItIsReady(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		chosen := freeAddress(t)
		openChosen, chosenReady := gate()
		openAny, anyReady := gate()
		cfg.Listeners = []kring.ListenerConfig{
			{Name: "CONTROLLER", Address: "127.0.0.1:0"},
			{Name: "CHOSEN", Address: chosen, Ready: chosenReady},
			{Name: "ANY", Address: "127.0.0.1:0", Ready: anyReady},
		}
		s := servertest.Start(t, cfg, servertest.Echo)
		servertest.Dial(t, s).Ask("first", "first")
		if !refused(chosen) || s.Addrs()[1] != (netip.AddrPort{}) {
			t.Error("the port is open before the listener is ready")
		}
		early := servertest.DialTo(t, s.Addrs()[2].String())
		early.Send("waits")
		if n := s.Stats().Accepted; n != 1 {
			t.Errorf("%d connections were accepted, want that of the first listener", n)
		}
		openChosen <- nil
		servertest.Eventually(t, "the chosen port is open", func() bool { return !refused(chosen) })
		servertest.DialTo(t, chosen).Ask("second", "second")
		openAny <- nil
		if got := early.Receive(); got != "waits" {
			t.Errorf("answer %q", got)
		}
		if err := s.AwaitListeners(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// Kafka: SS-62, SS-63.
func TestAListenerThatNeverBecomesReadyIsTold(t *testing.T) {
	errNotHere := errors.New("the authorizer could not start")
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		taken, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = taken.Close() }()
		for what, c := range map[string]struct {
			address, says string
			ready         error
		}{
			"the precondition failed": {"127.0.0.1:0", errNotHere.Error(), errNotHere},
			"the port is taken":       {taken.Addr().String(), "in use", nil},
		} {
			cfg.Listeners = []kring.ListenerConfig{
				{Name: "A", Address: "127.0.0.1:0"},
				{Name: "B", Address: c.address, Ready: func(context.Context) error { return c.ready }},
			}
			s := servertest.Start(t, cfg, servertest.Echo)
			err := s.AwaitListeners(context.Background())
			if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "listener B") {
				t.Errorf("%s: %v, want the listener and %q", what, err, c.says)
			}
			if failed := <-s.Failed(); failed.Error() != err.Error() {
				t.Errorf("%s: Failed gives %v", what, failed)
			}
			servertest.Dial(t, s).Ask("well", "well")
			servertest.Shutdown(t, s)
		}
	})
}

// Kafka: SS-30.
func TestShutdownEndsAListenerThatWaits(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		_, ready := gate()
		cfg.Listeners[0].Ready = ready
		s := servertest.Start(t, cfg, servertest.Echo)
		address := s.Addrs()[0].String()
		c := servertest.Dial(t, s)
		servertest.Shutdown(t, s)
		c.AwaitClose()
		if !refused(address) {
			t.Error("the port is still open")
		}
		if err := s.AwaitListeners(context.Background()); err == nil {
			t.Error("nobody says that the listener never accepted")
		}
	})
}

// Kafka: SS-30.
func TestAServerCanBeShutDownBeforeItStarts(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		s, err := kring.New(cfg, servertest.Echo)
		if err != nil {
			t.Fatal(err)
		}
		servertest.Shutdown(t, s)
		if err := s.Start(); err == nil || len(s.Addrs()) != 0 {
			t.Errorf("Start after Shutdown: %v, listening on %v", err, s.Addrs())
		}
	})
}

// Kafka: SE-19.
func TestAListenerThatCantBindLeavesNothingOfTheOthers(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		taken, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = taken.Close() }()
		first := freeAddress(t)
		cfg.Listeners = []kring.ListenerConfig{{Name: "A", Address: first}, {Name: "B", Address: taken.Addr().String()}}
		s, err := kring.New(cfg, servertest.Echo)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Start(); err == nil || !strings.Contains(err.Error(), "listener B") {
			t.Errorf("Start: %v, want the listener that failed", err)
		}
		if !refused(first) || s.Stats().MemoryMapped != 0 {
			t.Error("the listener before it is still open, or memory is")
		}
	})
}

// As many connect as the backlog holds while nobody accepts yet, and are served.
//
// Kafka: SS-60.
func TestTheBacklogHoldsThoseWhoComeBeforeTheAcceptor(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		open, ready := gate()
		cfg.Listeners[0].Ready, cfg.Listeners[0].Backlog = ready, 128
		s := servertest.Start(t, cfg, servertest.Echo)
		clients := make([]*servertest.Client, 128)
		for i := range clients {
			clients[i] = servertest.Dial(t, s)
		}
		open <- nil
		for i, c := range clients {
			c.Ask(fmt.Sprint(i), fmt.Sprint(i))
		}
	})
}

// Kafka: SS-57, SS-58, SS-59.
func TestRequestsTellWhetherTheirListenerIsPrivileged(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		cfg.Listeners = []kring.ListenerConfig{
			{Name: "CONTROL", Address: "127.0.0.1:0", Privileged: true}, {Name: "CLIENTS", Address: "127.0.0.1:0"},
		}
		s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) {
			r.Respond(fmt.Appendf(nil, "%s %v", r.Conn().Listener, r.Conn().Privileged))
		}))
		servertest.DialTo(t, s.Addrs()[0].String()).Ask("who", "CONTROL true")
		servertest.DialTo(t, s.Addrs()[1].String()).Ask("who", "CLIENTS false")
	})
}

// Each listener goes by its own settings, and by the server's where it has none.
//
// Kafka: SS-08.
func TestConnectionsGoByTheirListenersSettings(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		closed := make(chan kring.CloseReason, 100)
		cfg.Limits.FrameBytesMax = 100
		cfg.Events.ConnClosed = func(_ *kring.Conn, why kring.CloseReason) { closed <- why }
		cfg.Listeners = []kring.ListenerConfig{
			{Name: "A", Address: "127.0.0.1:0"},
			{Name: "B", Address: "127.0.0.1:0", Limits: kring.LimitsConfig{FrameBytesMax: 1000}, Timeouts: kring.TimeoutsConfig{Idle: time.Second}},
		}
		s := servertest.Start(t, cfg, servertest.Echo)
		frame := strings.Repeat("x", 500)
		a, served := servertest.Dial(t, s), false
		servertest.Eventually(t, "a large frame is served", func() bool { // a slow client may expire before
			b := servertest.DialTo(t, s.Addrs()[1].String())
			if _, err := b.Write(servertest.Frame([]byte(frame))); err == nil {
				got, err := servertest.ReadFrame(b)
				served = err == nil && string(got) == frame
			}
			b.AwaitClose()
			if why := <-closed; why != reqchan.IdleExpired {
				t.Fatalf("closed for %v, want its idle timeout", why)
			}
			return served
		})
		a.Ask("still here", "still here")
		a.Send(frame)
		a.AwaitClose()
		if why := <-closed; why != reqchan.FrameTooBig {
			t.Errorf("closed for %v, want the server's cap on frames", why)
		}
	})
}

// Listeners come and go while others serve; what a removed one has in flight is
// answered before its connections close.
func TestListenersComeAndGoWhileOthersServe(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		begun, answer := make(chan struct{}), make(chan struct{})
		s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) {
			if string(r.Payload()) == "slow" {
				close(begun)
				<-answer
			}
			r.Respond(r.Payload())
		}))
		stays := servertest.Dial(t, s)
		if err := s.AddListener(kring.ListenerConfig{Name: "NEW", Address: "127.0.0.1:0"}); err != nil {
			t.Fatal(err)
		}
		if err := s.AddListener(kring.ListenerConfig{Name: "NEW", Address: "127.0.0.1:0"}); err == nil {
			t.Error("two listeners have one name")
		}
		address := s.Addrs()[1].String()
		idle, busy := servertest.DialTo(t, address), servertest.DialTo(t, address)
		idle.Ask("hello", "hello")
		busy.Send("slow")
		<-begun
		removed := make(chan error, 1)
		go func() { removed <- s.RemoveListener(context.Background(), "NEW") }()
		idle.AwaitClose()
		if !refused(address) {
			t.Error("the removed listener still accepts")
		}
		stays.Ask("and I", "and I")
		close(answer)
		if got := busy.Receive(); got != "slow" {
			t.Errorf("answer %q", got)
		}
		busy.AwaitClose()
		if err := <-removed; err != nil {
			t.Error(err)
		}
		stays.Ask("still", "still")
		servertest.Eventually(t, "both connections of the removed listener are counted as closed for it", func() bool {
			return s.Stats().Total.Closed[reqchan.ListenerRemoved] == 2
		})
		if st := s.Stats(); st.Accepted != 3 || len(s.Addrs()) != 1 {
			t.Errorf("%d accepted, listening on %v", st.Accepted, s.Addrs())
		}
	})
}

// What a removed listener still has in flight at the deadline is cut off and
// counted; the others notice nothing.
func TestRemovingAListenerHasADeadline(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		begun, answer := make(chan struct{}), make(chan struct{})
		cfg.Listeners = append(cfg.Listeners, kring.ListenerConfig{Name: "OLD", Address: "127.0.0.1:0"})
		s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) {
			if string(r.Payload()) == "never" {
				close(begun)
				<-answer
			}
			r.Respond(r.Payload())
		}))
		c := servertest.DialTo(t, s.Addrs()[1].String())
		c.Send("never")
		<-begun
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		defer cancel()
		err := s.RemoveListener(ctx, "OLD")
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "1 connections") {
			t.Errorf("RemoveListener: %v, want the deadline and the count", err)
		}
		c.AwaitClose()
		servertest.Eventually(t, "the dropped request is counted", func() bool { return s.Stats().Total.Dropped == 1 })
		if err := s.RemoveListener(context.Background(), "OLD"); err == nil || !strings.Contains(err.Error(), "PLAINTEXT") {
			t.Errorf("removed twice: %v, want the names that there are", err)
		}
		close(answer)
		servertest.Dial(t, s).Ask("well", "well")
	})
}

// TestListenersThatComeAndGoLeaveNothing: under ever new names, while clients connect, and whether
// their connections end before the listener or after it. The latest are remembered.
func TestListenersThatComeAndGoLeaveNothing(t *testing.T) {
	const all, remembered = 100, 64
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		g := newGated()
		g.held = make(chan kring.Request, all)
		s := servertest.Start(t, cfg, g)
		base := cfg.Listeners
		busy := 0
		goroutines := runtime.NumGoroutine()
		for i := range all {
			cfg.Listeners = append(base[:1:1], kring.ListenerConfig{Name: fmt.Sprint("L", i), Address: "127.0.0.1:0"})
			reconfigure(t, s, cfg)
			if err := s.AwaitListeners(t.Context()); err != nil {
				t.Fatal(err)
			}
			c := servertest.DialTo(t, s.Addrs()[1].String())
			c.Ask("now", "now")
			if i%10 > 0 { // it ends with its listener
				c.Send("later")
				servertest.Eventually(t, "it is handled", func() bool { return len(g.held) == busy+1 })
				busy++
			}
			cfg.Listeners = base
			reconfigure(t, s, cfg)
		}
		if n := len(s.Stats().Listeners); n < busy {
			t.Errorf("%d listeners are told of, and %d have connections", n, busy)
		}
		for range busy {
			r := <-g.held
			r.Respond(r.Payload())
		}
		servertest.Eventually(t, "nobody tells of the first", func() bool { return len(s.Stats().Listeners) <= 1+remembered+1 })
		// Others of the process may have begun meanwhile: far fewer than one for each listener.
		servertest.Eventually(t, "their goroutines have ended", func() bool { return runtime.NumGoroutine() <= goroutines+all/10 })
		servertest.Dial(t, s).Ask("now", "now")
	})
}
