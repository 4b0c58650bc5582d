package servertest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"kring"
)

// identity is a certificate for localhost that signs itself, made once.
var identity = sync.OnceValue(func() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
})

// TLS are configurations of a server with a certificate and of a client that trusts it,
// and has the same one.
func TLS() (server, client *tls.Config) {
	of := identity()
	trust := x509.NewCertPool()
	trust.AddCert(of.Leaf)
	server = &tls.Config{Certificates: []tls.Certificate{of}, ClientCAs: trust}
	client = &tls.Config{RootCAs: trust, ServerName: "localhost", Certificates: []tls.Certificate{of}}
	return server, client
}

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
