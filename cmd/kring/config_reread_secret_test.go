package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestASecretWhoseFileWasReplacedIsNoOtherSetting: its file is read again by itself. It was taken
// for a flag that can't change, and so every SIGHUP of a gateway was refused after a rotation.
func TestASecretWhoseFileWasReplacedIsNoOtherSetting(t *testing.T) {
	dir := t.TempDir()
	read := func(file, content string) (s secret) {
		t.Helper()
		path := filepath.Join(dir, file)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := s.UnmarshalText([]byte(secretFromFile + path)); err != nil {
			t.Fatal(err)
		}
		return s
	}
	given := func(value string) (s secret) {
		if err := s.UnmarshalText([]byte(value)); err != nil {
			t.Fatal(err)
		}
		return s
	}
	for _, c := range []struct {
		what string
		a, b any
		want bool
	}{
		{"one file, another content", read("a", "old"), read("a", "new"), true},
		{"two files of the same content", read("a", "same"), read("b", "same"), false},
		{"a file, and what it has", read("a", "same"), given("same"), false},
		{"two values", given("old"), given("new"), false},
		{"the same value", given("same"), given("same"), true},
		{"none", secret{}, secret{}, true},
		{"what is no secret", []string{"a"}, []string{"a"}, true},
		{"another", []string{"a"}, []string{"b"}, false},
	} {
		if got := sameValue(c.a, c.b); got != c.want {
			t.Errorf("%s: the same: %v", c.what, got)
		}
	}
}
