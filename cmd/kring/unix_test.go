//go:build unix

package main

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestAUnixDomainSocketIsServedFromTheCommandLine(t *testing.T) {
	dir, err := os.MkdirTemp("", "k") // short: a socket's path must be
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	for _, engine := range enginesHere() {
		c := serve(t, "--engine", engine, "--listen", "LOCAL://unix:"+path, "--listener", "LOCAL.socket-mode=0600",
			"--advertise", "localhost:9092", "--log-level", "debug")
		if !strings.Contains(c.ready, ", unix:"+path+" · ") {
			t.Errorf("%s: ready line %q", engine, c.ready)
		}
		if info, err := os.Lstat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: the file: %v, %v", engine, info, err)
		}
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		ask(t, conn, kmsg.NewPtrMetadataRequest())
		if _, err := conn.Write([]byte{0xff, 0xff, 0xff, 0xff}); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 1)); err != io.EOF && !isReset(err) {
			t.Errorf("%s: %v; want the connection closed", engine, err)
		}
		_ = conn.Close()
		c.logged(`msg="connection closed" .* listener=LOCAL remote=unix reason=frame_size_negative`)
		c.signal(syscall.SIGTERM)
		if status := c.exit(); status != exitOK {
			t.Errorf("%s: exit status %d, want 0", engine, status)
		}
		if _, err := os.Lstat(path); !os.IsNotExist(err) {
			t.Errorf("%s: the file stays: %v", engine, err)
		}
	}
}
