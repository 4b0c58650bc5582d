//go:build unix

package main

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestASideDoorTakesTheSocketThatAKilledProcessLeft, and leaves none itself; one that
// somebody listens on it does not take.
func TestASideDoorTakesTheSocketThatAKilledProcessLeft(t *testing.T) {
	dir, err := os.MkdirTemp("", "kring") // a path of few bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "http")
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	args := []string{"--listen", "127.0.0.1:0", "--handler", "null", "--http", "unix:" + path}
	if status := run(append([]string{"serve"}, args...), nil, io.Discard, &stderr, nil); status != exitFailure || !strings.Contains(stderr.String(), "--http unix:"+path) {
		t.Errorf("status %d, %s", status, stderr.String())
	}
	left.SetUnlinkOnClose(false)
	_ = left.Close()
	c := serve(t, args...)
	c.signal(os.Interrupt)
	if status := c.exit(); status != exitOK {
		t.Errorf("status %d, %s", status, c.stderr.String())
	}
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the socket is still there: %v", err)
	}
}

// TestTheSideDoorShowsNoFlags: they may have passwords.
func TestTheSideDoorShowsNoFlags(t *testing.T) {
	args, door := withHTTP(t, "--handler", "null", "--http-pprof")
	serve(t, args...)
	if status, body := door.get("/debug/pprof/cmdline"); status != 200 || strings.Contains(body, "--") {
		t.Errorf("status %d, %q", status, body)
	}
}
