//go:build unix

package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestAPipeIsNotReadAgain: nobody may write into it any more, and the signal would wait for
// that, and all watched files.
func TestAPipeIsNotReadAgain(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	reads := map[string]func() error{
		"a configuration": func() error { _, err := readBounded(pipe, 1<<10); return err },
		"a secret":        func() error { return new(secret).UnmarshalText([]byte(secretFromFile + pipe)) },
		"quotas":          func() error { _, err := readQuotaFile(pipe); return err },
		"watched":         func() error { _, err := os.ReadFile(pipe); return err },
	}
	for what, read := range reads {
		t.Run(what, func(t *testing.T) {
			var out strings.Builder
			r := newRereads(slog.New(slog.NewTextHandler(&out, nil)))
			part := reloadable{again: "read", kept: "kept", prepare: func() (func() error, error) { return func() error { return nil }, read() }}
			if what == "watched" {
				part.watched = []string{pipe}
			}
			r.add(part)
			over := make(chan struct{})
			go func() { r.all(os.Interrupt); close(over) }()
			select {
			case <-over:
			case <-time.After(deadline):
				t.Fatal("it waits for somebody who writes")
			}
			if !strings.Contains(out.String(), "kept") || !strings.Contains(out.String(), pipe) {
				t.Errorf("the log has %q", out.String())
			}
		})
	}
}
