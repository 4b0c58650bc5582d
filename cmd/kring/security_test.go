package main

import (
	"bytes"
	"strings"
	"testing"
)

// serveOf parses args, which must be right.
func serveOf(t *testing.T, args ...string) *serveCmd {
	t.Helper()
	var stderr bytes.Buffer
	command, code := parse(append([]string{"serve"}, args...), settingsOf(nil), new(bytes.Buffer), &stderr)
	if command == nil {
		t.Fatalf("%q: exit status %d, %s", args, code, stderr.String())
	}
	return command.Selected().Target.Addr().Interface().(*serveCmd)
}

func TestAListenerSpeaksTheProtocolThatItIsNamedAfterOrGiven(t *testing.T) {
	c := serveOf(t, "--listen", "127.0.0.1:0", "--listen", "SSL://127.0.0.1:0", "--listen", "SASL_PLAINTEXT://127.0.0.1:0",
		"--listen", "SASL_SSL://127.0.0.1:0", "--listen", "OUTSIDE://127.0.0.1:0", "--listen", "INSIDE://127.0.0.1:0",
		"--listener", "OUTSIDE.security=SASL_SSL")
	for name, want := range map[string]struct{ tls, sasl bool }{
		"PLAINTEXT": {false, false}, "SSL": {true, false}, "SASL_PLAINTEXT": {false, true}, "SASL_SSL": {true, true},
		"OUTSIDE": {true, true}, "INSIDE": {false, false},
	} {
		if p := c.security(name); p.TLS() != want.tls || p.SASL() != want.sasl {
			t.Errorf("%s speaks %s", name, p)
		}
	}
}

// TestAListenerIsNeverInPlainTextByMistake: a wrong protocol, or TLS without a
// certificate, is an error that names the flag.
func TestAListenerIsNeverInPlainTextByMistake(t *testing.T) {
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"--listen", "ssl://127.0.0.1:0"}, "the protocol is written SSL"},
		{[]string{"--listen", "Sasl_Ssl://127.0.0.1:0"}, "the protocol is written SASL_SSL"},
		{[]string{"--listen", "A://127.0.0.1:0", "--listener", "A.security=TLS"}, "give one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL"},
		{[]string{"--listen", "SSL://127.0.0.1:0", "--listener", "SSL.security=PLAINTEXT"}, "give it another name with --listen"},
	} {
		var stderr bytes.Buffer
		if cmd, code := parse(append([]string{"serve"}, c.args...), settingsOf(nil), new(bytes.Buffer), &stderr); cmd != nil || code != 2 || !strings.Contains(stderr.String(), c.says) {
			t.Errorf("%q: exit status %d, %s", c.args, code, stderr.String())
		}
	}
	c := serveOf(t, "--listen", "SSL://127.0.0.1:0", "--listen", "A://127.0.0.1:0")
	cfg := c.serverConfig()
	faults := c.secure(&cfg)
	if len(faults) != 1 || !strings.Contains(faults[0].Error(), "--listen SSL://") || !strings.Contains(faults[0].Error(), "--tls-cert") {
		t.Errorf("faults %v", faults)
	}
}
