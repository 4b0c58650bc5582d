package tlsconf

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kring/internal/testcerts"
)

// place is a folder with certificates.
type place struct {
	t   *testing.T
	dir string
	ca  *testcerts.Authority
}

func newPlace(t *testing.T) *place {
	p := &place{t: t, dir: t.TempDir(), ca: authority(t, "test CA")}
	p.write("ca.pem", p.ca.CertPEM())
	p.server("server", "localhost", "127.0.0.1")
	return p
}

func authority(t *testing.T, name string) *testcerts.Authority {
	a, err := testcerts.New(name)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func (p *place) path(name string) string { return filepath.Join(p.dir, name) }

func (p *place) write(name string, text []byte) Input {
	p.t.Helper()
	// As a program replaces a file that others read: whole, or not yet.
	if err := os.WriteFile(p.path(name+".new"), text, 0o600); err != nil {
		p.t.Fatal(err)
	}
	if err := os.Rename(p.path(name+".new"), p.path(name)); err != nil {
		p.t.Fatal(err)
	}
	return Input{File: p.path(name)}
}

// server writes a server's certificate and key, and returns both.
func (p *place) server(name string, hosts ...string) *testcerts.Cert {
	c := must[*testcerts.Cert](p.t)(p.ca.Issue(testcerts.Spec{Subject: pkix.Name{CommonName: name}, Hosts: hosts}))
	p.write(name+".pem", c.CertPEM())
	p.write(name+".key", must[[]byte](p.t)(c.KeyPEM("")))
	return c
}

func (p *place) pair(name string) Pair {
	return Pair{Cert: Input{File: p.path(name + ".pem")}, Key: Input{File: p.path(name + ".key")}}
}

func (p *place) client(ca *testcerts.Authority, name string) tls.Certificate {
	c := must[*testcerts.Cert](p.t)(ca.Issue(testcerts.Spec{Subject: pkix.Name{CommonName: name}, Client: true}))
	return must[tls.Certificate](p.t)(tls.X509KeyPair(c.CertPEM(), must[[]byte](p.t)(c.KeyPEM(""))))
}

// files are those of the place, with clients asked as auth says.
func (p *place) files(auth ClientAuth) Files {
	return Files{Certificates: []Pair{p.pair("server")}, ClientCA: Input{File: p.path("ca.pem")}, ClientAuth: auth}
}

func (p *place) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(p.ca.Leaf)
	return pool
}

// shake connects a client to a source and exchanges a byte each way, so that the client
// has its session ticket and knows whether it was refused. Both close what they have when
// they fail, so none waits for the other.
func shake(s *Source, client *tls.Config) (cs tls.ConnectionState, principal string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return cs, "", err
	}
	defer l.Close()
	served := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			served <- err
			return
		}
		defer c.Close()
		server := tls.Server(c, s.Config())
		if err = server.Handshake(); err == nil {
			cs := server.ConnectionState()
			principal, err = s.Principal(&cs)
		}
		if err == nil {
			_, err = io.CopyN(server, server, 1)
		}
		served <- err
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return cs, "", errors.Join(err, l.Close(), <-served)
	}
	conn := tls.Client(c, client)
	if _, err = conn.Write([]byte{1}); err == nil {
		_, err = io.ReadFull(conn, make([]byte, 1))
	}
	cs = conn.ConnectionState()
	_ = c.Close()
	return cs, principal, errors.Join(err, <-served)
}

func (p *place) asClient(certs ...tls.Certificate) *tls.Config {
	return &tls.Config{RootCAs: p.roots(), ServerName: "localhost", Certificates: certs}
}

// Kafka: SslTransportLayerTest, F-81.
func TestClientsAreAskedForACertificateAsTheSettingSays(t *testing.T) {
	p := newPlace(t)
	own, other := p.client(p.ca, "alice"), p.client(authority(t, "another CA"), "mallory")
	// A client that has none of the asked CAs' certificates sends its own all the same.
	insist := func(c tls.Certificate) *tls.Config {
		cfg := p.asClient()
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &c, nil }
		return cfg
	}
	for _, auth := range []ClientAuth{"", None, Requested, Required} {
		s := must[*Source](t)(Load(p.files(auth)))
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			for _, c := range []struct {
				who    string
				config *tls.Config
				want   string // "": refused
			}{
				{"nobody", p.asClient(), map[ClientAuth]string{"": anonymous, None: anonymous, Requested: anonymous}[auth]},
				{"alice", insist(own), map[ClientAuth]string{"": anonymous, None: anonymous, Requested: "User:CN=alice", Required: "User:CN=alice"}[auth]},
				{"mallory", insist(other), map[ClientAuth]string{"": anonymous, None: anonymous}[auth]},
			} {
				c.config.MinVersion, c.config.MaxVersion = version, version
				_, principal, err := shake(s, c.config)
				if refused := err != nil; refused != (c.want == "") || !refused && principal != c.want {
					t.Errorf("%q, %s, %s: principal %q, error %v; want %q", auth, tls.VersionName(version), c.who, principal, err, c.want)
				}
			}
		}
	}
}

