package load

import (
	"crypto/tls"
	"fmt"
	"net"
	"time"
)

// Handshakes says what a connection is made anew for, if it is for each request.
type Handshakes string

// The kinds of handshake: every one whole, or resumed by the session of the one before.
const (
	FullHandshakes    Handshakes = "full"
	ResumedHandshakes Handshakes = "resumed"
)

// clientTLS is what connections are made with. It trusts whom it meets: it is the speed of
// a server that is measured, by who started it. CertificateVerify is checked all the same.
func (c *Config) clientTLS() *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, DynamicRecordSizingDisabled: true}
}

// dialTLS is a connection of those that ask a few times, by crypto/tls where c says so.
func (c *Config) dialTLS(d *net.Dialer, server string) (net.Conn, error) {
	conn, err := d.Dial("tcp", server)
	if err != nil || !c.TLS {
		return conn, err
	}
	return shake(conn, c.clientTLS())
}

// shake runs the handshake of a client on conn.
func shake(conn net.Conn, with *tls.Config) (*tls.Conn, error) {
	t := tls.Client(conn, with)
	_ = conn.SetDeadline(time.Now().Add(probeTimeout))
	if err := t.Handshake(); err != nil {
		conn.Close()
		return nil, fmt.Errorf("load: the TLS handshake with %v: %w", conn.RemoteAddr(), err)
	}
	return t, conn.SetDeadline(time.Time{})
}
