//go:build unix && !solaris && !aix

package sasl

import (
	"errors"
	"os"
	"syscall"
)

// lockUsers waits until nobody else changes the users file at path, in this process or in
// another. The kernel drops the lock with the process. The lock is a file of its own,
// because the users file is replaced by each change; it stays, because whoever removed it
// would let a third one in beside the second.
func lockUsers(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for err = syscall.EINTR; errors.Is(err, syscall.EINTR); {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
	}
	if err != nil {
		_ = f.Close() // the lock is what failed
		return nil, &os.PathError{Op: "flock", Path: f.Name(), Err: err}
	}
	return func() { _ = f.Close() }, nil // nothing was written to it
}

// keepOwner gives f the owner of the file that it replaces: the server must be able to read
// what root has changed. Who may not give files away has made a file of their own.
func keepOwner(f *os.File, old os.FileInfo) {
	if s, ok := old.Sys().(*syscall.Stat_t); ok {
		_ = f.Chown(int(s.Uid), int(s.Gid))
	}
}
