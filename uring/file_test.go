//go:build linux

package uring

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"kring/engine"
)

// TestFilesAreReadBesideSockets: whole, across the end, behind it, and with the
// ring restricted; and a Close with reads outstanding leaves nothing.
func TestFilesAreReadBesideSockets(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789abcdef"), 20_000)
	name := filepath.Join(t.TempDir(), "segment")
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, c := range []Config{{}, {Restrict: true}} {
		onBothWaits(t, c, func(r *rig) {
			token, size := engine.MakeToken(9, 4), int64(len(content))
			for _, at := range []int64{0, 100_001, size - 10, size, size + 5} {
				buf := r.pool.Get(128 << 10)
				r.engine.ReadFile(f.Fd(), token, buf, at)
				done := r.next(engine.OpReadFile)
				want := content[min(at, size):min(at+int64(len(buf)), size)]
				if done.Op != engine.OpReadFile || done.Token != token || !bytes.Equal(buf[:max(done.Res, 0)], want) || int(done.Res) != len(want) {
					t.Errorf("at %d: %v %v, %d bytes of %d", at, done.Op, done.Token, done.Res, len(want))
				}
				r.pool.Put(buf)
			}
			buf := r.pool.Get(4 << 10)
			r.engine.ReadFile(^uintptr(0), token, buf, 0)
			if done := r.next(engine.OpReadFile); done.Res >= 0 {
				t.Errorf("a descriptor that is none: %d", done.Res)
			}
			for range 20 {
				r.engine.ReadFile(f.Fd(), token, buf, 0)
			}
		})
	}
}
