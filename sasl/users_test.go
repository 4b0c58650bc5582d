package sasl

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestABadUsersFileLeavesTheUsersAsTheyWere(t *testing.T) {
	users := usersWith(t, "alice", "bob")
	good, err := os.ReadFile(users.Path())
	if err != nil {
		t.Fatal(err)
	}
	text := string(good)
	for name, bad := range map[string]string{
		"nothing":              "",
		"half of it":           text[:len(text)/2],
		"passwords":            "alice=" + canary + "\n",
		"a string":             `"` + canary + `"`,
		"another version":      strings.Replace(text, `"version": 1`, `"version": 2`, 1),
		"an unknown field":     strings.Replace(text, `"salt"`, `"`+canary+`"`, 1),
		"a user twice":         strings.Replace(text, `"bob"`, `"alice"`, 1),
		"a user without name":  strings.Replace(text, `"bob"`, `""`, 1),
		"a name with a NUL":    strings.Replace(text, `"bob"`, `"b\u0000b"`, 1),
		"too few iterations":   strings.Replace(text, `"iterations": 4096`, `"iterations": 4095`, 1),
		"too many iterations":  strings.Replace(text, `"iterations": 4096`, `"iterations": 16385`, 1),
		"another hash":         strings.Replace(text, passwordHash, "MD5", 1),
		"two files":            text + text,
		"no secret for decoys": strings.Replace(text, `"decoy": "`, `"decoy": "", "x": "`, 1),
	} {
		if err := os.WriteFile(users.Path(), []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		err := users.Reload()
		hides(t, err)
		if err == nil || !strings.Contains(err.Error(), users.Path()) || users.Len() != 2 {
			t.Errorf("%s: %v; %d users", name, err, users.Len())
		}
	}
	if err := os.WriteFile(users.Path(), good, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := users.Edit(func(l *UserList) error { l.Remove("bob"); return nil }); err != nil || users.Len() != 1 {
		t.Errorf("%d users, %v", users.Len(), err)
	}
	if ok, _ := users.CheckPassword(t.Context(), "bob", []byte(canary+"bob")); ok {
		t.Error("a removed user logs in")
	}
}

// What could not be read again is not written: the file and the users stay as they were.
func TestAnEditThatCouldNotBeReadAgainIsNotMade(t *testing.T) {
	users := usersWith(t, "alice", "bob")
	good, err := os.ReadFile(users.Path())
	if err != nil {
		t.Fatal(err)
	}
	err = users.Edit(func(l *UserList) error {
		l.Find("alice").Plain = &PasswordCredential{Salt: []byte("salt"), Iterations: 1}
		return nil
	})
	hides(t, err)
	if now, _ := os.ReadFile(users.Path()); err == nil || !bytes.Equal(now, good) {
		t.Errorf("it was written: %v", err)
	}
	if ok, _ := users.CheckPassword(t.Context(), "alice", []byte(canary+"alice")); !ok {
		t.Error("alice can't log in any more")
	}
}

func TestTwoWritersLoseNothing(t *testing.T) {
	users := usersWith(t, "alice")
	var all sync.WaitGroup
	for w := range 4 {
		all.Go(func() {
			for i := range 10 {
				err := EditUsers(users.Path(), func(l *UserList) error {
					_, err := l.Add(fmt.Sprintf("user-%d-%d", w, i))
					return err
				})
				if err != nil {
					t.Error(err)
				}
				if err := users.Reload(); err != nil { // a reader sees whole files only
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if n := users.Len(); n != 41 {
		t.Errorf("%d users, want 41", n)
	}
	left, err := filepath.Glob(users.Path() + ".new*")
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestAUsersFileIsItsOwnersAlone(t *testing.T) {
	users := usersWith(t, "alice")
	mode := func() os.FileMode {
		st, err := os.Stat(users.Path())
		if err != nil {
			t.Fatal(err)
		}
		return st.Mode().Perm()
	}
	if mode() != 0o600 {
		t.Errorf("made with mode %v", mode())
	}
	if err := os.Chmod(users.Path(), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := users.Edit(func(l *UserList) error { l.Remove("alice"); return nil }); err != nil || mode() != 0o600 {
		t.Errorf("changed: mode %v, %v", mode(), err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(users.Path(), link); err != nil {
		t.Fatal(err)
	}
	if err := EditUsers(link, func(l *UserList) error { _, err := l.Add("bob"); return err }); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Lstat(link); err != nil || st.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is none any more: %v", err)
	}
	if err := users.Reload(); err != nil || users.List().Find("bob") == nil {
		t.Errorf("the file behind the link was not changed: %v", err)
	}
}

func TestARememberedPasswordIsForgottenWithItsUser(t *testing.T) {
	users := usersWith(t, "alice")
	check := func(password string) bool {
		ok, err := users.CheckPassword(t.Context(), "alice", []byte(password))
		if err != nil {
			t.Fatal(err)
		}
		return ok
	}
	remembers := func(password string) bool { return users.RemembersPassword("alice", []byte(password)) }
	if remembers(canary+"alice") || users.RemembersPassword("nobody", []byte(canary)) {
		t.Error("it is remembered before it was right")
	}
	if !check(canary+"alice") || !remembers(canary+"alice") || remembers("another") || users.now.Load().byName["alice"].right.Load() == nil {
		t.Fatal("it is not remembered")
	}
	if err := users.Reload(); err != nil || users.now.Load().byName["alice"].right.Load() == nil {
		t.Errorf("forgotten with every reload: %v", err)
	}
	err := users.Edit(func(l *UserList) error {
		c, err := NewPasswordCredential([]byte("another"), passwordIterationsMin)
		l.Find("alice").Plain = &c
		return err
	})
	if err != nil || remembers(canary+"alice") || check(canary+"alice") || !check("another") {
		t.Errorf("after a change the old password holds: %v", err)
	}
}

func BenchmarkPasswordCredential(b *testing.B) {
	for b.Loop() {
		if _, err := NewPasswordCredential([]byte("a password"), 0); err != nil {
			b.Fatal(err)
		}
	}
}
