package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
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
