//go:build unix

package acceptor

import (
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// spare is the end of a pipe that spares are copies of. It is made when the first
// acceptor begins, and stays for the life of the process. Nothing of it lies in the
// file system: /dev/null is missing in some chroots, and RootDirectory= of systemd has
// none.
var spare struct {
	mu   sync.Mutex
	made bool // guarded by mu
	fd   int  // guarded by mu
}

// spareSource gives the end of the pipe. A failure is not kept: descriptors that are
// scarce now need not be for ever.
func spareSource() (int, error) {
	spare.mu.Lock()
	defer spare.mu.Unlock()
	if spare.made {
		return spare.fd, nil
	}
	var ends [2]int
	syscall.ForkLock.RLock() // Order: so that no child gets them (os.Pipe)
	err := unix.Pipe(ends[:])
	if err == nil {
		unix.CloseOnExec(ends[0])
		unix.CloseOnExec(ends[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return -1, err
	}
	_ = unix.Close(ends[1]) // nothing is ever written
	spare.made, spare.fd = true, ends[0]
	return spare.fd, nil
}

// openSpare opens a descriptor that means nothing.
func openSpare() (release func(), err error) {
	fd, err := copyOfSpare(0)
	if err != nil {
		return nil, err
	}
	return func() { _ = unix.Close(fd) }, nil // nothing was written to it
}

// copyOfSpare gives a descriptor from the number least on.
func copyOfSpare(least int) (int, error) {
	source, err := spareSource()
	if err != nil {
		return -1, err
	}
	return unix.FcntlInt(uintptr(source), unix.F_DUPFD_CLOEXEC, least)
}

// scarce says that err means that there is no descriptor left, here or in the
// whole system.
func scarce(err error) bool { return err == unix.EMFILE || err == unix.ENFILE }
