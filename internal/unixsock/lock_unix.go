//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package unixsock

import (
	"os"
	"syscall"
	"time"
)

// lock keeps others of our kind from a directory for the moment, as far as that
// can be had: it waits a second at most, because anybody may hold it.
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
