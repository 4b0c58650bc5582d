//go:build unix

package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"kring/internal/testcerts"
	"kring/sasl"
)

// secureChild is a kring with listeners of both kinds that are encrypted, and the user alice.
type secureChild struct {
	*child
	ssl, saslSSL string // addresses
	trust        *tls.Config
}

func serveSecurely(t *testing.T, engine string) *secureChild {
	t.Helper()
	path, ca := certDir(t)
	users := filepath.Join(t.TempDir(), "users")
	err := sasl.EditUsers(users, func(l *sasl.UserList) error {
		u, err := l.Add("alice")
		if err != nil {
			return err
		}
		return u.SetPassword([]byte("alice's"), []string{sasl.SCRAMSHA256, sasl.SCRAMSHA512}, sasl.SCRAMIterationsMin)
	})
	if err != nil {
		t.Fatal(err)
	}
	c := serve(t, "--engine", engine, "--listen", "SSL://127.0.0.1:0", "--listen", "SASL_SSL://127.0.0.1:0",
		"--tls-cert", path("one.pem"), "--tls-key", path("one.key"), "--sasl", "SCRAM-SHA-256,SCRAM-SHA-512", "--users", users, "--log-level", "debug")
	all := strings.Split(strings.Split(strings.TrimPrefix(c.ready, "kring: ready on "), " · ")[0], ", ")
	if len(all) != 3 {
		t.Fatalf("ready line %q: not three addresses", c.ready)
	}
	return &secureChild{child: c, ssl: all[1], saslSSL: all[2], trust: trusting(ca)}
}

func trusting(ca *testcerts.Authority) *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(ca.Leaf)
	return &tls.Config{RootCAs: roots}
}

