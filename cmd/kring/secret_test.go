package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// TestASecretIsHiddenHoweverItIsPrinted: by every verb, logger and encoder, alone and
// inside of what contains it.
func TestASecretIsHiddenHoweverItIsPrinted(t *testing.T) {
	const value = "opensesame"
	var s secret
	if err := s.UnmarshalText([]byte(value)); err != nil || s.reveal() != value {
		t.Fatalf("%q, %v", s.reveal(), err)
	}
	var out strings.Builder
	within := struct {
		S secret
		P *secret
		M map[string]secret
		s secret
		p *secret
	}{s, &s, map[string]secret{"m": s}, s, &s}
	for _, verb := range strings.Split("v +v #v s q x X d t p w 10s T", " ") {
		fmt.Fprintf(&out, "%"+verb+" %"+verb+" %"+verb+"\n", s, &s, within)
	}
	fmt.Fprintln(&out, s, &s, within, errors.Join(fmt.Errorf("no such user: %v", s)))
	text, err := json.Marshal(within)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(text)
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(h).Info("a line", "s", s, "p", &s, "within", within)
	}
	for _, leak := range []string{value, fmt.Sprintf("%x", value), fmt.Sprintf("%X", value), "sesame"} {
		if strings.Contains(out.String(), leak) {
			t.Errorf("%q is in\n%s", leak, out.String())
		}
	}
	if n := strings.Count(out.String(), hiddenSecret); n < 20 {
		t.Errorf("%s is there only %d times in\n%s", hiddenSecret, n, out.String())
	}
}

func TestASecretIsReadFromItsFileAndAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "password")
	write := func(text []byte) {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var s secret
	if err := s.UnmarshalText([]byte("file:" + path)); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("without the file: %v", err)
	}
	for text, want := range map[string]string{"a": "a", "a\n": "a", "a\r\n": "a", " a b \n": " a b ", "a\n\n": "a\n"} {
		write([]byte(text))
		if err := s.UnmarshalText([]byte("file:" + path)); err != nil || s.reveal() != want || s.file() != path {
			t.Errorf("%q: %q, %v", text, s.reveal(), err)
		}
	}
	write([]byte("next"))
	if err := s.reread(); err != nil || s.reveal() != "next" {
		t.Errorf("read again: %q, %v", s.reveal(), err)
	}
	for _, text := range [][]byte{nil, []byte("\n"), bytes.Repeat([]byte("x"), secretBytesMax+1)} {
		write(text)
		if err := s.reread(); err == nil || !strings.Contains(err.Error(), path) || s.reveal() != "next" {
			t.Errorf("%d bytes: %v; now %d bytes", len(text), err, len(s.reveal()))
		}
	}
}

// TestAnArgumentTooManyIsNotShownWhereItMayBeAPassword.
func TestAnArgumentTooManyIsNotShownWhereItMayBeAPassword(t *testing.T) {
	for _, args := range [][]string{
		{"user", "add", "alice", "hunter2", "--users", "f"}, {"user", "add", "--users", "f", "alice", "hunter2"}, {"user", "remove", "alice", "hunter2", "--users", "f"},
		{"serve", "--tls-keystore-password", "correct", "hunter2"}, {"serve", "--tls-key-password=", "hunter2"}, {"serve", "--listener", "SSL.tls-key-password=a", "hunter2"},
		{"config", "show", "--tls-truststore-password", "=", "hunter2"},
	} {
		var stdout, stderr bytes.Buffer
		status := run(args, nil, &stdout, &stderr, nil)
		if status != exitUsage || strings.Contains(stdout.String()+stderr.String(), "hunter2") || !strings.Contains(stderr.String(), "not shown") {
			t.Errorf("%q: status %d, %s", args, status, stderr.String())
		}
	}
	var stdout, stderr bytes.Buffer
	if run([]string{"serve", "unasked"}, nil, &stdout, &stderr, nil); !strings.Contains(stderr.String(), "unasked") {
		t.Errorf("one that is no password is shown: %s", stderr.String())
	}
}

// TestASecretThatBeginsWithADashIsTakenAndNotShown, by every flag that is one; and no flag has
// the name of one that is none.
func TestASecretThatBeginsWithADashIsTakenAndNotShown(t *testing.T) {
	seen := 0
	for _, node := range newParser(new(grammar), io.Discard, io.Discard).Model.Children {
		for _, flag := range node.Flags {
			isSecret := flag.Target.Type() == reflect.TypeFor[secret]()
			if isSecret != strings.HasSuffix(flag.Name, passwordSuffix) {
				t.Errorf("--%s of %s: a secret: %v, and its name says otherwise", flag.Name, node.Name, isSecret)
			}
			for _, value := range []string{"-hunter2", "--hunter2"} {
				if !isSecret {
					continue
				}
				seen++
				var stdout, stderr bytes.Buffer
				run([]string{node.Name, "--" + flag.Name, value, "--no-such-flag"}, nil, &stdout, &stderr, nil)
				if text := stdout.String() + stderr.String(); strings.Contains(text, "hunter2") || !strings.Contains(text, "--no-such-flag") {
					t.Errorf("--%s %s: %s", flag.Name, value, text)
				}
			}
		}
	}
	if seen < 8 {
		t.Errorf("only %d secrets", seen)
	}
}

// TestAURLOfKeysIsShownWithoutWhatIsSecretInIt.
func TestAURLOfKeysIsShownWithoutWhatIsSecretInIt(t *testing.T) {
	for is, want := range map[string]string{
		"/etc/jwks.json": "/etc/jwks.json", "https://h.example/keys": "https://h.example/keys",
		"https://u:hunter2@h.example/keys": "https://h.example/keys [hidden]", "https://h.example/keys?t=hunter2": "https://h.example/keys [hidden]",
		"https://h.example/#hunter2": "https://h.example/ [hidden]", "https://u:hunter2 @h.example/": "https://[hidden]",
	} {
		var out, stderr bytes.Buffer
		status := run([]string{"config", "show", "--oauth-jwks", is}, nil, &out, &stderr, nil)
		if text := out.String(); status != exitOK || strings.Contains(text+stderr.String(), "hunter2") || !strings.Contains(text, " "+want+" ") {
			t.Errorf("%s: status %d, %s%s", is, status, stderr.String(), text)
		}
	}
}
