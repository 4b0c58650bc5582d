package main

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestAChangeThatASignalDidNotTakeIsTakenLater: what is not taken because another part is bad
// was not read, so its file is read by itself like any other that has changed.
func TestAChangeThatASignalDidNotTakeIsTakenLater(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	var prepared, applied [2]int
	var prepareErr, applyErr [2]error
	r := newRereads(slog.New(slog.DiscardHandler))
	good := partNamed("good", &prepared[0], &applied[0], &prepareErr[0], &applyErr[0])
	good.watched = []string{file}
	bad := partNamed("bad", &prepared[1], &applied[1], &prepareErr[1], &applyErr[1])
	r.add(good)
	r.add(bad)
	for i, fails := range []func(error){
		func(err error) { prepareErr[1] = err },
		func(err error) {
			r.parts[1].around = func(rest func()) error {
				if err == nil {
					rest()
				}
				return err
			}
		},
	} {
		fails(errors.New("bad"))
		if err := os.WriteFile(file, []byte(strings.Repeat("1", i+1)), 0o600); err != nil {
			t.Fatal(err)
		}
		was := applied[0]
		r.all(os.Interrupt)
		if applied[0] != was {
			t.Fatalf("%d: it was taken though the other is bad", i)
		}
		for range 3 {
			r.look()
		}
		if applied[0] != was+1 {
			t.Errorf("%d: its change was taken %d times, want once", i, applied[0]-was)
		}
		fails(nil)
		r.all(os.Interrupt)
		was = applied[0]
		for range 3 {
			r.look()
		}
		if applied[0] != was {
			t.Errorf("%d: it was read again without a change", i)
		}
	}
}

// TestAccountsAreReadAgain: a file of accounts is one that a setting names.
func TestAccountsAreReadAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "jaas")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`org.apache.kafka.common.security.plain.PlainLoginModule required user_alice="one" user_bob="two";`)
	c := serveOf(t, "--listen", "SASL_PLAINTEXT://127.0.0.1:0", "--sasl", "PLAIN", "--listener", "SASL_PLAINTEXT.plain-users=file:"+file)
	var out strings.Builder
	r := newRereads(slog.New(slog.NewTextHandler(&out, nil)))
	a := new(authentication)
	accounts, err := a.plainAccounts(c.saslOf("SASL_PLAINTEXT").accounts, r)
	if err != nil {
		t.Fatal(err)
	}
	is := func(user, password string, want bool) {
		t.Helper()
		if got, err := accounts.CheckPassword(t.Context(), user, []byte(password)); got != want || err != nil {
			t.Errorf("%s with %q: %v, %v, want %v", user, password, got, err, want)
		}
	}
	is("alice", "one", true)
	is("bob", "two", true)
	write(`org.apache.kafka.common.security.plain.PlainLoginModule required user_alice="three";`)
	r.all(os.Interrupt)
	is("alice", "one", false)
	is("alice", "three", true)
	is("bob", "two", false)
	write("nothing")
	r.all(os.Interrupt)
	is("alice", "three", true)
	write(`org.apache.kafka.common.security.plain.PlainLoginModule required user_carol="four";`)
	for range 3 {
		r.look() // without a signal
	}
	is("alice", "three", false)
	is("carol", "four", true)
	if strings.Contains(out.String(), "three") {
		t.Errorf("the log has a password:\n%s", out.String())
	}
}

// TestAListenerThatComesBackAuthenticatesAsItSays, or it does not come back.
func TestAListenerThatComesBackAuthenticatesAsItSays(t *testing.T) {
	rest := []string{"--listen", "OPEN://127.0.0.1:0"}
	with := func(own ...string) *serveCmd {
		all := append([]string{"--listen", "SASL_PLAINTEXT://127.0.0.1:0", "--sasl", "PLAIN", "--users", "f"}, rest...)
		for _, s := range own {
			all = append(all, "--listener", "SASL_PLAINTEXT."+s)
		}
		return serveOf(t, all...)
	}
	start, gone := with("users=f"), serveOf(t, rest...)
	for setting, want := range map[string]int{"users=f": 0, "users=g": 1, "sasl=SCRAM-SHA-256": 1, "max-reauth=1h": 1} {
		if faults := with(setting).addedSASL(start, gone); len(faults) != want {
			t.Errorf("%s: %v, want %d faults", setting, faults, want)
		}
		if faults := with(setting).addedSASL(start, start); len(faults) != 0 {
			t.Errorf("%s, of a listener that stays: %v is said twice", setting, faults)
		}
	}
}