// TestARemovedCAEndsItsSessions: a session that a CA vouched for is not resumed when the
// CA is removed, and the client's certificate is refused.
func TestARemovedCAEndsItsSessions(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			p := newPlace(t)
			leaving := authority(t, "leaving CA")
			p.write("ca.pem", append(p.ca.CertPEM(), leaving.CertPEM()...))
			s := must[*Source](t)(Load(p.files(Required)))
			alice := p.client(leaving, "alice")
			fresh := func() *tls.Config {
				cfg := p.asClient(alice)
				cfg.MinVersion, cfg.MaxVersion, cfg.ClientSessionCache = version, version, tls.NewLRUClientSessionCache(4)
				for i, want := range []bool{false, true} {
					if cs, _, err := shake(s, cfg); err != nil || cs.DidResume != want {
						t.Fatalf("connection %d: resumed %v, %v", i+1, cs.DidResume, err)
					}
				}
				return cfg
			}
			cfg, another := fresh(), fresh()
			// A certificate that is replaced, or CAs in another order, end no session.
			p.server("server", "localhost")
			p.write("ca.pem", append(leaving.CertPEM(), p.ca.CertPEM()...))
			if err := s.Reload(); err != nil {
				t.Fatal(err)
			}
			if cs, _, err := shake(s, cfg); err != nil || !cs.DidResume {
				t.Fatalf("after a reload that changes no CA: resumed %v, %v", cs.DidResume, err)
			}
			p.write("ca.pem", p.ca.CertPEM())
			keys := s.tickets.keys
			if err := s.Reload(); err != nil {
				t.Fatal(err)
			}
			if cs, _, err := shake(s, cfg); err == nil {
				t.Fatalf("a client of the removed CA is let in (resumed: %v)", cs.DidResume)
			}
			// The same where the ticket can still be opened, as with keys that processes share.
			s.Config().SetSessionTicketKeys(keys)
			if _, _, err := shake(s, another); err == nil || !strings.Contains(err.Error(), "no longer trusted") && !strings.Contains(err.Error(), "didn't provide a certificate") {
				t.Fatalf("with the old ticket key: %v", err)
			}
		})
	}
}

// TestAResumedSessionIsHeldAgainstTodaysCAs looks at VerifyConnection alone.
func TestAResumedSessionIsHeldAgainstTodaysCAs(t *testing.T) {
	p := newPlace(t)
	s := must[*Source](t)(Load(p.files(Required)))
	old := s.Config()
	own, other := p.client(p.ca, "alice"), p.client(authority(t, "another CA"), "mallory")
	for _, c := range []struct {
		what    string
		cs      tls.ConnectionState
		refused string
	}{
		{"its CA is trusted", tls.ConnectionState{DidResume: true, PeerCertificates: []*x509.Certificate{own.Leaf}}, ""},
		{"its CA is not trusted", tls.ConnectionState{DidResume: true, PeerCertificates: []*x509.Certificate{other.Leaf}}, "no longer trusted"},
		{"without a certificate", tls.ConnectionState{DidResume: true}, "now one is required"},
	} {
		if err := old.VerifyConnection(c.cs); (err == nil) != (c.refused == "") || err != nil && !strings.Contains(err.Error(), c.refused) {
			t.Errorf("%s: %v", c.what, err)
		}
	}
	// A handshake of the config before a reload is held against the CAs after it.
	p.write("ca.pem", authority(t, "new CA").CertPEM())
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	if err := old.VerifyConnection(tls.ConnectionState{PeerCertificates: []*x509.Certificate{own.Leaf}}); err == nil {
		t.Error("a handshake that began before its CA was removed is let in")
	}
}

