package contract

import (
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
