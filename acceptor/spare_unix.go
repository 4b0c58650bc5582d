//go:build unix

package acceptor

import (
	"sync"

	"golang.org/x/sys/unix"
)

// spareSource is the end of a pipe that spares are copies of. It is made when
// the first acceptor begins, and stays for the life of the process. Nothing of it
// lies in the file system: /dev/null is missing in some chroots, and RootDirectory=
// of systemd has none.
var spareSource = sync.OnceValues(func() (int, error) {
	var ends [2]int
	if err := unix.Pipe(ends[:]); err != nil {
		return -1, err
	}
	unix.CloseOnExec(ends[0])
	_ = unix.Close(ends[1]) // nothing is ever written
	return ends[0], nil
})

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