// ping asks the server something, without trying again.
func ping(t *testing.T, addr string, opts ...kgo.Opt) error {
	t.Helper()
	cl, err := kgo.NewClient(append(opts, kgo.SeedBrokers(addr), kgo.RequestRetries(0))...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	return cl.Ping(ctx)
}

// TestAnSSLListenerServesClientsOverTLSAndNobodyElse: records go through it, over the
// version and with the certificate that were meant, and who does not encrypt, or trusts
// another CA, is not served.
func TestAnSSLListenerServesClientsOverTLSAndNobodyElse(t *testing.T) {
	for _, engine := range enginesHere() {
		t.Run(engine, func(t *testing.T) {
			c := serveSecurely(t, engine)
			produceAndConsume(t, c.ssl, kgo.DialTLSConfig(c.trust))
			conn, err := tls.Dial("tcp", c.ssl, c.trust)
			if err != nil {
				t.Fatal(err)
			}
			if s := conn.ConnectionState(); s.Version != tls.VersionTLS13 || s.PeerCertificates[0].Subject.CommonName != "one" {
				t.Errorf("%s with the certificate of %v", tls.VersionName(s.Version), s.PeerCertificates[0].Subject)
			}
			_ = conn.Close()
			if err := ping(t, c.ssl); err == nil {
				t.Error("a client in plain text is served")
			}
			c.logged(`msg="connection closed" .* listener=SSL .* reason=plaintext_on_tls`)
			_, stranger := certDir(t)
			var untrusted *tls.CertificateVerificationError
			if err := ping(t, c.ssl, kgo.DialTLSConfig(trusting(stranger))); !errors.As(err, &untrusted) {
				t.Errorf("a client that trusts another CA: %v", err)
			}
			c.signal(syscall.SIGTERM)
			if status := c.exit(); status != exitOK {
				t.Errorf("exit status %d, want 0", status)
			}
		})
	}
}

// TestASASLSSLListenerServesUsersOverTLSAndNobodyElse: records go through it by both
// mechanisms of SCRAM, and who has a wrong password or none is not served.
func TestASASLSSLListenerServesUsersOverTLSAndNobodyElse(t *testing.T) {
	for _, engine := range enginesHere() {
		t.Run(engine, func(t *testing.T) {
			c := serveSecurely(t, engine)
			encrypted := kgo.DialTLSConfig(c.trust)
			good, bad := scram.Auth{User: "alice", Pass: "alice's"}, scram.Auth{User: "alice", Pass: "another's"}
			produceAndConsume(t, c.saslSSL, encrypted, kgo.SASL(good.AsSha512Mechanism()))
			if err := ping(t, c.saslSSL, encrypted, kgo.SASL(good.AsSha256Mechanism())); err != nil {
				t.Errorf("SCRAM-SHA-256: %v", err)
			}
			if err := ping(t, c.saslSSL, encrypted, kgo.SASL(bad.AsSha512Mechanism())); !errors.Is(err, kerr.SaslAuthenticationFailed) {
				t.Errorf("a wrong password: %v", err)
			}
			c.logged(`msg="connection closed" .* listener=SASL_SSL .* reason=authentication_failed`)
			if err := ping(t, c.saslSSL, encrypted); err == nil {
				t.Error("a client without SASL is served")
			}
			c.logged(`msg="connection closed" .* listener=SASL_SSL .* reason=not_authenticated`)
			if err := ping(t, c.saslSSL, kgo.SASL(good.AsSha512Mechanism())); err == nil {
				t.Error("a client in plain text is served")
			}
			c.logged(`msg="connection closed" .* listener=SASL_SSL .* reason=plaintext_on_tls`)
			c.signal(syscall.SIGTERM)
			if status := c.exit(); status != exitOK {
				t.Errorf("exit status %d, want 0", status)
			}
		})
	}
}

// TestALPNIsWhatTheSettingsSay: a listener without the setting ignores what a client offers,
// as Kafka does; one with it agrees, refuses who offers others, and serves who offers none.
func TestALPNIsWhatTheSettingsSay(t *testing.T) {
	path, ca := certDir(t)
	file := path("server.properties")
	writeFile(t, file, []byte("listeners=SSL://127.0.0.1:0,NAMED://127.0.0.1:0\nlistener.security.protocol.map=SSL:SSL,NAMED:SSL\n"+
		"ssl.keystore.certificate.chain="+filepath.ToSlash(path("one.pem"))+"\nssl.keystore.key="+filepath.ToSlash(path("one.key"))+"\n"+
		"listener.name.named.kring.tls-alpn=kafka,second\n"))
	for _, engine := range enginesHere() {
		t.Run(engine, func(t *testing.T) {
			c := start(t, "serve", "--engine", engine, "--config", file, "--log-level", "debug")
			c.awaitReady()
			all := strings.Split(strings.Split(strings.TrimPrefix(c.ready, "kring: ready on "), " · ")[0], ", ")
			if len(all) != 2 {
				t.Fatalf("ready line %q: not two addresses", c.ready)
			}
			for _, one := range []struct {
				at      string
				offered []string
				want    string
			}{
				{all[0], []string{"kafka"}, ""}, {all[0], nil, ""}, {all[1], nil, ""},
				{all[1], []string{"h2", "second", "kafka"}, "kafka"},
			} {
				offers := trusting(ca)
				offers.NextProtos = one.offered
				conn, err := tls.Dial("tcp", one.at, offers)
				if err != nil {
					t.Fatal(err)
				}
				if is := conn.ConnectionState().NegotiatedProtocol; is != one.want {
					t.Errorf("%q: agreed to %q, want %q", one.offered, is, one.want)
				}
				_ = conn.Close()
			}
			if err := ping(t, all[1], kgo.DialTLSConfig(trusting(ca))); err != nil {
				t.Errorf("a client that offers nothing: %v", err)
			}
			others := trusting(ca)
			others.NextProtos = []string{"h2"}
			if err := ping(t, all[1], kgo.DialTLSConfig(others)); err == nil || !strings.Contains(err.Error(), "no application protocol") {
				t.Errorf("a client that offers others: %v", err)
			}
			c.logged(`msg="connection closed" .* listener=NAMED .* reason=tls_handshake_failed`)
		})
	}
}
