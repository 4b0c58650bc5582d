//go:build unix

package main

import (
	"context"
	"encoding/binary"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	kgosasl "github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"kring/sasl"
)

// canaryPassword must be on no stream of the program.
const canaryPassword = "canary-9e41"

// writeUsers makes a users file with alice, whose password is the canary.
func writeUsers(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "users")
	err := sasl.EditUsers(path, func(l *sasl.UserList) error {
		u, err := l.Add("alice")
		if err != nil {
			return err
		}
		cheap, err := sasl.NewPasswordCredential([]byte(canaryPassword), 10_000)
		if err != nil {
			return err
		}
		u.Plain = &cheap
		return u.SetPassword([]byte(canaryPassword), []string{sasl.SCRAMSHA256, sasl.SCRAMSHA512}, 4096)
	})
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// TestNoSecretIsOnAnyStream: of the program that serves, with every line that it logs, its
// state, a users file that is replaced by a list of passwords, and the traces of a crash.
func TestNoSecretIsOnAnyStream(t *testing.T) {
	users := writeUsers(t)
	keys := filepath.Join(t.TempDir(), "keys")
	set := `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`
	if err := os.WriteFile(keys, []byte(set), 0o600); err != nil {
		t.Fatal(err)
	}
	c := serve(t, "--listen", "SASL_PLAINTEXT://127.0.0.1:0", "--sasl", "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER", "--users", users,
		"--oauth-jwks", keys, "--oauth-issuer", "us", "--oauth-audience", "kring", "--oauth-algorithms", "EdDSA",
		"--handler", "null", "--log-level", "debug", "--auth-failure-delay", "0s")
	fields := strings.FieldsFunc(c.ready, func(r rune) bool { return r == ' ' || r == ',' })
	addr := fields[4] // kring: ready on FIRST, SECOND
	ping := func(m kgosasl.Mechanism) error {
		client, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.SASL(m), kgo.RequestRetries(0))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		ctx, cancel := context.WithTimeout(t.Context(), deadline)
		defer cancel()
		return client.Ping(ctx)
	}
	alice := scram.Auth{User: "alice", Pass: canaryPassword}
	for _, m := range []kgosasl.Mechanism{plain.Auth{User: "alice", Pass: canaryPassword}.AsMechanism(), alice.AsSha256Mechanism(), alice.AsSha512Mechanism()} {
		if err := ping(m); err != nil {
			t.Errorf("%s: %v", m.Name(), err)
		}
	}
	for _, m := range []kgosasl.Mechanism{
		plain.Auth{User: "alice", Pass: canaryPassword + "x"}.AsMechanism(), plain.Auth{User: "bob", Pass: canaryPassword}.AsMechanism(),
		oauth.Auth{Token: "e30." + canaryPassword + ".e30"}.AsMechanism(),
	} {
		if err := ping(m); err == nil || strings.Contains(err.Error(), canaryPassword) {
			t.Errorf("%s: %v", m.Name(), err)
		}
	}
	// Tokens and client ids in the wrong place.
	for _, payload := range []string{"\x00alice\x00" + canaryPassword, "\x00\x03\x00\x09\x00\x00\x00\x01\x00\x0b" + canaryPassword + "\x00\x00\x00\x00\x00\x00"} {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(payload))), payload...)); err != nil {
			t.Fatal(err)
		}
		_, _ = conn.Read(make([]byte, 1))
		_ = conn.Close()
	}
	c.logged("reason=authentication_failed")
	c.logged("reason=not_authenticated")
	writeFile(t, users, []byte("alice "+canaryPassword+"\n"))
	c.signal(syscall.SIGHUP)
	c.logged("the users stay as they were")
	if err := ping(alice.AsSha256Mechanism()); err != nil {
		t.Errorf("after a bad users file: %v", err)
	}
	c.signal(syscall.SIGUSR1)
	c.logged("goroutines=")
	c.signal(syscall.SIGQUIT) // as a crash: all goroutines are shown
	c.exit()
	if all := c.ready + c.stderr.String(); strings.Contains(all, canaryPassword) || strings.Contains(all, "63616e6172792d39") {
		t.Errorf("the password is in\n%s", all)
	}
}
