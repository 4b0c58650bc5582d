package main

import (
	"bytes"
	"crypto/x509/pkix"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kring"
	"kring/internal/testcerts"
)

// certPassword protects the keys of a certDir.
const certPassword = "s3cret-of-the-certificates"

// certDir is a folder with certificates in all forms; path joins a name to it.
func certDir(t *testing.T) (path func(name string) string, ca *testcerts.Authority) {
	dir := t.TempDir()
	path = func(name string) string { return filepath.Join(dir, name) }
	ca, err := testcerts.New("test CA")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"one", "two"} {
		c, err := ca.Issue(testcerts.Spec{Subject: pkix.Name{CommonName: name}, Hosts: []string{"localhost", "127.0.0.1"}})
		if err != nil {
			t.Fatal(err)
		}
		plain, plainErr := c.KeyPEM("")
		closed, closedErr := c.KeyPEM(certPassword)
		store, storeErr := c.KeyStore(certPassword)
		trust, trustErr := testcerts.TrustStore(certPassword, ca.Leaf)
		if err := errors.Join(plainErr, closedErr, storeErr, trustErr); err != nil {
			t.Fatal(err)
		}
		for file, text := range map[string][]byte{name + ".pem": c.CertPEM(), name + ".key": plain, name + "-closed.key": closed, name + ".p12": store, "trust.p12": trust} {
			writeFile(t, path(file), text)
		}
	}
	writeFile(t, path("ca.pem"), ca.CertPEM())
	writeFile(t, path("password"), []byte(certPassword+"\n"))
	return path, ca
}

// writeFile puts a file in its place whole: a server that looks at it by the clock never
// finds it empty, however long the test is kept from writing.
func writeFile(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := errors.Join(os.WriteFile(path+".new", text, 0o600), os.Rename(path+".new", path)); err != nil {
		t.Fatal(err)
	}
}

// secured are the listeners of args, with their certificates.
func secured(t *testing.T, args ...string) (*serveCmd, map[string]*kring.TLSConfig, []error) {
	t.Helper()
	c := serveOf(t, args...)
	cfg := c.serverConfig()
	faults := c.secure(&cfg)
	all := map[string]*kring.TLSConfig{}
	for _, l := range cfg.Listeners {
		all[l.Name] = l.TLS
	}
	return c, all, faults
}

func certOf(c *kring.TLSConfig) string { return c.Config().Certificates[0].Leaf.Subject.CommonName }

func TestEachListenerHasTheCertificatesThatAreSaidForItOrForAll(t *testing.T) {
	at, _ := certDir(t)
	_, tls, faults := secured(t, "--listen", "PLAINTEXT://127.0.0.1:0", "--listen", "SSL://127.0.0.1:0", "--listen", "A://127.0.0.1:0", "--listen", "B://127.0.0.1:0",
		"--listener", "A.security=SSL", "--listener", "B.security=SSL",
		"--tls-cert", at("one.pem"), "--tls-key", at("one-closed.key"), "--tls-key-password", "file:"+at("password"),
		"--tls-client-ca", at("ca.pem"), "--tls-client-auth", "required",
		"--listener", "A.tls-cert="+at("two.pem"), "--listener", "A.tls-key="+at("two.key"), "--listener", "A.tls-client-auth=none",
		"--listener", "B.tls-keystore="+at("two.p12"), "--listener", "B.tls-keystore-password="+certPassword, "--listener", "B.tls-truststore="+at("trust.p12"), "--listener", "B.tls-truststore-password=file:"+at("password"))
	if err := errors.Join(faults...); err != nil {
		t.Fatal(err)
	}
	if tls["PLAINTEXT"] != nil {
		t.Error("the listener without TLS has certificates")
	}
	for name, want := range map[string]struct {
		cert  string
		asked bool
	}{"SSL": {"one", true}, "A": {"two", false}, "B": {"two", true}} {
		l := tls[name]
		if l == nil || l.Principal == nil {
			t.Errorf("%s: %+v", name, l)
			continue
		}
		if got := certOf(l); got != want.cert || (l.Config().ClientCAs != nil) != want.asked {
			t.Errorf("%s has the certificate %s, and client CAs: %v", name, got, l.Config().ClientCAs != nil)
		}
	}
}