func TestTicketKeysAreReplacedInTime(t *testing.T) {
	p := newPlace(t)
	var clock atomic.Int64
	clock.Store(time.Now().UnixNano())
	f := p.files(None)
	f.TicketRotation = time.Hour
	s := must[*Source](t)(load(f, func() time.Time { return time.Unix(0, clock.Load()) }))
	resumes := func(cfg *tls.Config) bool {
		cs, _, err := shake(s, cfg)
		if err != nil {
			t.Fatal(err)
		}
		return cs.DidResume
	}
	fresh := func() *tls.Config {
		cfg := p.asClient()
		cfg.MaxVersion, cfg.ClientSessionCache = tls.VersionTLS12, tls.NewLRUClientSessionCache(4)
		if resumes(cfg) {
			t.Fatal("a first connection is resumed")
		}
		return cfg
	}
	first, once := fresh(), fresh()
	clock.Add(int64(time.Hour))
	if !resumes(once) {
		t.Error("after one rotation: not resumed")
	}
	clock.Add(int64(time.Hour))
	if resumes(first) {
		t.Error("after two rotations the first key still opens tickets")
	}
	if n := len(s.tickets.keys); n != ticketKeysMax {
		t.Errorf("%d keys", n)
	}
	f.TicketRotation = -1
	s = must[*Source](t)(Load(f))
	if none := fresh(); resumes(none) {
		t.Error("resumed although tickets are off")
	}
}

func TestListenersDoNotResumeEachOthersSessions(t *testing.T) {
	p := newPlace(t)
	a, b := must[*Source](t)(Load(p.files(None))), must[*Source](t)(Load(p.files(None)))
	cfg := p.asClient()
	cfg.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	for _, s := range []*Source{a, b} {
		if cs, _, err := shake(s, cfg); err != nil || cs.DidResume {
			t.Fatalf("resumed %v, %v", cs.DidResume, err)
		}
	}
}

// serveEcho answers every byte with itself, until the test ends.
func serveEcho(t *testing.T, s *Source) string {
	l := must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
	var serving sync.WaitGroup
	t.Cleanup(func() {
		_ = l.Close()
		serving.Wait()
	})
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer c.Close()
				server := tls.Server(c, s.Config())
				_, _ = io.Copy(server, server)
			})
		}
	})
	return l.Addr().String()
}

// TestACertificateIsReplacedUnderLoad: connections after the reload have the new one, those
// before go on, and none fails.
//
// Kafka: SslTransportLayerTest.
func TestACertificateIsReplacedUnderLoad(t *testing.T) {
	p := newPlace(t)
	s := must[*Source](t)(Load(p.files(None)))
	address := serveEcho(t, s)
	dial := func() (*tls.Conn, error) { return tls.Dial("tcp", address, p.asClient()) }
	echo := func(c *tls.Conn) error {
		if _, err := c.Write([]byte("x")); err != nil {
			return err
		}
		_, err := io.ReadFull(c, make([]byte, 1))
		return err
	}
	standing := must[*tls.Conn](t)(dial())
	defer standing.Close()
	var clients sync.WaitGroup
	stop := make(chan struct{})
	for range 3 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				c, err := dial()
				if err == nil {
					err = errors.Join(echo(c), c.Close())
				}
				if err != nil {
					t.Errorf("a connection during reloads: %v", err)
					return
				}
			}
		})
	}
	for range 5 {
		now := p.server("server", "localhost")
		if err := s.Reload(); err != nil {
			t.Error(err)
		}
		c, err := dial()
		if err != nil {
			t.Error(err)
			break
		}
		if got := c.ConnectionState().PeerCertificates[0]; !got.Equal(now.Leaf) {
			t.Error("a connection after the reload has an old certificate")
		}
		_ = c.Close()
		if err := echo(standing); err != nil {
			t.Errorf("a connection from before the reload: %v", err)
		}
	}
	close(stop)
	clients.Wait()
}

