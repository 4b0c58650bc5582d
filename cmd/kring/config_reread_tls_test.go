//go:build unix

package main

import (
	"crypto/tls"
	"crypto/x509/pkix"
	"os"
	"slices"
	"strings"
	"testing"

	"kring/internal/testcerts"
)

// TestTLSIsChangedLiveOrNotAtAll: a listener that stays gets other files, which are watched
// from then on, and asks clients for certificates; with a file that can't be read, or with
// another fault, nothing changes. The old files may be gone.
func TestTLSIsChangedLiveOrNotAtAll(t *testing.T) {
	at, _ := certDir(t)
	for _, end := range []string{".pem", ".key"} {
		writeFile(t, at("own"+end), readFile(t, at("two"+end)))
	}
	config := func(name, more string) string {
		return "listeners=SSL://127.0.0.1:0\nlistener.name.ssl.kring.tls-cert=" + at(name+".pem") + "\nlistener.name.ssl.kring.tls-key=" + at(name+".key") + "\n" + more
	}
	c := serveConfig(t, config("one", ""), "--handler", "null")
	shows := func(want string) {
		t.Helper()
		conn, err := tls.Dial("tcp", c.addr, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if got := conn.ConnectionState().PeerCertificates[0].Subject.CommonName; got != want {
			t.Errorf("it shows the certificate %s, want %s", got, want)
		}
	}
	shows("one")
	if err := os.Remove(at("one.key")); err != nil {
		t.Fatal(err)
	}
	expect(t, c.reread(config("own", "")), "was read again", "--listener SSL.tls-cert")
	shows("two")
	expect(t, c.reread(config("one", "")), "stays as it was", "one.key")
	shows("two")
	expect(t, c.reread(config("two", "max.connections=0\n")), "stays as it was", "max.connections")
	own, err := testcerts.New("three")
	if err != nil {
		t.Fatal(err)
	}
	key, err := own.KeyPEM("")
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, at("own.pem"), own.CertPEM())
	writeFile(t, at("own.key"), key)
	c.logged(`msg="the certificates were read again"`)
	shows("three")
	expect(t, c.reread(config("own", "ssl.client.auth=required\nssl.truststore.certificates="+at("ca.pem")+"\n")), "was read again", "--tls-client-auth")
	conn, err := tls.Dial("tcp", c.addr, &tls.Config{InsecureSkipVerify: true})
	if err == nil {
		_, err = conn.Read(make([]byte, 1)) // TLS 1.3: the refusal comes behind the handshake
		_ = conn.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "certificate required") {
		t.Errorf("a client without a certificate: %v", err)
	}
	c.stop()
}

// TestAListenerShowsEachNameItsCertificate: of one listener's several certificates a client
// gets the one with the name that it asks for, and the first for an unknown name and for
// none. All are read again when one changes, and when the list does.
func TestAListenerShowsEachNameItsCertificate(t *testing.T) {
	at, ca := certDir(t)
	issue := func(file, subject, host string) {
		t.Helper()
		c, err := ca.Issue(testcerts.Spec{Subject: pkix.Name{CommonName: subject}, Hosts: []string{host}})
		if err != nil {
			t.Fatal(err)
		}
		key, err := c.KeyPEM("")
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, at(file+".key"), key)
		writeFile(t, at(file+".pem"), c.CertPEM())
	}
	for _, name := range []string{"a", "b", "c"} {
		issue(name, name, name+".example")
	}
	list := func(end string, names ...string) string {
		for i, name := range names {
			names[i] = at(name + end)
		}
		return strings.Join(names, ",")
	}
	config := func(names ...string) string {
		return "listeners=SSL://127.0.0.1:0,OTHER://127.0.0.1:0\nlistener.security.protocol.map=OTHER:SSL,SSL:SSL\n" +
			"ssl.keystore.certificate.chain=" + at("one.pem") + "\nssl.keystore.key=" + at("one.key") + "\n" +
			"listener.name.ssl.ssl.keystore.certificate.chain=" + list(".pem", slices.Clone(names)...) + "\nlistener.name.ssl.ssl.keystore.key=" + list(".key", slices.Clone(names)...) + "\n"
	}
	c := serveConfig(t, config("a", "b"), "--handler", "null")
	shows := func(asked, want string) {
		t.Helper()
		conn, err := tls.Dial("tcp", c.addr, &tls.Config{ServerName: asked, InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if got := conn.ConnectionState().PeerCertificates[0].Subject.CommonName; got != want {
			t.Errorf("who asks for %q is shown the certificate %s, want %s", asked, got, want)
		}
	}
	for asked, want := range map[string]string{"a.example": "a", "b.example": "b", "B.Example": "b", "c.example": "a", "": "a"} {
		shows(asked, want)
	}
	issue("b", "b2", "b.example")
	c.logged(`msg="the certificates were read again"`)
	shows("b.example", "b2")
	expect(t, c.reread(config("b", "c")), "was read again", "--listener SSL.tls-cert")
	for asked, want := range map[string]string{"a.example": "b2", "b.example": "b2", "c.example": "c"} {
		shows(asked, want)
	}
	writeFile(t, at("c.pem"), []byte("no certificate"))
	expect(t, c.reread(config("a", "c")), "stays as it was", "c.pem")
	shows("c.example", "c")
	c.stop()
}
