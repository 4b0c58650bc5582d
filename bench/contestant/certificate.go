package contestant

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// certificate is what every server of the comparison shows.
func (s *Site) certificate() (cert, key string, err error) { return Certificate(s.dir) }

// Certificate gives two PEM files in dir, a certificate that signs itself and its key, ECDSA on
// P-256. They are made where they are not there.
func Certificate(dir string) (cert, key string, err error) {
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	if _, err := os.Stat(cert); err == nil {
		return cert, key, nil
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", fmt.Errorf("contestant: making a key: %w", err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(7 * 24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, private.Public(), private)
	if err != nil {
		return "", "", fmt.Errorf("contestant: making a certificate: %w", err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return "", "", fmt.Errorf("contestant: making a certificate: %w", err)
	}
	// The certificate comes last: it stands for both.
	for _, f := range []struct {
		name, kind string
		der        []byte
	}{{key, "PRIVATE KEY", pkcs8}, {cert, "CERTIFICATE", der}} {
		if err := os.WriteFile(f.name, pem.EncodeToMemory(&pem.Block{Type: f.kind, Bytes: f.der}), 0o600); err != nil {
			return "", "", fmt.Errorf("contestant: %w", err)
		}
	}
	return cert, key, nil
}

// tls is the configuration of a server in Go; nil: plaintext. Records are as large as they may
// be from the first on, as 'kring serve' has them: Go's own choice sends a connection's first
// 128 KiB, and what follows a second's pause, in records of a packet.
func (c *ServeConfig) tls() (*tls.Config, error) {
	if c.TLSCert == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey)
	if err != nil {
		return nil, fmt.Errorf("contestant: --tls-cert %s: %w", c.TLSCert, err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, DynamicRecordSizingDisabled: true}, nil
}