func TestABadFileKeepsTheOldStateAndIsNamed(t *testing.T) {
	p := newPlace(t)
	s := must[*Source](t)(Load(p.files(Required)))
	before := s.Config()
	for _, c := range []struct {
		file string
		text string
		says string
	}{
		{"server.pem", "", "is empty"},
		{"server.pem", "hello", "no certificate in PEM"},
		{"server.pem", string(authority(t, "other").CertPEM()), "does not fit"},
		{"server.pem", strings.Replace(string(p.ca.CertPEM()), "-----END", "!-----END", 1), "damaged"},
		{"server.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "can't be read"},
		{"server.key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "damaged"},
		{"server.key", "\xfe\xed\xfe\xed\x00\x00", "JKS"},
		{"server.key", "0\x82\x01\x02", "is binary"},
		{"ca.pem", "", "is empty"},
	} {
		kept := must[[]byte](t)(os.ReadFile(p.path(c.file)))
		p.write(c.file, []byte(c.text))
		err := s.Reload()
		if err == nil || !strings.Contains(err.Error(), p.path(c.file)) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s with %.20q: %v; want the file's name and %q", c.file, c.text, err, c.says)
		}
		if s.Config() != before {
			t.Errorf("%s with %.20q: the state was replaced", c.file, c.text)
		}
		p.write(c.file, kept)
	}
	// Every bad file is named at once.
	p.write("server.key", nil)
	p.write("ca.pem", nil)
	if err := s.Reload(); err == nil || !strings.Contains(err.Error(), "server.key") || !strings.Contains(err.Error(), "ca.pem") {
		t.Errorf("two bad files: %v", err)
	}
	if err := os.Remove(p.path("ca.pem")); err != nil {
		t.Fatal(err)
	}
	if err := s.Reload(); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("a file that is gone: %v", err)
	}
}

func TestSettingsWithoutAMeaningAreRefused(t *testing.T) {
	p := newPlace(t)
	for _, c := range []struct {
		change func(f *Files)
		says   string
	}{
		{func(f *Files) { f.Certificates = nil }, "needs a certificate"},
		{func(f *Files) { f.ClientAuth = "maybe" }, "none, requested or required"},
		{func(f *Files) { f.ClientCA = Input{} }, "whose certificates are trusted"},
		{func(f *Files) { f.MinVersion = "TLSv1.1" }, "broken"},
		{func(f *Files) { f.MaxVersion = "1.3" }, "give TLSv1.2 or TLSv1.3"},
		{func(f *Files) { f.MinVersion, f.MaxVersion = "TLSv1.3", "TLSv1.2" }, "nothing is left"},
		{func(f *Files) { f.CipherSuites = []string{"TLS_RSA_WITH_RC4_128_SHA"} }, "insecure"},
		{func(f *Files) { f.CipherSuites = []string{"TLS_FOO"} }, `no "TLS_FOO"`},
		{func(f *Files) { f.CipherSuites = []string{"TLS_AES_128_GCM_SHA256"} }, "name all"},
		{func(f *Files) {
			f.MinVersion, f.CipherSuites = "TLSv1.3", []string{"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"}
		}, "add some of TLS 1.3"},
		{func(f *Files) { f.PrincipalRules = "RULE:(?=a)/b/" }, "lookahead"},
		{func(f *Files) { f.ALPN = []string{"kafka", ""} }, "ALPN: name 2 is empty"},
		{func(f *Files) { f.ALPN = []string{strings.Repeat("k", 256)} }, "has 256 bytes"},
		{func(f *Files) { f.ALPN = []string{"kafka", "other", "kafka"} }, `"kafka" is there twice`},
		{func(f *Files) { f.ALPN = strings.Split(strings.Repeat("k ", 101), " ") }, "ALPN has 102 names"},
		{func(f *Files) { f.Certificates[0].Key.File = p.dir }, "not a regular file"},
	} {
		f := p.files(Required)
		c.change(&f)
		if _, err := Load(f); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("want %q: %v", c.says, err)
		}
	}
}

func TestCipherSuitesAndVersionsAreThoseThatAreNamed(t *testing.T) {
	p := newPlace(t)
	f := p.files(None)
	f.CipherSuites = []string{"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"}
	s := must[*Source](t)(Load(f))
	cs, _, err := shake(s, p.asClient())
	if err != nil || cs.Version != tls.VersionTLS12 || tls.CipherSuiteName(cs.CipherSuite) != f.CipherSuites[0] {
		t.Errorf("%s %s, %v", tls.VersionName(cs.Version), tls.CipherSuiteName(cs.CipherSuite), err)
	}
	f = p.files(None)
	f.MinVersion, f.ALPN = "TLSv1.3", []string{"kafka"}
	s = must[*Source](t)(Load(f))
	cfg := p.asClient()
	cfg.NextProtos = []string{"other", "kafka"}
	if cs, _, err = shake(s, cfg); err != nil || cs.Version != tls.VersionTLS13 || cs.NegotiatedProtocol != "kafka" {
		t.Errorf("%s %q, %v", tls.VersionName(cs.Version), cs.NegotiatedProtocol, err)
	}
	cfg.MaxVersion = tls.VersionTLS12
	if _, _, err := shake(s, cfg); err == nil {
		t.Error("TLS 1.2 although the least is 1.3")
	}
}

