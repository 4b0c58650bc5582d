package tlsconf

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"

	"software.sslmate.com/src/go-pkcs12"
)

// jksRemedy is for Java's old forms of stores. Kafka reads them; nothing but Java does, and
// their password protects little.
const jksRemedy = "is a JKS or JCEKS store, which only Java reads; convert it by: keytool -importkeystore -srckeystore OLD -destkeystore NEW.p12 -deststoretype PKCS12"

// isJKS looks at the magic number of both.
func isJKS(data []byte) bool {
	return bytes.HasPrefix(data, []byte{0xFE, 0xED, 0xFE, 0xED}) || bytes.HasPrefix(data, []byte{0xCE, 0xCE, 0xCE, 0xCE})
}

// loadKey reads the store's private key and its chain.
func (s Store) loadKey() (tls.Certificate, error) {
	if s.isPEM() {
		return Pair{Cert: Input{File: s.File}, Password: s.KeyPassword}.load()
	}
	var private crypto.PrivateKey
	var chain []*x509.Certificate
	err := s.decode(func(data []byte, password string) error {
		key, leaf, issuers, err := pkcs12.DecodeChain(data, password)
		if err == nil {
			private, chain = key, append([]*x509.Certificate{leaf}, inOrder(leaf, issuers)...)
		}
		return err
	}, "a key store has one private key with its certificate chain; with several, export one by: keytool -importkeystore -srcalias NAME")
	if err != nil {
		return tls.Certificate{}, err
	}
	return pairOf(chain, private, s.File, s.File)
}

// loadTrust reads the certificates that the store trusts.
func (s Store) loadTrust() (certs []*x509.Certificate, err error) {
	if s.isPEM() {
		return readCerts(Input{File: s.File})
	}
	err = s.decode(func(data []byte, password string) error {
		certs, err = pkcs12.DecodeTrustStore(data, password)
		if err == nil && len(certs) == 0 {
			err = errors.New("it trusts no certificate")
		}
		return err
	}, "make a trust store by: keytool -importcert -file ca.pem -keystore NEW.p12 -storetype PKCS12; or give the CA as PEM")
	return certs, err
}

// decode reads the file and gives it to parse.
func (s Store) decode(parse func(data []byte, password string) error, remedy string) (err error) {
	data, err := readFile(s.File)
	if err != nil {
		return err
	}
	if isJKS(data) {
		return fmt.Errorf("%s: %s", s.File, jksRemedy)
	}
	password, err := s.Password.password()
	if err != nil {
		return fmt.Errorf("%s: its password: %w", s.File, err)
	}
	// What the library's parsers don't expect must not end a process that rereads a file.
	defer func() {
		if recover() != nil {
			err = fmt.Errorf("%s: is damaged; write the file again", s.File)
		}
	}()
	err = parse(data, password)
	if errors.Is(err, pkcs12.ErrIncorrectPassword) {
		return fmt.Errorf("%s: the password (%s) is wrong; give the one that the store was made with", s.File, passwordName(s.Password))
	}
	if err != nil {
		return fmt.Errorf("%s: %w; %s", s.File, err, remedy)
	}
	return nil
}

func passwordName(p Input) string {
	if !p.set() {
		return "none was given"
	}
	return p.name()
}

// inOrder sorts issuers so that each issued the one before: Java keeps that order, others
// write theirs. What does not belong to the chain follows.
func inOrder(leaf *x509.Certificate, issuers []*x509.Certificate) (chain []*x509.Certificate) {
	rest := append([]*x509.Certificate(nil), issuers...)
	for last := leaf; ; {
		next := -1
		for i, c := range rest {
			if bytes.Equal(last.RawIssuer, c.RawSubject) && last.CheckSignatureFrom(c) == nil {
				next = i
				break
			}
		}
		if next < 0 {
			return append(chain, rest...)
		}
		last = rest[next]
		chain = append(chain, last)
		rest = append(rest[:next], rest[next+1:]...)
	}
}
