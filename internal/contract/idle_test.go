package contract

import (
	"net"
	"testing"
	"time"

	"kring"
	"kring/internal/servertest"
	"kring/reqchan"
)

const idle = 25 * time.Millisecond

// dialBusy connects and sends until a request of it is served: on a slow machine
// a connection may expire before it has said anything. All payloads come at once.
func dialBusy(t *testing.T, s *kring.Server, payloads ...string) *servertest.Client {
	t.Helper()
	var frames []byte
	for _, p := range payloads {
		frames = append(frames, servertest.Frame([]byte(p))...)
	}
	for {
		served, expired := s.Stats().Total.Requests, closedBy(s, reqchan.IdleExpired)
		c := servertest.Dial(t, s)
		_, _ = c.Write(frames) // fails if it has expired
		servertest.Eventually(t, "it is served, or expired", func() bool {
			return s.Stats().Total.Requests > served || closedBy(s, reqchan.IdleExpired) > expired
		})
		if s.Stats().Total.Requests > served {
			return c
		}
	}
}

// Kafka: SS-12, SE-16, SE-17, Q-8.
func TestIdleConnectionsAreClosedInBulkAndBusyOnesAreNot(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		cfg.Timeouts.Idle = idle
		g := newGated()
		s := servertest.Start(t, cfg, g)
		busy := dialBusy(t, s, "slow", "buffered")
		r, before := <-g.held, closedBy(s, reqchan.IdleExpired)
		var silent []*servertest.Client
		for i := range 50 {
			c := servertest.Dial(t, s)
			if i%2 == 0 { // the others never say anything
				_, _ = c.Write(servertest.Frame([]byte("now")))
			}
			silent = append(silent, c)
		}
		for _, c := range silent {
			for end := false; !end; {
				_, err := c.Read(make([]byte, 100))
				end = err != nil
			}
		}
		servertest.Eventually(t, "all are counted", func() bool { return closedBy(s, reqchan.IdleExpired) == before+50 })
		r.Respond([]byte("late"))
		if got := busy.Receive(); got != "late" {
			t.Errorf("answer %q", got)
		}
		(<-g.held).Respond([]byte("later"))
		if got := busy.Receive(); got != "later" {
			t.Errorf("answer %q", got)
		}
		busy.AwaitClose()
	})
}

// Kafka: SE-22.
func TestAConnectionDoesNotExpireWhileItsDataIsUsed(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		cfg.Timeouts.Idle = idle
		s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) {
			time.AfterFunc(2*idle/3, func() { r.Respond(r.Payload()) })
		}))
		c := dialBusy(t, s, "one", "two", "six")
		before := closedBy(s, reqchan.IdleExpired)
		for _, want := range []string{"one", "two", "six"} {
			if got := c.Receive(); got != want {
				t.Errorf("answer %q, want %q", got, want)
			}
		}
		c.AwaitClose()
		servertest.Eventually(t, "it expired", func() bool { return closedBy(s, reqchan.IdleExpired) > before })
	})
}

// scarce has memory for one request of largeBytes.
func scarce(cfg kring.Config) kring.Config {
	cfg.Processors.Count, cfg.Limits.FrameBytesMax = 1, 256<<10
	cfg.Memory.RequestBytesMax = 256<<10 + 192<<10 + 4096
	return cfg
}

const largeBytes = 240 << 10

// Kafka: SS-49, SE-20, SE-21.
func TestWhatIsHeldDoesNotKeepAMutedConnectionAlive(t *testing.T) {
	for name, end := range map[string]func(*servertest.Client){
		"open":               func(*servertest.Client) {},
		"closed by the peer": func(c *servertest.Client) { _ = c.Conn.(*net.TCPConn).CloseWrite() },
	} {
		t.Run(name, func(t *testing.T) {
			servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
				cfg = scarce(cfg)
				cfg.Timeouts.Idle = idle
				g := newGated()
				s := servertest.Start(t, cfg, g)
				large := servertest.Frame(make([]byte, largeBytes))
				first := dialBusy(t, s, string(large[reqchan.SizeBytes:]))
				r := <-g.held
				for s.Stats().Total.Waits == 0 {
					before := closedBy(s, reqchan.IdleExpired)
					second := servertest.Dial(t, s)
					go func() { // until the server has it, or is done with it
						_, _ = second.Write(large)
						end(second)
					}()
					servertest.Eventually(t, "it expired", func() bool { return closedBy(s, reqchan.IdleExpired) > before })
				}
				r.Respond([]byte("done"))
				if got := first.Receive(); got != "done" {
					t.Errorf("answer %q", got)
				}
				if n := s.Stats().Total.Requests; n != 1 {
					t.Errorf("%d requests delivered: one after its connection expired", n)
				}
			})
		})
	}
}

// Kafka: SE-25.
func TestWhoFindsNoMemoryIsServedOnceThereIsSome(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		g := newGated()
		s := servertest.Start(t, scarce(cfg), g)
		clients := []*servertest.Client{servertest.Dial(t, s), servertest.Dial(t, s)}
		for _, c := range clients {
			go func() { _, _ = c.Write(servertest.Frame(make([]byte, largeBytes))) }()
		}
		r := <-g.held
		servertest.Eventually(t, "the other waits", func() bool { return s.Stats().Total.Waits > 0 })
		if len(g.held) > 0 {
			t.Error("both have memory")
		}
		r.Respond([]byte("done"))
		(<-g.held).Respond([]byte("done"))
		for _, c := range clients {
			if got := c.Receive(); got != "done" {
				t.Errorf("answer %q", got)
			}
		}
	})
}

// TestMalformedRequestsGiveTheirMemoryBack sends many times the memory there is.
//
// Kafka: Q-2.
func TestMalformedRequestsGiveTheirMemoryBack(t *testing.T) {
	for name, h := range handlers(t, nil) {
		t.Run(name, func(t *testing.T) {
			servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
				s := servertest.Start(t, scarce(cfg), h())
				for range 5 {
					c := servertest.Dial(t, s)
					go func() { // the server closes before it has read all, or after
						_, _ = c.Write(servertest.Frame(make([]byte, largeBytes))) // Produce version 0, and then nonsense
					}()
					if _, err := c.Read(make([]byte, 1)); err == nil {
						t.Fatal("nonsense was answered")
					}
				}
				servertest.Eventually(t, "all are counted", func() bool {
					return closedBy(s, reqchan.BodyMalformed)+closedBy(s, reqchan.UnsupportedVersion) == 5
				})
			})
		})
	}
}
