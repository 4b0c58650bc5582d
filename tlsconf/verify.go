package tlsconf

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
)

// anonymous is the principal without a client certificate, as in Kafka.
const anonymous = "User:ANONYMOUS"

// Principal returns the principal of a connection whose handshake is done: User: and the
// name that the rules make of the certificate's subject, or User:ANONYMOUS without a client
// certificate. An error means that the client is not authenticated.
func (s *Source) Principal(cs *tls.ConnectionState) (string, error) {
	if cs == nil || len(cs.PeerCertificates) == 0 {
		return anonymous, nil
	}
	subject, err := subjectOf(cs.PeerCertificates[0].RawSubject)
	if err != nil {
		return "", err
	}
	name, err := s.rules.name(subject)
	if err != nil {
		return "", err
	}
	return "User:" + name, nil
}

// verify is crypto/tls's last question in each handshake, of st's config. crypto/tls has
// checked the chain of a new session against st's CAs. The chain of a resumed one was
// checked when it began: a CA may have been removed since, and a certificate expired.
// The same holds for a handshake that began before a reload.
func (s *Source) verify(cs *tls.ConnectionState, st *state) error {
	now := s.current.Load()
	if now == nil || now == st && !cs.DidResume {
		now = nil // checked already
	}
	if now != nil {
		if err := now.trusts(cs.PeerCertificates, s); err != nil {
			return err
		}
	}
	_, err := s.Principal(cs) // so that the refusal is an alert, which the client understands
	return err
}

// trusts says whether a chain that a client showed would be accepted today.
func (st *state) trusts(chain []*x509.Certificate, s *Source) error {
	if len(chain) == 0 {
		if st.config.ClientAuth == tls.RequireAndVerifyClientCert {
			return errors.New("the session was begun without a client certificate, and now one is required")
		}
		return nil
	}
	if st.roots == nil {
		return errors.New("the session was begun with a client certificate, and now none is asked for")
	}
	issuers := x509.NewCertPool()
	for _, c := range chain[1:] {
		issuers.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{
		Roots: st.roots, Intermediates: issuers, CurrentTime: s.now(),
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return fmt.Errorf("the client certificate of the session is no longer trusted: %w", err)
	}
	return nil
}
