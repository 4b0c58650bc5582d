package testcerts

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"time"

	"github.com/youmark/pkcs8"
	"software.sslmate.com/src/go-pkcs12"
)

// Cert is a certificate, its key, and what issued it, leaf first.
type Cert struct {
	Leaf  *x509.Certificate
	Key   crypto.Signer
	Chain []*x509.Certificate // without the root
}

// Authority issues certificates.
type Authority struct{ Cert }

// Spec says what a certificate is for.
type Spec struct {
	Subject    pkix.Name
	RawSubject []byte    // instead of Subject
	Hosts      []string  // names and addresses: the certificate is a server's
	Client     bool      // the certificate is a client's
	CA         bool      // the certificate issues others
	RSA        bool      // RSA of 2048 bits, not ECDSA
	From       time.Time // default: an hour ago
	Until      time.Time // default: From and ten years
}

// New makes an authority that vouches for itself.
func New(name string) (*Authority, error) {
	c, err := issue(Spec{Subject: pkix.Name{CommonName: name}, CA: true}, nil)
	if err != nil {
		return nil, err
	}
	return &Authority{*c}, nil
}

// Issue makes a certificate.
func (a *Authority) Issue(s Spec) (*Cert, error) { return issue(s, &a.Cert) }

// Intermediate makes an authority that a vouches for.
func (a *Authority) Intermediate(name string) (*Authority, error) {
	c, err := issue(Spec{Subject: pkix.Name{CommonName: name}, CA: true}, &a.Cert)
	if err != nil {
		return nil, err
	}
	return &Authority{*c}, nil
}

// IssueDER makes a certificate that need not be readable: crypto/x509 refuses some subjects
// that Java takes.
func (a *Authority) IssueDER(s Spec) ([]byte, error) {
	key, err := newKey(s.RSA)
	if err != nil {
		return nil, err
	}
	return s.der(key, &a.Cert)
}

func issue(s Spec, by *Cert) (*Cert, error) {
	key, err := newKey(s.RSA)
	if err != nil {
		return nil, err
	}
	der, err := s.der(key, by)
	if err != nil {
		return nil, fmt.Errorf("a certificate for %s: %w", s.Subject, err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	out := &Cert{Leaf: leaf, Key: key}
	if by != nil {
		out.Chain = append(out.Chain, leaf)
		out.Chain = append(out.Chain, by.Chain...)
	}
	return out, nil
}

// der signs a certificate for key, by itself if by is nil.
func (s Spec) der(key crypto.Signer, by *Cert) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	of := s.template(serial)
	parent, signer := of, key
	if by != nil {
		parent, signer = by.Leaf, by.Key
	}
	return x509.CreateCertificate(rand.Reader, of, parent, key.Public(), signer)
}

func newKey(ofRSA bool) (crypto.Signer, error) {
	if ofRSA {
		return rsa.GenerateKey(rand.Reader, 2048)
	}
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

func (s Spec) template(serial *big.Int) *x509.Certificate {
	if s.From.IsZero() {
		s.From = time.Now().Add(-time.Hour)
	}
	if s.Until.IsZero() {
		s.Until = s.From.AddDate(10, 0, 0)
	}
	t := &x509.Certificate{
		SerialNumber: serial, Subject: s.Subject, RawSubject: s.RawSubject, NotBefore: s.From, NotAfter: s.Until,
		KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true, IsCA: s.CA,
	}
	if s.CA {
		t.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	}
	if s.RSA { // TLS 1.2 without an elliptic curve
		t.KeyUsage |= x509.KeyUsageKeyEncipherment
	}
	for _, h := range s.Hosts {
		if ip := net.ParseIP(h); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, h)
		}
	}
	if len(s.Hosts) > 0 {
		t.ExtKeyUsage = append(t.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	if s.Client {
		t.ExtKeyUsage = append(t.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
	}
	return t
}

// CertPEM is the chain without the root; an authority's is its own certificate.
func (c *Cert) CertPEM() (out []byte) {
	chain := c.Chain
	if len(chain) == 0 {
		chain = []*x509.Certificate{c.Leaf}
	}
	for _, one := range chain {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: one.Raw})...)
	}
	return out
}

// KeyPEM is the key as PKCS#8, encrypted (PBES2) unless password is "".
func (c *Cert) KeyPEM(password string) ([]byte, error) {
	if password == "" {
		der, err := x509.MarshalPKCS8PrivateKey(c.Key)
		return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), err
	}
	der, err := pkcs8.MarshalPrivateKey(c.Key, []byte(password), nil)
	return pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: der}), err
}

// KeyStore is the key and the chain as PKCS#12.
func (c *Cert) KeyStore(password string) ([]byte, error) {
	var issuers []*x509.Certificate
	if len(c.Chain) > 1 {
		issuers = c.Chain[1:]
	}
	return pkcs12.Modern.Encode(c.Key, c.Leaf, issuers, password)
}

// TrustStore is PKCS#12 that trusts certificates, as Java reads it.
func TrustStore(password string, trusted ...*x509.Certificate) ([]byte, error) {
	return pkcs12.Modern.EncodeTrustStore(trusted, password)
}