func TestSeveralCertificatesAreForSeveralNames(t *testing.T) {
	at, _ := certDir(t)
	_, tls, faults := secured(t, "--listen", "SSL://127.0.0.1:0", "--tls-cert", at("one.pem"), "--tls-key", at("one.key"), "--tls-cert", at("two.pem"), "--tls-key", at("two.key"))
	if len(faults) > 0 || len(tls["SSL"].Config().Certificates) != 2 {
		t.Errorf("%v, %v", tls["SSL"], faults)
	}
	_, tls, faults = secured(t, "--listen", "SSL://127.0.0.1:0", "--tls-cert", at("one.pem"), "--tls-key", at("one.key"),
		"--listener", "SSL.tls-cert="+at("two.pem")+","+at("one.pem"), "--listener", "SSL.tls-key="+at("two.key")+","+at("one.key"))
	if len(faults) > 0 || len(tls["SSL"].Config().Certificates) != 2 || certOf(tls["SSL"]) != "two" {
		t.Errorf("of one listener: %v, %v", tls["SSL"], faults)
	}
	_, _, faults = secured(t, "--listen", "SSL://127.0.0.1:0", "--listener", "SSL.tls-cert="+at("two.pem")+","+at("one.pem"), "--listener", "SSL.tls-key="+at("two.key"))
	if err := errors.Join(faults...); err == nil || !strings.Contains(err.Error(), "1 keys for 2 certificates") {
		t.Errorf("a key is missing: %v", err)
	}
}

// TestWrongTLSFlagsAreErrorsWithFlagValueAndRemedy, and none has a password or a key in it.
func TestWrongTLSFlagsAreErrorsWithFlagValueAndRemedy(t *testing.T) {
	at, _ := certDir(t)
	writeFile(t, at("wrong"), []byte("wr0ng-of-the-certificates\n"))
	writeFile(t, at("jks"), []byte("\xfe\xed\xfe\xed\x00\x00\x00\x02"))
	ssl := []string{"--listen", "SSL://127.0.0.1:0"}
	one := append(ssl, "--tls-cert", at("one.pem"), "--tls-key", at("one.key"))
	for _, c := range []struct {
		args []string
		says []string
	}{
		{[]string{"--tls-cert", at("one.pem")}, []string{"--tls-cert", "no listener speaks TLS", "--listen SSL://"}},
		{[]string{"--tls-client-auth", "required"}, []string{"--tls-client-auth", "no listener speaks TLS"}},
		{[]string{"--listener", "PLAINTEXT.tls-cert=" + at("one.pem")}, []string{"--listener PLAINTEXT.tls-cert", "without TLS"}},
		{ssl, []string{"--listen SSL://", "--tls-cert"}},
		{append(ssl, "--tls-cert", at("nowhere.pem")), []string{"--tls-cert " + at("nowhere.pem"), "no such file"}},
		{append(ssl, "--tls-cert", at("one.pem")), []string{"--tls-cert " + at("one.pem"), "no private key"}},
		{append(ssl, "--tls-cert", at("one.pem"), "--tls-key", at("two.key")), []string{"--tls-key " + at("two.key"), "does not fit"}},
		{append(ssl, "--tls-cert", at("one.pem"), "--tls-cert", at("two.pem"), "--tls-key", at("one.key")), []string{"--tls-key", "1 keys for 2 certificates"}},
		{append(ssl, "--tls-cert", at("one.pem"), "--tls-key", at("one-closed.key")), []string{"no password is given"}},
		{append(ssl, "--tls-cert", at("one.pem"), "--tls-key", at("one-closed.key"), "--tls-key-password", "file:"+at("wrong")), []string{"can't be decrypted", at("wrong")}},
		{append(ssl, "--tls-cert", at("one.pem"), "--tls-key", at("one-closed.key"), "--tls-key-password", "wr0ng-of-the-certificates"), []string{"can't be decrypted"}},
		{append(ssl, "--tls-keystore", at("one.p12"), "--tls-keystore-password", "file:"+at("wrong")), []string{"--tls-keystore " + at("one.p12"), "wrong"}},
		{append(ssl, "--tls-keystore", at("jks")), []string{"--tls-keystore", "keytool -importkeystore"}},
		{append(one, "--tls-client-ca", at("ca.pem")), []string{"--tls-client-auth", "give required, requested, or none"}},
		{append(one, "--tls-client-auth", "required"), []string{"--tls-client-auth is required", "--tls-client-ca"}},
		{append(one, "--tls-client-auth", "maybe"), []string{`--tls-client-auth is "maybe"`, "none, requested or required"}},
		{append(one, "--tls-protocols", "TLSv1.1,TLSv1.2"), []string{"--tls-protocols", "TLSv1.1", "broken"}},
		{append(one, "--tls-cipher-suites", "TLS_FOO"), []string{"--tls-cipher-suites", "TLS_FOO"}},
		{append(one, "--tls-alpn", strings.Repeat("k", 256)), []string{"--tls-alpn", "256 bytes"}},
		{[]string{"--tls-alpn", "kafka"}, []string{"--tls-alpn", "no listener speaks TLS"}},
		{[]string{"--tls-key-password", "s3cret-of-the-certificates"}, []string{"--tls-key-password", "no listener speaks TLS"}},
		{[]string{"--tls-protocols", "TLSv1.3"}, []string{"--tls-protocols", "no listener speaks TLS"}},
		{append(one, "--tls-principal-rules", "RULE:(?=a)/b/"), []string{"--tls-principal-rules", "lookahead"}},
		{append(one, "--tls-key-password", "-"+certPassword, "--listener", "SSL.tls-key-passwort="+certPassword), []string{`"SSL.tls-key-passwort"`, "tls-key-password"}},
	} {
		var out, stderr bytes.Buffer
		if status := run(append([]string{"config", "show"}, c.args...), nil, &out, &stderr, nil); status != exitUsage {
			t.Errorf("%q: exit status %d, %s", c.args, status, stderr.String())
		}
		for _, text := range c.says {
			if !strings.Contains(stderr.String(), text) {
				t.Errorf("%q: no %q in %s", c.args, text, stderr.String())
			}
		}
		if strings.Contains(out.String()+stderr.String(), "of-the-certificates") {
			t.Errorf("%q: a password is shown: %s%s", c.args, out.String(), stderr.String())
		}
	}
}

