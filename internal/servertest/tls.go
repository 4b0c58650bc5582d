package servertest

import (
	"crypto/tls"
	"testing"

	"kring"
	"kring/internal/tlstest"
)

// TLS are configurations of a server with a certificate and of a client that trusts it,
// and has the same one.
func TLS() (server, client *tls.Config) { return tlstest.Configs() }

// Secure has the first listener of cfg speak TLS.
func Secure(cfg kring.Config, server *tls.Config) kring.Config {
	l := cfg.Listeners[0]
	l.TLS = &kring.TLSConfig{Config: func() *tls.Config { return server }}
	cfg.Listeners = []kring.ListenerConfig{l}
	return cfg
}

// DialTLS connects to the first listener of s, for the length of the test.
func DialTLS(t testing.TB, s *kring.Server, client *tls.Config) *Client {
	t.Helper()
	c := Dial(t, s)
	return &Client{tls.Client(c.Conn, client), t}
}
