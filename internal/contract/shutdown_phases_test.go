package contract

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"kring"
	"kring/internal/servertest"
)

// shownConns is a Handler that is told of connections.
type shownConns struct {
	kring.HandlerFunc
	opened, closed func()
}

func (w shownConns) ConnOpened(*kring.Conn)                    { w.opened() }
func (w shownConns) ConnClosed(*kring.Conn, kring.CloseReason) { w.closed() }

// stuck blocks whoever calls it until release, and tells that somebody came.
type stuck struct {
	came, gate chan struct{}
	once       sync.Once
}

func newStuck() *stuck { return &stuck{came: make(chan struct{}), gate: make(chan struct{})} }

func (s *stuck) block() {
	s.once.Do(func() { close(s.came) })
	<-s.gate
}

// phases have a Server in which something of the program's blocks that the Server called.
// Each sets cfg and gives the Handler, and what makes the Server call it.
var phases = map[string]func(t *testing.T, cfg *kring.Config, s *stuck) (kring.Handler, func(*kring.Server)){
	"a Handler": func(t *testing.T, cfg *kring.Config, s *stuck) (kring.Handler, func(*kring.Server)) {
		return kring.HandlerFunc(func(r kring.Request) { s.block(); r.Respond(r.Payload()) }), one(t)
	},
	"a Handler that panicked": func(t *testing.T, cfg *kring.Config, s *stuck) (kring.Handler, func(*kring.Server)) {
		cfg.Events.HandlerPanicked = func(kring.Request, any, []byte) { s.block() }
		return kring.HandlerFunc(func(kring.Request) { panic("as the test wants") }), one(t)
	},
	"ConnOpened": func(t *testing.T, cfg *kring.Config, s *stuck) (kring.Handler, func(*kring.Server)) {
		return shownConns{servertest.Echo, s.block, func() {}}, one(t)
	},
	"ConnClosed": func(t *testing.T, cfg *kring.Config, s *stuck) (kring.Handler, func(*kring.Server)) {
		return shownConns{servertest.Echo, func() {}, s.block}, func(server *kring.Server) {
			c := servertest.Dial(t, server)
			c.Ask("a", "a")
			_ = c.Close()
		}
	},
	"Events.ConnClosed in Shutdown itself": func(t *testing.T, cfg *kring.Config, s *stuck) (kring.Handler, func(*kring.Server)) {
		cfg.Events.ConnClosed = func(*kring.Conn, kring.CloseReason) { s.block() }
		return servertest.Echo, func(server *kring.Server) {
			servertest.Dial(t, server).Ask("a", "a")
			s.once.Do(func() { close(s.came) }) // nobody comes before Shutdown
		}
	},
	"APIOf": func(t *testing.T, cfg *kring.Config, s *stuck) (kring.Handler, func(*kring.Server)) {
		cfg.Dispatch.APIOf = func([]byte) (int16, int16) { s.block(); return 1, 1 }
		return servertest.Echo, one(t)
	},
	"Priority": func(t *testing.T, cfg *kring.Config, s *stuck) (kring.Handler, func(*kring.Server)) {
		cfg.Dispatch.Priority = func(kring.Request) bool { s.block(); return true }
		if cfg.Dispatch.Mode == kring.DispatchInline { // nothing is put before anything there
			return kring.HandlerFunc(func(r kring.Request) { s.block(); r.Respond(r.Payload()) }), one(t)
		}
		return servertest.Echo, one(t)
	},
	"files that are given back": func(t *testing.T, cfg *kring.Config, s *stuck) (kring.Handler, func(*kring.Server)) {
		file, err := os.Open("shutdown_test.go")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = file.Close() })
		return kring.HandlerFunc(func(r kring.Request) {
			if err := r.RespondParts([]kring.Part{{File: file, Length: 10}}, s.block); err != nil {
				t.Error(err)
			}
		}), one(t)
	},
	"a listener that is not ready": func(t *testing.T, cfg *kring.Config, s *stuck) (kring.Handler, func(*kring.Server)) {
		cfg.Listeners = append(cfg.Listeners, kring.ListenerConfig{Name: "LATE", Address: "127.0.0.1:0", Ready: func(context.Context) error {
			s.block()
			return nil
		}})
		return servertest.Echo, func(*kring.Server) {}
	},
	"a listener that is being removed": func(t *testing.T, cfg *kring.Config, s *stuck) (kring.Handler, func(*kring.Server)) {
		cfg.Listeners = append(cfg.Listeners, kring.ListenerConfig{Name: "OTHER", Address: "127.0.0.1:0"})
		return kring.HandlerFunc(func(r kring.Request) { s.block(); r.Respond(r.Payload()) }), func(server *kring.Server) {
			one(t)(server)
			<-s.came
			ended := make(chan error, 1)
			go func() { ended <- server.RemoveListener(context.Background(), "PLAINTEXT") }()
			t.Cleanup(func() { <-ended })
			servertest.Eventually(t, "the listener is on its way out", func() bool { return len(server.Listeners()) == 1 })
		}
	},
	"processors and a listener that Reconfigure takes away": func(t *testing.T, cfg *kring.Config, s *stuck) (kring.Handler, func(*kring.Server)) {
		cfg.Timeouts.Drain = -1
		return kring.HandlerFunc(func(r kring.Request) { s.block(); r.Respond(r.Payload()) }), func(server *kring.Server) {
			one(t)(server)
			<-s.came
			less := *cfg
			less.Processors.Count = 1
			less.Listeners = []kring.ListenerConfig{{Name: "OTHER", Address: "127.0.0.1:0"}}
			if err := server.Reconfigure(less); err != nil {
				t.Error(err)
			}
		}
	},
	"a socket that was given": func(t *testing.T, cfg *kring.Config, s *stuck) (kring.Handler, func(*kring.Server)) {
		return kring.HandlerFunc(func(r kring.Request) { s.block(); r.Respond(r.Payload()) }), func(server *kring.Server) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			served := make(chan error, 1)
			go func() { served <- server.Serve(l) }()
			t.Cleanup(func() {
				if err := <-served; !errors.Is(err, kring.ErrServerClosed) {
					t.Errorf("Serve: %v", err)
				}
			})
			servertest.DialTo(t, l.Addr().String()).Send("a")
		}
	},
}

