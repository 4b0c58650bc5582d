// Package tlstest makes TLS configurations for tests.
//
// Job: a certificate that needs no file.
//
// Flow: Configs gives a server's and a client's configuration, which trust each other.
//
// Ownership: each call gives its own; the certificate is made once for a process.
//
// Never: be used outside of tests.
//
// Kernel: none.
package tlstest

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
	"time"
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

// Configs are configurations of a server with a certificate and of a client that trusts it,
// and has the same one.
func Configs() (server, client *tls.Config) {
	of := identity()
	trust := x509.NewCertPool()
	trust.AddCert(of.Leaf)
	server = &tls.Config{Certificates: []tls.Certificate{of}, ClientCAs: trust}
	client = &tls.Config{RootCAs: trust, ServerName: "localhost", Certificates: []tls.Certificate{of}}
	return server, client
}
