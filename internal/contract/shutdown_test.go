package contract

import (
	"testing"

	"kring"
	"kring/internal/servertest"
)

// Shutdown closes the listening sockets and every client's, whether it was idle,
// in the middle of a frame or had never sent anything.
//
// Kafka: SS-18, F-72.
func TestShutdownClosesEverySocket(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		cfg.Listeners = append(cfg.Listeners, kring.ListenerConfig{Name: "OTHER", Address: "127.0.0.1:0"})
		s := servertest.Start(t, cfg, servertest.Echo)
		var clients []*servertest.Client
		for _, a := range s.Addrs() {
			silent, idle, halfway := servertest.DialTo(t, a.String()), servertest.DialTo(t, a.String()), servertest.DialTo(t, a.String())
			idle.Ask("hello", "hello")
			if _, err := halfway.Write([]byte{0, 0, 1, 0, 'x'}); err != nil {
				t.Fatal(err)
			}
			clients = append(clients, silent, idle, halfway)
		}
		addrs := s.Addrs()
		servertest.Shutdown(t, s)
		for _, c := range clients {
			c.AwaitClose()
		}
		for _, a := range addrs {
			if !refused(a.String()) {
				t.Errorf("%s is still open", a)
			}
		}
	})
}
