//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package unixsock

import (
	"os"
	"syscall"
	"time"
)

// lock keeps other kring processes out of a directory for a moment. It waits a second at
// most, because any process may hold the lock; then it goes on without.
func lock(dir string) (unlock func()) {
	f, err := os.Open(dir)
	if err != nil {
		return func() {}
	}
	for end := time.Now().Add(askPatience); ; time.Sleep(time.Millisecond) {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil || time.Now().After(end) {
			break
		}
	}
	return func() { _ = f.Close() } // with it goes the lock
}