// one sends a request.
func one(t *testing.T) func(*kring.Server) {
	return func(s *kring.Server) { servertest.Dial(t, s).Send("a") }
}

// TestShutdownReturnsWhenItsContextEndsInEveryPhase, whatever of the program's blocks; and
// once that is done nothing is left.
func TestShutdownReturnsWhenItsContextEndsInEveryPhase(t *testing.T) {
	for phase, set := range phases {
		t.Run(phase, func(t *testing.T) {
			servertest.Each(t, func(t *testing.T, cfg kring.Config) {
				t.Parallel() // each waits for a second
				s := newStuck()
				handler, provoke := set(t, &cfg, s)
				server, err := kring.New(cfg, handler)
				if err != nil {
					t.Fatal(err)
				}
				if err := server.Start(); err != nil {
					t.Fatal(err)
				}
				provoke(server)
				<-s.came
				ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
				defer cancel()
				_ = server.Shutdown(ctx) // some of what blocks keeps nothing of the Server
				if err := server.Close(); err != nil && !errors.Is(err, context.Canceled) {
					t.Errorf("Close, after it: %v", err)
				}
				close(s.gate)
				if err := server.Shutdown(context.Background()); err != nil {
					t.Errorf("when nothing blocks any more: %v", err)
				}
				servertest.Eventually(t, "nothing is left", func() bool {
					st := server.Stats()
					return st.Open == 0 && st.RequestBytes == 0 && st.MemoryLent == 0 && st.MemoryMapped == 0
				})
			})
		})
	}
}

// TestShutdownBeforeStartAndFromAHandler: both return, and the second, which waits for its
// own caller, when its context ends.
func TestShutdownBeforeStartAndFromAHandler(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		fresh, err := kring.New(cfg, servertest.Echo)
		if err != nil {
			t.Fatal(err)
		}
		if err := fresh.Shutdown(context.Background()); err != nil {
			t.Errorf("before Start: %v", err)
		}
		said := make(chan error, 1)
		var s *kring.Server
		s, err = kring.New(cfg, kring.HandlerFunc(func(r kring.Request) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
			defer cancel()
			said <- s.Shutdown(ctx)
			r.NoResponse()
		}))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
		servertest.Dial(t, s).Send("shut down")
		if err := <-said; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("from a handler: %v", err)
		}
		if err := s.Shutdown(context.Background()); err != nil {
			t.Errorf("when the handler has returned: %v", err)
		}
	})
}
