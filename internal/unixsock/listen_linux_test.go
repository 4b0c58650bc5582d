package unixsock

import (
	"net"
	"os"
	"testing"
)

// TestAListenerOfGoHasItsModeBeforeAnybodyConnects: whoever looks at the file before it trusts who
// listens there would refuse it.
func TestAListenerOfGoHasItsModeBeforeAnybodyConnects(t *testing.T) {
	for range 100 {
		path := place(t)
		seen := make(chan os.FileMode, 1)
		begun := make(chan struct{})
		go func() {
			close(begun)
			for {
				c, err := net.Dial("unix", path)
				if err != nil {
					continue
				}
				info, err := os.Lstat(path)
				_ = c.Close()
				if err != nil {
					t.Error(err)
					seen <- 0
					return
				}
				seen <- info.Mode().Perm()
				return
			}
		}()
		<-begun
		l, remove, err := Listen(path, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if mode := <-seen; mode != 0o600 {
			t.Errorf("a client came to a file of mode %o", mode)
		}
		remove()
		_ = l.Close()
	}
}
