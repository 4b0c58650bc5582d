package tlsconf

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Source is a server's TLS configuration, as the files had it when they were last read.
// Make one for each listener: each has session ticket keys of its own, so no listener
// resumes what another has authenticated.
type Source struct {
	files Files
	rules *rules
	now   func() time.Time

	mu      sync.Mutex // one reload or rotation at a time
	current atomic.Pointer[state]
	tickets tickets // under mu, but for its due
}

// state is what one reading of the files gave. It does not change, but for the ticket keys
// in its config.
type state struct {
	config   *tls.Config
	roots    *x509.CertPool // nil: no client certificates
	trust    [sha256.Size]byte
	leaves   []leaf
	warnings []string
}

// leaf is a server certificate and the file that it is from.
type leaf struct {
	from string
	cert *x509.Certificate
}

// Load reads all files and checks them together: keys fit their certificates, chains and
// stores can be read, settings have a meaning. The error joins every fault and names the
// file or the field of each.
func Load(f Files) (*Source, error) { return load(f, time.Now) }

func load(f Files, now func() time.Time) (*Source, error) {
	rules, err := parseRules(f.PrincipalRules)
	if err != nil {
		err = fmt.Errorf("PrincipalRules: %w", err)
	}
	s := &Source{files: f, rules: rules, now: now, tickets: newTickets(f.TicketRotation)}
	commit, readErr := s.Prepare()
	if err = errors.Join(err, readErr); err != nil {
		return nil, err
	}
	commit()
	return s, nil
}

// Config returns the configuration for the next connection. It is cheap enough to be
// called for each, and replaces the key of session tickets when that is due.
func (s *Source) Config() *tls.Config {
	if s.tickets.isDue(s.now()) {
		s.rotate()
	}
	return s.current.Load().config
}

// Reload reads all files again. New connections get what they hold; those that stand
// keep what they have. If a file is bad, everything stays as it was, and the error names
// each file that is. If the trusted CAs are others than before, no session from before is
// resumed.
func (s *Source) Reload() error {
	commit, err := s.Prepare()
	if err != nil {
		return err
	}
	commit()
	return nil
}

// Prepare is the first half of Reload, which reads and checks; commit is the second, which
// replaces. It is for several Sources that have to be replaced together or not at all.
// Not calling commit leaves everything as it is.
func (s *Source) Prepare() (commit func(), err error) {
	next, err := s.read()
	if err != nil {
		return nil, err
	}
	return func() { s.replace(next) }, nil
}

// replace makes next the current state.
func (s *Source) replace(next *state) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if was := s.current.Load(); was == nil || was.trust != next.trust {
		s.tickets.forget()
	}
	s.tickets.apply(next.config, s.now())
	s.current.Store(next)
}

// rotate replaces the ticket key of the current config, which crypto/tls allows while the
// config is in use.
func (s *Source) rotate() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tickets.isDue(s.now()) {
		s.tickets.rotate()
		s.tickets.apply(s.current.Load().config, s.now())
	}
}

// Warnings says what will fail soon or fails for some clients, though the files can be
// used: certificates that have expired, are not valid yet or end within 30 days, and chains
// that are not in order.
func (s *Source) Warnings() []string {
	st, now := s.current.Load(), s.now()
	out := slices.Clone(st.warnings)
	for _, l := range st.leaves {
		if text := l.warning(now); text != "" {
			out = append(out, l.from+": "+text)
		}
	}
	return out
}

// read makes a state of the files as they are now.
func (s *Source) read() (*state, error) {
	st := &state{config: &tls.Config{}}
	err := errors.Join(s.readOwn(st), s.readTrust(st), s.files.limit(st.config), checkALPN(s.files.ALPN))
	if err != nil {
		return nil, err
	}
	st.config.NextProtos = slices.Clone(s.files.ALPN)
	st.config.SessionTicketsDisabled = s.files.TicketRotation < 0
	st.config.VerifyConnection = func(cs tls.ConnectionState) error { return s.verify(&cs, st) }
	return st, nil
}

