package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

func TestASASLListenerIsOneOrIsRefused(t *testing.T) {
	listen := []string{"--listen", "SASL_PLAINTEXT://127.0.0.1:0"}
	oauth := []string{"--oauth-jwks", "keys", "--oauth-issuer", "us", "--oauth-audience", "kring"}
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"--sasl", "PLAIN"}, "--sasl: no listener has SASL"},
		{[]string{"--users", "f"}, "--users: no listener has SASL"},
		{append(listen, "--sasl", "GSSAPI"), `--sasl: "GSSAPI" is no mechanism`},
		{append(listen, "--sasl", "PLAIN,PLAIN"), "PLAIN is there twice"},
		{append(listen, "--sasl", "PLAIN", "--max-reauth", "10ms"), "give 1s or more"},
		{append(listen, "--sasl", "PLAIN", "--auth-failure-delay=-1s"), "--auth-failure-delay -1s"},
		{append(listen, "--sasl", "PLAIN", "--sasl-frame-bytes", "1"), "--sasl-frame-bytes 1"},
		{append(listen, "--sasl", "OAUTHBEARER"), "--oauth-issuer: OAUTHBEARER needs it"},
		{append(append(listen, "--sasl", "OAUTHBEARER", "--oauth-algorithms", "none"), oauth...), `--oauth-algorithms: "none"`},
		{append(listen, "--listener", "SASL_PLAINTEXT.sasl=GSSAPI"), "is no mechanism"},
		{append(listen, "--listener", "SASL_PLAINTEXT.max-reauth=soon"), "is no duration"},
		{append(listen, "--listener", "SASL_PLAINTEXT.users="), "no file is given"},
	} {
		var stderr bytes.Buffer
		if cmd, code := parse(append([]string{"serve"}, c.args...), settingsOf(nil), new(bytes.Buffer), &stderr); cmd != nil || code != 2 || !strings.Contains(stderr.String(), c.says) {
			t.Errorf("%q: exit status %d, %s", c.args, code, stderr.String())
		}
	}
	for _, c := range []struct {
		args []string
		says string
	}{
		{listen, "no mechanism is given"},
		{append(listen, "--sasl", "SCRAM-SHA-256"), "needs users"},
		{append(listen, "--sasl", "PLAIN", "--users", "f", "--handler", "echo"), "--handler echo"},
	} {
		cmd := serveOf(t, c.args...)
		cfg := cmd.serverConfig()
		if faults := cmd.secure(&cfg); len(faults) != 1 || !strings.Contains(faults[0].Error(), c.says) {
			t.Errorf("%q: %v", c.args, faults)
		}
	}
}

func TestListenersHaveMechanismsAndUsersOfTheirOwn(t *testing.T) {
	c := serveOf(t, "--listen", "SASL_PLAINTEXT://127.0.0.1:0", "--listen", "INSIDE://127.0.0.1:0", "--listen", "OPEN://127.0.0.1:0",
		"--listener", "INSIDE.security=SASL_PLAINTEXT", "--listener", "INSIDE.sasl=PLAIN,SCRAM-SHA-256", "--listener", "INSIDE.users=g",
		"--listener", "INSIDE.max-reauth=1h", "--sasl", "SCRAM-SHA-512", "--users", "f", "--max-reauth", "2h", "--max-frame-bytes", "100KiB")
	cfg := c.serverConfig()
	if faults := c.secure(&cfg); len(faults) > 0 {
		t.Fatal(faults)
	}
	if of := c.saslOf("INSIDE"); strings.Join(of.mechanisms, " ") != "PLAIN SCRAM-SHA-256" || of.users != "g" || of.maxReauth.Hours() != 1 {
		t.Errorf("%+v", of)
	}
	if of := c.saslOf("SASL_PLAINTEXT"); strings.Join(of.mechanisms, " ") != "SCRAM-SHA-512" || of.users != "f" || of.maxReauth.Hours() != 2 {
		t.Errorf("%+v", of)
	}
	for i, want := range []int{saslFrameBytesMax, saslFrameBytesMax, 0} {
		if got := cfg.Listeners[i].Limits.FrameBytesMaxUnauthenticated; got != want {
			t.Errorf("%s: strangers may send %d bytes, want %d", cfg.Listeners[i].Name, got, want)
		}
	}
}

// TestARereadNeverOpensASASLListener: a listener that is added while kring serves has nobody
// who authenticates its clients, and one that stays keeps its bound for strangers.
func TestARereadNeverOpensASASLListener(t *testing.T) {
	old := []string{"--listen", "SASL_PLAINTEXT://127.0.0.1:0", "--sasl", "PLAIN", "--users", "f"}
	was := serveOf(t, old...)
	next := serveOf(t, append(old, "--listen", "SASL_SSL://127.0.0.1:0", "--listen", "OPEN://127.0.0.1:0")...)
	if faults := next.addedSASL(was, was); len(faults) != 1 || !strings.Contains(faults[0].Error(), "--listen SASL_SSL://") {
		t.Errorf("%v", faults)
	}
	before, after := was.serverConfig(), &running{c: was, cfg: was.serverConfig()}
	if faults := was.secure(&before); len(faults) > 0 {
		t.Fatal(faults)
	}
	l := &live{log: slog.New(slog.DiscardHandler), now: &running{c: was, cfg: before}}
	if faults := after.keep(l); len(faults) > 0 || after.cfg.Listeners[0].Limits.FrameBytesMaxUnauthenticated != saslFrameBytesMax {
		t.Errorf("%v; strangers may send %d bytes", faults, after.cfg.Listeners[0].Limits.FrameBytesMaxUnauthenticated)
	}
}
