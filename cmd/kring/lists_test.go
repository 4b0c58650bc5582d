package main

import (
	"bytes"
	"strings"
	"testing"
)

// TestEachValueOfAListIsLookedAt: a wrong one among right ones, an empty one, and one that is
// there twice where that has no meaning, are errors that name the flag.
func TestEachValueOfAListIsLookedAt(t *testing.T) {
	cert := []string{"--listen", "SSL://127.0.0.1:0", "--tls-cert", "no.pem", "--tls-key", "no.key"}
	users := []string{"--listen", "SASL_PLAINTEXT://127.0.0.1:0", "--users", "no.users"}
	tokens := []string{"--listen", "SASL_PLAINTEXT://127.0.0.1:0", "--sasl", "OAUTHBEARER", "--oauth-jwks", "no.jwks", "--oauth-issuer", "i", "--oauth-audience", "a", "--oauth-algorithms", "RS256"}
	for _, c := range []struct {
		args []string
		says string
	}{
		{append(cert, "--tls-protocols", "TLSv1.2,TLSv1.1,TLSv1.3"), "--tls-protocols"},
		{append(cert, "--tls-protocols", "TLSv1.2,,TLSv1.3"), "--tls-protocols"},
		{append(cert, "--tls-protocols", "TLSv1.2,TLSv1.2"), "--tls-protocols"},
		{append(cert, "--listener", "SSL.tls-protocols=TLSv1.2,SSLv3,TLSv1.3"), "tls-protocols"},
		{append(cert, "--tls-cipher-suites", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,NO_SUCH,TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"), "--tls-cipher-suites"},
		{append(cert, "--tls-cipher-suites", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,,TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"), "--tls-cipher-suites"},
		{append(cert, "--tls-alpn", "kafka,,other"), "--tls-alpn"},
		{append(cert, "--tls-alpn", "kafka,other,kafka"), "--tls-alpn"},
		{append(cert, "--listener", "SSL.tls-alpn=kafka,,other"), "tls-alpn"},
		{append(users, "--sasl", "PLAIN,GSSAPI,SCRAM-SHA-512"), "--sasl"},
		{append(users, "--sasl", "PLAIN,,SCRAM-SHA-512"), "--sasl"},
		{append(tokens, "--oauth-algorithms", "RS256,none,ES256"), "--oauth-algorithms"},
		{append(tokens, "--oauth-audience", "a,,b"), "--oauth-audience"},
		{[]string{"--proxy-protocol", "10.0.0.0/8,ten,fd00::/8"}, "--proxy-protocol"},
		{[]string{"--priority-api", "Metadata,NoSuchAPI,Produce"}, "--priority-api"},
		{[]string{"--ip-limit", "10.0.0.1=1,=2,10.0.0.3=3"}, "--ip-limit"},
		{[]string{"--seed-topic", "a:1,:2,c:3"}, "--seed-topic"},
		{[]string{"--http", "127.0.0.1:0", "--http-hosts", "a,http://b,c"}, "--http-hosts"},
		{[]string{"--advertise", "a:1", "--listener", "PLAINTEXT.proxy-protocol=10.0.0.0/8,ten,::1"}, "proxy-protocol"},
		{[]string{"--super-users", "User:a;nobody;User:c", "--acl", "no.acl"}, "--super-users"},
	} {
		var stdout, stderr bytes.Buffer
		status := run(append([]string{"serve", "--handler", "null"}, c.args...), nil, &stdout, &stderr, nil)
		if status != exitUsage || !strings.Contains(stderr.String(), c.says) {
			t.Errorf("%q: status %d, %s", c.args, status, stderr.String())
		}
	}
}

// TestAWrongCommandLineNamesItsOwnHelp, not that of serve.
func TestAWrongCommandLineNamesItsOwnHelp(t *testing.T) {
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"acl", "check"}, "kring acl --help"}, {[]string{"user", "add"}, "kring user --help"},
		{[]string{"config", "check", "--nowhere"}, "kring config --help"}, {[]string{"serve", "--nowhere"}, "kring serve --help"},
		{[]string{"--nowhere"}, "kring serve --help"},
	} {
		var stdout, stderr bytes.Buffer
		if status := run(c.args, nil, &stdout, &stderr, nil); status != exitUsage || !strings.Contains(stderr.String(), c.says) {
			t.Errorf("%q: status %d, %s", c.args, status, stderr.String())
		}
	}
}
