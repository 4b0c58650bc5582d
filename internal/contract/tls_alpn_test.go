package contract

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"strings"
	"testing"

	"kring"
	"kring/internal/servertest"
	"kring/reqchan"
)

// agreed answers with the protocol that ALPN came to.
var agreed = kring.HandlerFunc(func(r kring.Request) { r.Respond([]byte("agreed: " + r.Conn().TLS().NegotiatedProtocol)) })

// TestALPNIsAgreedToIgnoredOrRefused: a listener that names protocols takes the first of its
// own that the client offers, and refuses who offers only others by an alert. One that names
// none ignores what is offered, as Kafka does. Who offers nothing is served by both.
func TestALPNIsAgreedToIgnoredOrRefused(t *testing.T) {
	eachTLS(t, func(t *testing.T, cfg kring.Config, server, client *tls.Config) {
		for _, c := range []struct {
			listener, offered []string
			want              string
			refused           bool
		}{
			{nil, nil, "", false},
			{nil, []string{"kafka"}, "", false},
			{[]string{"kafka", "second"}, nil, "", false},
			{[]string{"kafka", "second"}, []string{"h2", "second", "kafka"}, "kafka", false},
			{[]string{"kafka", "second"}, []string{"second"}, "second", false},
			{[]string{"kafka", "second"}, []string{"h2", "Kafka"}, "", true},
		} {
			server, client := server.Clone(), client.Clone()
			server.NextProtos, client.NextProtos = c.listener, c.offered
			s := servertest.Start(t, servertest.Secure(cfg, server), agreed)
			in := servertest.DialTLS(t, s, client)
			if !c.refused {
				in.Ask("what", "agreed: "+c.want)
				if is := in.Conn.(*tls.Conn).ConnectionState().NegotiatedProtocol; is != c.want {
					t.Errorf("%q to %q: the client has %q", c.offered, c.listener, is)
				}
				continue
			}
			if err := in.Conn.(*tls.Conn).Handshake(); err == nil || !strings.Contains(err.Error(), "remote error: tls: no application protocol") {
				t.Errorf("%q to %q: %v", c.offered, c.listener, err)
			}
			_ = in.Close() // until then it is given time to read why
			closedFor(t, s, reqchan.HandshakeFailed, 1)
		}
	})
}

// TestWhatIsKeptOfARefusedClientIsShort: a connection that ended is remembered with why, and
// that has neither all the protocols that the client offered nor its certificates.
func TestWhatIsKeptOfARefusedClientIsShort(t *testing.T) {
	eachTLS(t, func(t *testing.T, cfg kring.Config, server, client *tls.Config) {
		detail := make(chan error, 2)
		cfg.Events.ConnClosed = func(c *kring.Conn, _ kring.CloseReason) { detail <- c.EndDetail() }
		refusal := func(server, client *tls.Config, says string) {
			s := servertest.Start(t, servertest.Secure(cfg, server), servertest.Echo)
			c := servertest.DialTLS(t, s, client)
			_, _ = c.Write(servertest.Frame([]byte("a client of TLS 1.3 is done by now")))
			_, _ = io.ReadAll(c)
			_ = c.Close() // until then it is given time to read why
			closedFor(t, s, reqchan.HandshakeFailed, 1)
			var whole *tls.CertificateVerificationError
			if err := <-detail; err == nil || !strings.Contains(err.Error(), says) || len(err.Error()) > 512 || errors.As(err, &whole) {
				t.Errorf("want %q: %T of %d bytes, %.2000v", says, err, len(err.Error()), err)
			}
		}
		talkative, choosy := client.Clone(), server.Clone()
		for range 100 {
			talkative.NextProtos = append(talkative.NextProtos, strings.Repeat("\x01", 250))
		}
		choosy.NextProtos = []string{"kafka"}
		refusal(choosy, talkative, "unsupported application protocols")

		strict, stranger := server.Clone(), client.Clone()
		strict.ClientAuth, strict.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
		stranger.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &client.Certificates[0], nil }
		refusal(strict, stranger, "x509: certificate signed by unknown authority")
	})
}