// TestListingsShowNoSecretOfTLS: however it came in.
func TestListingsShowNoSecretOfTLS(t *testing.T) {
	at, _ := certDir(t)
	key, err := os.ReadFile(at("one.key"))
	if err != nil {
		t.Fatal(err)
	}
	cert, err := os.ReadFile(at("one.pem"))
	if err != nil {
		t.Fatal(err)
	}
	oneLine := func(pem []byte) string { return strings.ReplaceAll(strings.TrimSpace(string(pem)), "\n", `\n`) }
	body := strings.Split(string(key), "\n")[1] // what a listing of the key would have in it
	writeFile(t, at("server.properties"), []byte("listeners=SSL://127.0.0.1:0,B://127.0.0.1:0\nlistener.security.protocol.map=SSL:SSL,B:SSL\n"+
		"ssl.keystore.certificate.chain="+oneLine(cert)+"\nssl.keystore.key="+oneLine(key)+"\nssl.key.password="+certPassword+"\n"+
		"listener.name.b.ssl.keystore.key="+oneLine(key)+"\nlistener.name.b.ssl.keystore.certificate.chain="+oneLine(cert)+"\nlistener.name.b.ssl.key.password="+certPassword+"\n"))
	direct := []string{"--listen", "SSL://127.0.0.1:0", "--tls-cert", string(cert), "--tls-key", string(key), "--tls-key-password", certPassword,
		"--tls-keystore-password", "--" + certPassword, "--tls-truststore-password", certPassword,
		"--listener", "SSL.tls-key=" + string(key), "--listener", "SSL.tls-key-password=" + certPassword}
	for _, c := range []struct {
		args, environ []string
	}{
		{args: append([]string{"config", "show"}, direct...)},
		{args: append([]string{"config", "show", "--format", "json"}, direct...)},
		{args: []string{"config", "show", "--config", at("server.properties")}},
		{args: []string{"config", "show", "--format", "json", "--config", at("server.properties")}},
		{args: []string{"config", "check", at("server.properties")}},
		{args: []string{"config", "show", "--listen", "SSL://127.0.0.1:0"}, environ: []string{"KRING_TLS_CERT=" + string(cert), "KRING_TLS_KEY=" + string(key), "KRING_TLS_KEY_PASSWORD=" + certPassword}},
	} {
		var out, stderr bytes.Buffer
		status := run(c.args, c.environ, &out, &stderr, nil)
		all := out.String() + stderr.String()
		if status != exitOK {
			t.Errorf("%.60q: exit status %d: %s", c.args, status, stderr.String())
		}
		if strings.Contains(all, certPassword) || strings.Contains(all, body) {
			t.Errorf("%.60q shows a secret:\n%s", c.args, all)
		}
		if c.args[1] == "show" && !strings.Contains(all, hiddenSecret) {
			t.Errorf("%.60q does not say that something is hidden:\n%s", c.args, all)
		}
	}
}