// readOwn reads the server's certificates.
func (s *Source) readOwn(st *state) error {
	var faults []error
	take := func(from string, c tls.Certificate, err error) {
		if err != nil {
			faults = append(faults, err)
			return
		}
		st.config.Certificates = append(st.config.Certificates, c)
		st.leaves = append(st.leaves, leaf{from, c.Leaf})
		if text := chainWarning(c); text != "" {
			st.warnings = append(st.warnings, from+": "+text)
		}
	}
	for _, p := range s.files.Certificates {
		c, err := p.load()
		take(p.Cert.name(), c, err)
	}
	if k := s.files.KeyStore; k.File != "" {
		c, err := k.loadKey()
		take(k.File, c, err)
	}
	if len(faults) == 0 && len(st.leaves) == 0 {
		return errors.New("Certificates and KeyStore are not set: a TLS server needs a certificate and its key; give either")
	}
	return errors.Join(faults...)
}

// readTrust reads the CAs of clients, and how clients are asked.
func (s *Source) readTrust(st *state) error {
	f := &s.files
	mode, fault := f.ClientAuth.mode()
	st.config.ClientAuth = mode
	var certs []*x509.Certificate
	var caErr, storeErr error
	if f.ClientCA.set() {
		certs, caErr = readCerts(f.ClientCA)
	}
	if f.TrustStore.File != "" {
		var more []*x509.Certificate
		more, storeErr = f.TrustStore.loadTrust()
		certs = append(certs, more...)
	}
	if err := errors.Join(fault, caErr, storeErr); err != nil {
		return err
	}
	st.trust = trustOf(f.ClientAuth, certs)
	if mode == tls.NoClientCert {
		return nil
	}
	if len(certs) == 0 {
		return fmt.Errorf("ClientAuth is %s, and neither ClientCA nor TrustStore says whose certificates are trusted; give the CA that issues them", f.ClientAuth)
	}
	st.roots = x509.NewCertPool()
	for _, c := range certs {
		st.roots.AddCert(c)
	}
	st.config.ClientCAs = st.roots
	return nil
}

// trustOf identifies who is trusted, in whatever order the files have it.
func trustOf(auth ClientAuth, certs []*x509.Certificate) [sha256.Size]byte {
	var sums [][]byte
	for _, c := range certs {
		sum := sha256.Sum256(c.Raw)
		sums = append(sums, sum[:])
	}
	slices.SortFunc(sums, bytes.Compare)
	return sha256.Sum256(append([]byte(auth), bytes.Join(slices.CompactFunc(sums, bytes.Equal), nil)...))
}

// expiresSoon is how long before its end a certificate is warned of.
const expiresSoon = 30 * 24 * time.Hour

func (l leaf) warning(now time.Time) string {
	of := fmt.Sprintf("the certificate of %s", l.cert.Subject)
	const day = time.DateTime + " MST"
	switch {
	case now.After(l.cert.NotAfter):
		return fmt.Sprintf("%s expired at %s: clients refuse it; renew it", of, l.cert.NotAfter.Format(day))
	case now.Before(l.cert.NotBefore):
		return fmt.Sprintf("%s is valid only from %s on: clients refuse it until then; check the clock", of, l.cert.NotBefore.Format(day))
	case l.cert.NotAfter.Sub(now) < expiresSoon:
		return fmt.Sprintf("%s expires at %s; renew it", of, l.cert.NotAfter.Format(day))
	}
	return ""
}

// chainWarning says where a chain is out of order: some clients follow it only in order.
func chainWarning(c tls.Certificate) string {
	last := c.Leaf
	for i, der := range c.Certificate[1:] {
		next, err := x509.ParseCertificate(der)
		if err != nil {
			return fmt.Sprintf("certificate %d of the chain can't be read", i+2)
		}
		if last.CheckSignatureFrom(next) != nil {
			return fmt.Sprintf("certificate %d (%s) did not issue the one before it (%s): some clients refuse such a chain; write the issuers in order", i+2, next.Subject, last.Subject)
		}
		last = next
	}
	return ""
}
