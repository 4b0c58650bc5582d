package kring_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kring"
	"kring/internal/servertest"
)

// sockets are listening sockets that somebody else made, by their kind.
var sockets = map[string]func(t *testing.T) net.Listener{
	"tcp":  func(t *testing.T) net.Listener { return listen(t, "tcp", "127.0.0.1:0") },
	"unix": func(t *testing.T) net.Listener { return listen(t, "unix", filepath.Join(t.TempDir(), "socket")) },
}

func listen(t *testing.T, network, address string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// dialed is an address for servertest.DialTo.
func dialed(l net.Listener) string {
	if l.Addr().Network() == "unix" {
		return "unix:" + l.Addr().String()
	}
	return l.Addr().String()
}

// TestServeTakesASocketThatSomebodyElseMade: of each kind, on every engine, also for
// clients that connected before; and owns it to the end.
func TestServeTakesASocketThatSomebodyElseMade(t *testing.T) {
	for kind, socket := range sockets {
		t.Run(kind, func(t *testing.T) {
			servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
				l := socket(t)
				early := servertest.DialTo(t, dialed(l))
				s, err := kring.New(cfg, servertest.Echo)
				if err != nil {
					t.Fatal(err)
				}
				served := make(chan error, 1)
				go func() { served <- s.Serve(l) }()
				early.Ask("early", "early")
				servertest.DialTo(t, dialed(l)).Ask("late", "late")
				if at := s.Listeners(); len(at) != 1 || at[0].Name != "PLAINTEXT" || at[0].Address != dialed(l) {
					t.Errorf("listeners %+v, want one at %s", at, dialed(l))
				}
				servertest.Shutdown(t, s)
				if err := <-served; !errors.Is(err, kring.ErrServerClosed) {
					t.Errorf("Serve: %v, want ErrServerClosed", err)
				}
				if c, err := net.Dial(l.Addr().Network(), l.Addr().String()); err == nil {
					_ = c.Close()
					t.Error("the socket still listens")
				}
				if _, err := os.Stat(l.Addr().String()); kind == "unix" && err != nil {
					t.Errorf("the file is not there any more: %v", err)
				}
			})
		})
	}
}

// TestServeAddsSocketsToAServerThatServes, each a listener of its own, which can be
// removed.
func TestServeAddsSocketsToAServerThatServes(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		s := servertest.Start(t, cfg, servertest.Echo)
		l := sockets["tcp"](t)
		served := make(chan error, 1)
		go func() { served <- s.Serve(l) }()
		servertest.DialTo(t, dialed(l)).Ask("a", "a")
		at := s.Listeners()
		if len(at) != 2 || at[1].Name != "PLAINTEXT_2" {
			t.Fatalf("listeners %+v", at)
		}
		if err := s.Reconfigure(withListeners(cfg, kring.ListenerConfig{Name: "PLAINTEXT", Address: "127.0.0.1:0"}, kring.ListenerConfig{Name: "PLAINTEXT_2", Address: "127.0.0.1:9092"})); err != nil {
			t.Errorf("Reconfigure, which has no word about the socket: %v", err)
		}
		servertest.DialTo(t, dialed(l)).Ask("b", "b")
		ctx, cancel := context.WithTimeout(context.Background(), servertest.Deadline)
		defer cancel()
		if err := s.RemoveListener(ctx, "PLAINTEXT_2"); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Errorf("Serve: %v, want nil after RemoveListener", err)
		}
		if c, err := net.Dial("tcp", l.Addr().String()); err == nil {
			_ = c.Close()
			t.Error("the socket still listens")
		}
	})
}

func withListeners(cfg kring.Config, all ...kring.ListenerConfig) kring.Config {
	cfg.Listeners = all
	return cfg
}

// TestASocketThatCanNotBeServedSaysWhy, and what to do; it is closed.
func TestASocketThatCanNotBeServedSaysWhy(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		closed := sockets["tcp"](t)
		_ = closed.Close()
		shared := cfg
		shared.Processors.Accept = kring.AcceptPerProcessor
		for what, c := range map[string]struct {
			cfg  kring.Config
			l    net.Listener
			says string
		}{
			"nil":     {cfg, nil, "call Start"},
			"TLS":     {cfg, tls.NewListener(sockets["tcp"](t), &tls.Config{}), "not one that wraps it"},
			"closed":  {cfg, closed, "give a socket that is open"},
			"shared":  {shared, sockets["tcp"](t), "choose Processors.Accept apart"},
			"packets": {cfg, packets(t), `of network "unix"`},
		} {
			if c.l == nil && what != "nil" {
				continue // not on this system
			}
			s, err := kring.New(c.cfg, servertest.Echo)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Serve(c.l); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: %v, want to hear %q", what, err, c.says)
			}
			if c.l != nil && c.l.Close() == nil {
				t.Errorf("%s: the socket was not closed", what)
			}
			servertest.Shutdown(t, s)
			if err := s.Serve(sockets["tcp"](t)); !errors.Is(err, kring.ErrServerClosed) {
				t.Errorf("%s: Serve after Shutdown: %v", what, err)
			}
		}
	})
}

// packets is a socket that keeps the bounds of messages; nil where there are none.
func packets(t *testing.T) net.Listener {
	l, err := net.Listen("unixpacket", filepath.Join(t.TempDir(), "packets"))
	if err != nil {
		return nil
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// TestServeSaysThatTheServerIsClosedWheneverThatIs, also before the socket is served.
func TestServeSaysThatTheServerIsClosedWheneverThatIs(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		for range 20 {
			s := servertest.Start(t, cfg, servertest.Echo)
			served, begun := make(chan error, 1), make(chan struct{})
			go func() {
				close(begun)
				served <- s.Serve(sockets["tcp"](t))
			}()
			<-begun
			servertest.Shutdown(t, s)
			if err := <-served; !errors.Is(err, kring.ErrServerClosed) {
				t.Fatalf("Serve: %v, want ErrServerClosed", err)
			}
		}
	})
}

// TestServeDoesNotStandOnASocketThatItsOwnerClosed: engines that have a descriptor of their
// own serve on, and Serve of the others returns.
func TestServeDoesNotStandOnASocketThatItsOwnerClosed(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		s, err := kring.New(cfg, servertest.Echo)
		if err != nil {
			t.Fatal(err)
		}
		l := sockets["tcp"](t)
		served := make(chan error, 1)
		go func() { served <- s.Serve(l) }()
		early := servertest.DialTo(t, dialed(l))
		early.Ask("early", "early")
		_ = l.Close()
		if cfg.Engine != kring.EnginePortable {
			servertest.DialTo(t, dialed(l)).Ask("late", "late")
		} else if err := <-served; err == nil || !strings.Contains(err.Error(), "leave that to the Server") {
			t.Errorf("Serve: %v", err)
		}
		early.Ask("still", "still")
		servertest.Shutdown(t, s)
	})
}