func TestACertificateIsChosenByTheNameThatIsAskedFor(t *testing.T) {
	p := newPlace(t)
	p.server("second", "broker.example.org")
	f := p.files(None)
	f.Certificates = append(f.Certificates, p.pair("second"))
	s := must[*Source](t)(Load(f))
	for asked, want := range map[string]string{"localhost": "server", "broker.example.org": "second", "unknown.example": "server"} {
		cfg := p.asClient()
		cfg.ServerName = asked
		cfg.InsecureSkipVerify = true // what is looked at is which certificate comes
		cs, _, err := shake(s, cfg)
		if err != nil || cs.PeerCertificates[0].Subject.CommonName != want {
			t.Errorf("%s: %v, %v", asked, cs.PeerCertificates[0].Subject, err)
		}
	}
}

func TestRulesThatMatchNothingFailTheHandshake(t *testing.T) {
	p := newPlace(t)
	f := p.files(Required)
	f.PrincipalRules = "RULE:^CN=kafka-(.*)$/$1/U"
	s := must[*Source](t)(Load(f))
	if _, who, err := shake(s, p.asClient(p.client(p.ca, "kafka-alice"))); err != nil || who != "User:ALICE" {
		t.Errorf("%q, %v", who, err)
	}
	if _, who, err := shake(s, p.asClient(p.client(p.ca, "bob"))); err == nil || !strings.Contains(err.Error(), "no rule") || !strings.Contains(err.Error(), "remote error: tls: bad certificate") {
		t.Errorf("%q, %v", who, err)
	}
}

func TestWarningsNameWhatExpiresAndChainsOutOfOrder(t *testing.T) {
	p := newPlace(t)
	now := time.Now()
	middle := must[*testcerts.Authority](t)(p.ca.Intermediate("middle"))
	for name, s := range map[string]testcerts.Spec{
		"expired": {Until: now.Add(-time.Minute)}, "early": {From: now.Add(time.Hour)}, "soon": {Until: now.Add(time.Hour)}, "good": {},
	} {
		s.Hosts = []string{"localhost"}
		c := must[*testcerts.Cert](t)(middle.Issue(s))
		p.write(name+".pem", c.CertPEM())
		p.write(name+".key", must[[]byte](t)(c.KeyPEM("")))
		f := p.files(None)
		f.Certificates = []Pair{p.pair(name)}
		got := strings.Join(must[*Source](t)(Load(f)).Warnings(), "\n")
		want := map[string]string{"expired": "expired at", "early": "valid only from", "soon": "expires at", "good": ""}[name]
		if !strings.Contains(got, want) || (want == "") != (got == "") {
			t.Errorf("%s: %q", name, got)
		}
		if name == "good" {
			p.write("good.pem", append(must[[]byte](t)(os.ReadFile(p.path("good.pem"))), p.ca.CertPEM()...))
			p.write("good.pem", append(must[[]byte](t)(os.ReadFile(p.path("good.pem"))), middle.CertPEM()...))
			if got := strings.Join(must[*Source](t)(Load(f)).Warnings(), "\n"); !strings.Contains(got, "did not issue the one before") {
				t.Errorf("out of order: %q", got)
			}
		}
	}
}

func TestPathsAreTheFilesThatAReloadReads(t *testing.T) {
	f := Files{
		Certificates: []Pair{{Cert: Input{File: "a"}, Key: Input{File: "b"}, Password: Input{File: "c"}}, {Cert: Input{File: "a"}}},
		KeyStore:     Store{File: "d", Password: Input{File: "e"}, KeyPassword: Input{File: "c"}}, ClientCA: Input{Inline: NewSecret("x")}, TrustStore: Store{File: "f", Password: Input{File: "e"}},
	}
	if got := fmt.Sprint(f.Paths()); got != "[a b c d e f]" {
		t.Error(got)
	}
}
