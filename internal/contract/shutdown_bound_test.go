package contract

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"kring"
	"kring/internal/servertest"
)

// blocking returns a Server whose Handler keeps the requests "stay" until release
// is called, the one in Handle, others answered later, and the connection that such
// a request came by.
func blocking(t *testing.T, cfg kring.Config, inHandle bool) (s *kring.Server, c *servertest.Client, release func()) {
	held, gate := make(chan struct{}, 1), make(chan struct{})
	s, err := kring.New(cfg, kring.HandlerFunc(func(r kring.Request) {
		if string(r.Payload()) != "stay" {
			r.Respond(r.Payload())
			return
		}
		held <- struct{}{}
		stay := func() {
			<-gate
			r.Respond(append(r.Buffer(100_000)[:0], "late"...))
		}
		if inHandle {
			stay()
		} else {
			go stay()
		}
	}))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	c = servertest.Dial(t, s)
	c.Send("stay")
	<-held
	return s, c, func() { close(gate) }
}

// Shutdown returns when its context ends, whatever a Handler does: one that blocks
// its processor, one that blocks in the pool, one that answers later. What it has
// ends when the Handler is done, and nothing is left then.
//
// Kafka: Q-16, F-73.
func TestShutdownReturnsWhenItsContextEnds(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		for _, accept := range []kring.Accept{kring.AcceptApart, kring.AcceptPerProcessor} {
			for _, inHandle := range []bool{true, false} {
				cfg := cfg
				cfg.Processors.Accept = accept
				s, c, release := blocking(t, cfg, inHandle)
				other := servertest.Dial(t, s)
				ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
				began := time.Now()
				err := s.Shutdown(ctx) // would wait for ever
				t.Logf("accept %s, in Handle %t: %v", accept, inHandle, time.Since(began))
				if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "kring: ") {
					t.Errorf("error %v", err)
				}
				if err := s.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("the second time: %v", err)
				}
				cancel()
				release()
				if err := s.Shutdown(context.Background()); err != nil {
					t.Errorf("when the Handler is done: %v", err)
				}
				c.AwaitClose()
				other.AwaitClose()
				servertest.Eventually(t, "nothing is left", func() bool {
					st := s.Stats()
					return st.Open == 0 && st.RequestBytes == 0 && st.MemoryLent == 0 && st.MemoryMapped == 0
				})
			}
		}
	})
}

// RemoveListener returns when its context ends, too, and the listener is gone when
// the Handler is done.
func TestRemovingAListenerReturnsWhenItsContextEnds(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		cfg.Listeners = append(cfg.Listeners, kring.ListenerConfig{Name: "OTHER", Address: "127.0.0.1:0"})
		s, c, release := blocking(t, cfg, true)
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		defer cancel()
		if err := s.RemoveListener(ctx, "PLAINTEXT"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		release()
		c.AwaitClose()
		servertest.Shutdown(t, s)
	})
}
