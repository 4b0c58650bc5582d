package contract

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"kring"
	"kring/internal/servertest"
	"kring/reqchan"
)

// inProcess is a client of the listener of that name.
func inProcess(t *testing.T, s *kring.Server, listener string) *servertest.Client {
	t.Helper()
	c, err := s.Dial(t.Context(), listener)
	if err != nil {
		t.Fatal(err)
	}
	return servertest.On(t, c)
}

// TestAClientInTheProcessIsServedAsAnyOther: small requests and large ones, beside clients of
// TCP, each end first; it is listed and counted as they are.
func TestAClientInTheProcessIsServedAsAnyOther(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 1<<15) // received straight into its own memory
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		for _, accept := range []kring.Accept{kring.AcceptApart, kring.AcceptPerProcessor} {
			cfg.Processors.Accept, cfg.Processors.Count = accept, 2
			s := servertest.Start(t, cfg, servertest.Echo)
			var clients sync.WaitGroup
			for range 8 {
				c := inProcess(t, s, "")
				clients.Go(func() {
					for _, payload := range []string{"hello", big, strings.Repeat("x", 20_000), "small"} {
						c.Send(payload)
						if got := c.Receive(); got != payload {
							t.Errorf("%d bytes that are not the %d expected", len(got), len(payload))
						}
					}
				})
			}
			servertest.Dial(t, s).Ask("tcp", "tcp")
			clients.Wait()

			conns, err := s.Conns(t.Context())
			if err != nil || len(conns) != 9 {
				t.Errorf("%d connections are listed: %v", len(conns), err)
			}
			inProcess(t, s, "").Close()
			servertest.Eventually(t, "its end is counted", func() bool { return closedBy(s, reqchan.PeerFinished) == 1 })
			last := inProcess(t, s, "")
			last.Ask("there", "there")
			servertest.Shutdown(t, s)
			last.AwaitClose()
			if st := s.Stats(); st.Accepted != 11 {
				t.Errorf("%d connections were accepted, not 11", st.Accepted)
			}
			if _, err := s.Dial(t.Context(), ""); err == nil {
				t.Error("a server that has ended takes a client")
			}
		}
	})
}

// TestLimitsHoldForClientsInTheProcess: but those per address, for they have none.
func TestLimitsHoldForClientsInTheProcess(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		cfg.Conns.PerIPMax, cfg.Conns.WhenFull = 1, kring.WhenFullRefuse
		cfg.Listeners = []kring.ListenerConfig{{Name: "A", Address: "127.0.0.1:0"}, {Name: "B", Address: "127.0.0.1:0", ConnsMax: 2}}
		s := servertest.Start(t, cfg, servertest.Echo)
		for range 2 {
			inProcess(t, s, "B").Ask("in", "in")
		}
		inProcess(t, s, "B").AwaitClose()
		inProcess(t, s, "A").Ask("in", "in")
		if by := s.Stats().RefusedBy(); by["full"] != 1 || len(by) != 1 {
			t.Errorf("refused: %v", by)
		}
		if _, err := s.Dial(t.Context(), "C"); err == nil || !strings.Contains(err.Error(), `"C"`) || !strings.Contains(err.Error(), `"A" "B"`) {
			t.Errorf("a listener that there is not: %v", err)
		}
		ended, end := context.WithCancel(t.Context())
		end()
		if _, err := s.Dial(ended, "A"); !errors.Is(err, context.Canceled) {
			t.Errorf("a context that has ended: %v", err)
		}
	})
}

// TestAClientInTheProcessSpeaksTLSWhereTheListenerDoes on every engine.
func TestAClientInTheProcessSpeaksTLSWhereTheListenerDoes(t *testing.T) {
	server, client := servertest.TLS()
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		s := servertest.Start(t, servertest.Secure(cfg, server), servertest.Echo)
		plain, err := s.Dial(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		servertest.On(t, tls.Client(plain, client)).Ask("secret", "secret")
	})
}

// TestClientsInTheProcessAreLostToNobodyWhileAListenerGoes: each is served, refused in words, or
// closed; none waits for ever.
func TestClientsInTheProcessAreLostToNobodyWhileAListenerGoes(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		cfg.Listeners = []kring.ListenerConfig{{Name: "A", Address: "127.0.0.1:0"}, {Name: "B", Address: "127.0.0.1:0"}}
		s := servertest.Start(t, cfg, servertest.Echo)
		var clients sync.WaitGroup
		for range 4 {
			clients.Go(func() {
				for {
					c, err := s.Dial(t.Context(), "B")
					if err != nil {
						return // it is gone, and says so
					}
					_ = c.SetDeadline(time.Now().Add(servertest.Deadline)) // fails if it was closed already
					if _, err = c.Write(servertest.Frame([]byte("a"))); err == nil {
						_, err = servertest.ReadFrame(c)
					}
					if late, ok := err.(net.Error); ok && late.Timeout() {
						t.Errorf("neither an answer nor a close: %v", err)
					}
					_ = c.Close()
				}
			})
		}
		servertest.Eventually(t, "some were served", func() bool { return s.Stats().Total.Requests > 20 })
		ctx, cancel := context.WithTimeout(t.Context(), servertest.Deadline)
		defer cancel()
		if err := s.RemoveListener(ctx, "B"); err != nil {
			t.Error(err)
		}
		clients.Wait()
		inProcess(t, s, "A").Ask("still", "still")
	})
}