// TestCertificatesAreReadAgainAsAWholeOrNotAtAll, and what the log says has no secret.
func TestCertificatesAreReadAgainAsAWholeOrNotAtAll(t *testing.T) {
	at, _ := certDir(t)
	var text bytes.Buffer
	log := slog.New(slog.NewTextHandler(&text, nil))
	again := newRereads(log)
	c := serveOf(t, "--listen", "SSL://127.0.0.1:0", "--listen", "B://127.0.0.1:0", "--listener", "B.security=SSL",
		"--tls-cert", at("one.pem"), "--tls-key", at("one-closed.key"), "--tls-key-password", "file:"+at("password"),
		"--listener", "B.tls-keystore="+at("two.p12"), "--listener", "B.tls-keystore-password=file:"+at("password"))
	part, any := c.rereadTLS(log, nil)
	if !any || strings.Join(part.watched, " ") != strings.Join([]string{at("one-closed.key"), at("one.pem"), at("password"), at("two.p12")}, " ") {
		t.Fatalf("watched: %q", part.watched)
	}
	again.add(part)
	cfg := c.serverConfig()
	if err := errors.Join(c.secure(&cfg)...); err != nil {
		t.Fatal(err)
	}
	ssl, b := cfg.Listeners[0].TLS, cfg.Listeners[1].TLS
	is := func(first, second string) {
		t.Helper()
		if certOf(ssl) != first || certOf(b) != second {
			t.Errorf("SSL has the certificate %s, B %s\n%s", certOf(ssl), certOf(b), text.String())
		}
	}
	copyOf := func(from, to string) {
		t.Helper()
		was, err := os.ReadFile(at(from))
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, at(to), was)
	}
	is("one", "two")
	// The certificate of the one is bad: the other, which is good, waits for it.
	copyOf("one.p12", "two.p12")
	copyOf("two.pem", "one.pem")
	again.take(again.parts)
	is("one", "two")
	if !strings.Contains(text.String(), "the certificates stay as they were") || !strings.Contains(text.String(), at("one-closed.key")) || !strings.Contains(text.String(), "does not fit") {
		t.Errorf("the log: %s", text.String())
	}
	copyOf("two-closed.key", "one-closed.key")
	again.take(again.parts)
	is("two", "one")
	writeFile(t, at("password"), []byte("wr0ng\n"))
	again.take(again.parts)
	is("two", "one")
	if strings.Contains(text.String(), certPassword) || strings.Contains(text.String(), "wr0ng") {
		t.Errorf("the log has a password in it: %s", text.String())
	}
}

// A store that is given is not said to be missing because another setting is wrong.
func TestACertificateThatIsGivenIsNeverCalledMissing(t *testing.T) {
	_, _, faults := secured(t, "--listen", "SSL://127.0.0.1:0", "--tls-keystore", "server.p12", "--tls-client-auth", "needed")
	if all := errors.Join(faults...); all == nil || !strings.Contains(all.Error(), "needed") || strings.Contains(all.Error(), "needs a certificate") {
		t.Errorf("faults: %v", all)
	}
}
