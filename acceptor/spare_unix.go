//go:build unix

package acceptor

import (
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// spare is one end of a pipe; spare descriptors are copies of it. It is made when the
// first acceptor begins and stays for the life of the process. It does not need the
// file system: /dev/null is missing in some chroots and with systemd's RootDirectory=.
var spare struct {
	mu   sync.Mutex
	made bool // guarded by mu
	fd   int  // guarded by mu
}

// spareSource returns the end of the pipe. A failure is not remembered, because
// descriptors may be free later.
func spareSource() (int, error) {
	spare.mu.Lock()
	defer spare.mu.Unlock()
	if spare.made {
		return spare.fd, nil
	}
	var ends [2]int
	syscall.ForkLock.RLock() // Order: no child process may inherit them (os.Pipe)
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

// openSpare opens a descriptor that nobody uses.
func openSpare() (release func(), err error) {
	fd, err := copyOfSpare(0)
	if err != nil {
		return nil, err
	}
	return func() { _ = unix.Close(fd) }, nil // nothing was written to it
}

// copyOfSpare returns a descriptor whose number is least or higher.
func copyOfSpare(least int) (int, error) {
	source, err := spareSource()
	if err != nil {
		return -1, err
	}
	return unix.FcntlInt(uintptr(source), unix.F_DUPFD_CLOEXEC, least)
}

// outOfDescriptors reports whether err means that no descriptor is left in this
// process or in the whole system.
func outOfDescriptors(err error) bool { return err == unix.EMFILE || err == unix.ENFILE }
