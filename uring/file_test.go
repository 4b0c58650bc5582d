//go:build linux

package uring

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

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

// TestAFileThatIsPartlyInMemoryIsReadWhole: what is there comes first, and is not
// taken for the end of the file.
func TestAFileThatIsPartlyInMemoryIsReadWhole(t *testing.T) {
	content := pattern(256 << 10)
	f, err := os.Create(filepath.Join(t.TempDir(), "segment"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(content); err != nil {
		t.Fatal(err)
	}
	onBothWaits(t, Config{}, func(r *rig) {
		for _, there := range []int{0, 4 << 10, 64 << 10, 128 << 10} {
			err := errors.Join(f.Sync(), unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED), unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_RANDOM))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.ReadAt(make([]byte, there), 0); err != nil {
				t.Fatal(err)
			}
			buf := r.pool.Get(128 << 10)
			r.engine.ReadFile(f.Fd(), token, buf, 0)
			if done := r.next(engine.OpReadFile); int(done.Res) != len(buf) || !bytes.Equal(buf, content[:len(buf)]) {
				t.Errorf("%d in memory: %d bytes of %d", there, done.Res, len(buf))
			}
			r.pool.Put(buf)
		}
	})
}

// TestAFileThatMayBlockIsReadByAThread: those of /proc can't be asked for what is in
// memory alone. There are as many threads as the setting says, at most. The kernel keeps
// that limit by the thread that asks it, so each test stays on one.
func TestAFileThatMayBlockIsReadByAThread(t *testing.T) {
	want, err := os.ReadFile("/proc/version")
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open("/proc/version")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, c := range []Config{{}, {Restrict: true}, {IOWQWorkersMax: 3}} {
		onBothWaitsOfOneThread(t, c, func(r *rig) {
			buf := r.pool.Get(4 << 10)
			defer r.pool.Put(buf)
			r.engine.ReadFile(f.Fd(), token, buf, 0)
			if done := r.next(engine.OpReadFile); int(done.Res) != len(want) || !bytes.Equal(buf[:len(want)], want) {
				t.Errorf("%d bytes of %d", done.Res, len(want))
			}
			if KernelThreads() == 0 {
				t.Error("no thread of the kernel's has read it")
			}
			if c.Restrict {
				return // it may not be asked
			}
			most := uint32(r.engine.config.IOWQWorkersMax)
			if limits, err := r.engine.ring.RegisterIOWQMaxWorkers(0, 0); err != nil || limits != [2]uint32{most, most} {
				t.Errorf("at most %v threads, %v; want %d", limits, err, most)
			}
		})
	}
}
