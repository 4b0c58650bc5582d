package contract

import (
	"fmt"
	"testing"
	"time"

	"kring"
	"kring/internal/servertest"
	"kring/reqchan"
)

// A client that nobody vouches for is closed when its time is over, whatever it sends; not
// while it is owed an answer, and nobody else is.
//
// Apache Kafka has no such deadline.
func TestAStrangerHasADeadline(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		for _, secure := range []bool{false, true} {
			server, client := servertest.TLS()
			dial := servertest.Dial
			if secure {
				cfg = servertest.Secure(cfg, server)
				dial = func(t testing.TB, s *kring.Server) *servertest.Client { return servertest.DialTLS(t, s, client) }
			}
			cfg.Limits.FrameBytesMaxUnauthenticated, cfg.Timeouts.Authentication = 1000, time.Hour
			owed := make(chan kring.Request, 1)
			s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) {
				switch string(r.Payload()) {
				case "login":
					r.Conn().SetAuthenticated(true)
				case "owe":
					owed <- r
					return
				}
				r.Respond(r.Payload())
			}))
			good, silent, busy, waiting := dial(t, s), dial(t, s), dial(t, s), dial(t, s)
			good.Ask("login", "login")
			silent.Ask("once", "once")
			busy.Ask("once", "once")
			waiting.Send("owe")
			r := <-owed
			cfg.Timeouts.Authentication = time.Millisecond
			reconfigure(t, s, cfg)
			for {
				if _, err := busy.Write(servertest.Frame([]byte("more"))); err != nil {
					break
				}
				if _, err := servertest.ReadFrame(busy); err != nil {
					break
				}
			}
			closedFor(t, s, reqchan.AuthenticationTimeout, 2)
			r.Respond([]byte("late"))
			if got := waiting.Receive(); got != "late" {
				t.Errorf("who was owed an answer got %q", got)
			}
			closedFor(t, s, reqchan.AuthenticationTimeout, 3)
			good.Ask("still here", "still here")
		}
	})
}

// TestAThrottledStrangerHasTheTimeThatItHadBefore: the throttle is the server's wait. On a machine
// that is busy the rest of its time may pass, so it has more in another try.
func TestAThrottledStrangerHasTheTimeThatItHadBefore(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		for limit := 200 * time.Millisecond; ; limit *= 3 {
			began := time.Now()
			err := throttledLogin(t, cfg, limit)
			if err == nil {
				if took := time.Since(began); took < limit {
					t.Errorf("it was throttled for less than its time: %v", took)
				}
				return
			}
			if limit > 2*time.Second {
				t.Fatalf("with %v to authenticate: %v", limit, err)
			}
		}
	})
}

// throttledLogin uses some of the time that a stranger has, is throttled for nearly as long as
// all of it, and logs in.
func throttledLogin(t *testing.T, cfg kring.Config, limit time.Duration) error {
	cfg.Limits.FrameBytesMaxUnauthenticated, cfg.Timeouts.Authentication = 1000, limit
	cfg.Limits.ThrottleMax = limit - limit/16
	s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) {
		switch string(r.Payload()) {
		case "login":
			r.Conn().SetAuthenticated(true)
		case "throttle":
			r.Throttle(long)
		}
		r.Respond(r.Payload())
	}))
	defer servertest.Shutdown(t, s)
	began := time.Now()
	c := servertest.Dial(t, s)
	ask := func(payload string) error {
		if _, err := c.Write(servertest.Frame([]byte(payload))); err != nil {
			return err
		}
		_, err := servertest.ReadFrame(c)
		return err
	}
	for time.Since(began) < limit*3/10 {
		if err := ask("more"); err != nil {
			return err
		}
	}
	for _, payload := range []string{"throttle", "login"} {
		if err := ask(payload); err != nil {
			return fmt.Errorf("%s, %v after its accept: %w", payload, time.Since(began), err)
		}
	}
	return nil
}
