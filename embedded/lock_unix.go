//go:build unix && !solaris && !aix

package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// lockDir takes a data directory for this process, and waits for another one that has it, for
// so long at most. The kernel drops the lock with the process, however it ends.
func lockDir(dir string, wait time.Duration) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, ".kring.lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err != nil && wait > 0 {
		return waitForLock(f, wait)
	}
	return lockedDir(f, err)
}

func lockedDir(f *os.File, err error) (*os.File, error) {
	if err != nil {
		_ = f.Close() // the lock is what failed
		return nil, fmt.Errorf("%w: %w; stop it or choose another directory", err, ErrInUse)
	}
	return f, nil
}

// waitForLock is lockDir's wait. flock(2) has no deadline and can't be interrupted, so it has a
// goroutine, and a thread, of its own; one that comes too late gives the lock back.
func waitForLock(f *os.File, wait time.Duration) (*os.File, error) {
	locked, late := make(chan error), make(chan struct{})
	go func() {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		for errors.Is(err, syscall.EINTR) {
			err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		}
		select {
		case locked <- err:
		case <-late:
			_ = f.Close()
		}
	}()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case err := <-locked:
		return lockedDir(f, err)
	case <-timer.C:
		close(late)
		return nil, fmt.Errorf("it waited for %v: %w; stop it or choose another directory", wait, ErrInUse)
	}
}
