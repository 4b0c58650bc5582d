//go:build unix

package unixsock

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// place is a path short enough for a socket.
func place(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "k")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

func TestASocketThatNobodyListensOnIsReplacedAndOneInUseIsNot(t *testing.T) {
	path := place(t)
	first, _, err := Listen(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := Listen(path, 0); !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), "another process listens") {
		t.Fatalf("a path in use: %v", err)
	}
	_ = first.Close() // as if its process had died: the file stays
	second, removeSecond, err := Listen(path, 0)
	if err != nil {
		t.Fatalf("a dead socket is not replaced: %v", err)
	}
	defer second.Close()
	removeSecond()
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the file stays: %v", err)
	}
	removeSecond() // nothing there: nothing happens
}

func TestTheFileOfAnotherIsLeftAlone(t *testing.T) {
	path := place(t)
	first, remove, err := Listen(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if err := os.Remove(path); err != nil { // somebody tidied up
		t.Fatal(err)
	}
	second, _, err := Listen(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	remove()
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the file of the second is gone: %v", err)
	}
}

func TestWhatIsNoSocketStays(t *testing.T) {
	path := place(t)
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Listen(path, 0); err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Errorf("error %v", err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "precious" {
		t.Errorf("%q, %v", text, err)
	}
}

func TestTheModeIsSetBeforeClientsAreHeard(t *testing.T) {
	for mode, want := range map[os.FileMode]os.FileMode{0: 0o660, 0o600: 0o600, 0o777: 0o777} {
		path := place(t)
		var seen os.FileMode
		remove, err := Bind(path, mode, func() error { return os.WriteFile(path, nil, 0o644) }, func() error {
			info, err := os.Lstat(path)
			seen = info.Mode().Perm()
			return err
		})
		if err != nil || seen != want {
			t.Errorf("mode %o: listening with %o, %v", mode, seen, err)
		}
		remove()
	}
}

func TestAFailureLeavesNothing(t *testing.T) {
	path := place(t)
	failure := errors.New("no")
	if _, err := Bind(path, 0, func() error { return failure }, nil); !errors.Is(err, failure) {
		t.Errorf("error %v", err)
	}
	_, err := Bind(path, 0, func() error { return os.WriteFile(path, nil, 0o600) }, func() error { return failure })
	if !errors.Is(err, failure) {
		t.Errorf("error %v", err)
	}
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the file stays: %v", err)
	}
	for _, bad := range []string{"", "@", "/" + strings.Repeat("x", PathBytesMax), filepath.Join(path, "below")} {
		if _, _, err := Listen(bad, 0); err == nil {
			t.Errorf("%q was bound", bad)
		}
	}
}

func TestOfManyThatStartAtOnceOneListens(t *testing.T) {
	for range 20 {
		path := place(t)
		dead, _, err := Listen(path, 0)
		if err != nil {
			t.Fatal(err)
		}
		_ = dead.Close()
		var all sync.WaitGroup
		var mu sync.Mutex
		var up []*net.UnixListener
		for range 4 {
			all.Go(func() {
				if l, _, err := Listen(path, 0); err == nil {
					mu.Lock()
					defer mu.Unlock()
					up = append(up, l)
				}
			})
		}
		all.Wait()
		if len(up) != 1 {
			t.Fatalf("%d listen on one path", len(up))
		}
		peer, err := net.Dial("unix", path)
		if err != nil {
			t.Fatalf("nobody can be reached: %v", err)
		}
		_ = peer.Close()
		_ = up[0].Close()
	}
}
