package contract

import (
	"crypto/tls"
	"fmt"
	"testing"
	"time"

	"kring"
	"kring/internal/servertest"
	"kring/reqchan"
)

// TestAHandshakeThatWaitsForItsTurnKeepsItsTime: turns to compute are the server's. On a machine
// that is busy the rest of its time may pass, so it has more in another try.
func TestAHandshakeThatWaitsForItsTurnKeepsItsTime(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		for limit := 200 * time.Millisecond; ; limit *= 3 {
			err := waitForTurn(t, cfg, limit)
			if err == nil {
				return
			}
			if limit > 2*time.Second {
				t.Fatalf("with %v for a handshake: %v", limit, err)
			}
		}
	})
}

// waitForTurn has one handshake compute until another, which waits for its turn, and then a third
// client, which sends nothing, have had their time, and says whether the two come to their end.
func waitForTurn(t *testing.T, cfg kring.Config, limit time.Duration) error {
	server, client := servertest.TLS()
	computes, ends := make(chan bool, 2), make(chan bool)
	l := cfg.Listeners[0]
	l.TLS = &kring.TLSConfig{HandshakesMax: 1, HandshakeTimeout: limit, Config: func() *tls.Config {
		computes <- true
		<-ends
		return server
	}}
	cfg.Listeners = []kring.ListenerConfig{l}
	s := servertest.Start(t, cfg, servertest.Echo)
	defer servertest.Shutdown(t, s)
	over := make(chan error, 2)
	begin := func(n int) {
		c := servertest.Dial(t, s)
		go func() { over <- tls.Client(c.Conn, client).Handshake() }()
		servertest.Eventually(t, "its handshake has begun", func() bool {
			shakes := s.Stats().Handshakes
			return len(shakes) == 1 && shakes[0].Begun == uint64(n)
		})
	}
	begin(1)
	<-computes
	begin(2)
	silent := servertest.Dial(t, s)
	silent.AwaitClose()
	servertest.Eventually(t, "its close is counted", func() bool { return closedBy(s, reqchan.HandshakeTimeout) > 0 })
	cut := closedBy(s, reqchan.HandshakeTimeout)
	close(ends)
	if a, b := <-over, <-over; a != nil || b != nil || cut != 1 {
		return fmt.Errorf("%d were closed for their time, and of those that computed and waited: %v, %v", cut, a, b)
	}
	return nil
}
