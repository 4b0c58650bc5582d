package main

import (
	"crypto/x509/pkix"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"kring/internal/testcerts"

	"github.com/twmb/franz-go/pkg/kgo"
)

// startUpstream starts a kring serve on one listener for a gateway to be in front of.
func startUpstream(t *testing.T, listen string, args ...string) (addr string) {
	t.Helper()
	c := start(t, append([]string{"serve", "--listen", listen}, args...)...)
	c.awaitReady()
	return c.addr
}

// ends ends a gateway, which must not fail by that.
func (c *child) ends() {
	c.t.Helper()
	c.signal(syscall.SIGTERM)
	if status := c.exit(); status != exitOK {
		c.t.Errorf("exit status %d:\n%s", status, c.stderr.String())
	}
}

// TestAGatewayAuthenticatesByATokenFromAFile, which is read again for each attempt.
func TestAGatewayAuthenticatesByATokenFromAFile(t *testing.T) {
	dir := t.TempDir()
	keys, token := filepath.Join(dir, "keys"), filepath.Join(dir, "token")
	issuer, err := testcerts.NewIssuer("k")
	if err != nil {
		t.Fatal(err)
	}
	set, err := issuer.JWKS()
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, keys, set)
	upstream := startUpstream(t, "SASL_PLAINTEXT://127.0.0.1:0", "--sasl", "OAUTHBEARER", "--auth-failure-delay", "0s",
		"--oauth-jwks", keys, "--oauth-issuer", "us", "--oauth-audience", "kafka", "--oauth-algorithms", "RS256")
	write := func(audience string) {
		text, err := issuer.Token("gateway", "us", audience, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, token, []byte(text+"\n"))
	}
	write("others")
	c, at := startGateway(t, upstream, "--upstream-sasl", "OAUTHBEARER", "--upstream-token-file", token)
	c.logged(`msg="broker down" .*does not accept`)
	write("kafka")
	c.logged(`msg="broker up" node=-1 `)
	produceAndConsume(t, at, kgo.FetchMaxWait(100*time.Millisecond))
	c.ends()
}

// TestFilesOfAnUpstreamAreReadAgain on SIGHUP: all of them, or none.
func TestFilesOfAnUpstreamAreReadAgain(t *testing.T) {
	path, ca := certDir(t)
	upstream := startUpstream(t, "SSL://127.0.0.1:0", "--tls-cert", path("one.pem"), "--tls-key", path("one.key"), "--tls-client-ca", path("ca.pem"), "--tls-client-auth", "required")
	other, err := testcerts.New("another CA")
	if err != nil {
		t.Fatal(err)
	}
	trusts, cert, key := path("trusts.pem"), path("shown.pem"), path("shown.key")
	show := func(by *testcerts.Authority) {
		shown, err := by.Issue(testcerts.Spec{Subject: pkix.Name{CommonName: "gateway"}, Client: true})
		if err != nil {
			t.Fatal(err)
		}
		text, err := shown.KeyPEM("")
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, cert, shown.CertPEM())
		writeFile(t, key, text)
	}
	writeFile(t, trusts, other.CertPEM())
	show(other)
	c, at := startGateway(t, upstream, "--upstream-tls", "--upstream-ca", trusts, "--upstream-cert", cert, "--upstream-key", key)
	c.logged(`msg="broker down" node=-1 .*certificate`)
	writeFile(t, trusts, ca.CertPEM())
	writeFile(t, key, []byte("no key"))
	c.signal(syscall.SIGHUP)
	c.logged(`the files of --upstream-\* stay as they were.*--upstream-cert`)
	show(ca)
	c.signal(syscall.SIGHUP)
	c.logged(`the files of --upstream-\* were read again`)
	c.logged(`msg="broker up" node=-1 `)
	produceAndConsume(t, at, kgo.FetchMaxWait(100*time.Millisecond))
	c.ends()
}
