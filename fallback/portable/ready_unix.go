//go:build unix

package portable

import (
	"io"
	"syscall"

	"golang.org/x/sys/unix"
)

// holdsWhileWaiting says that a connection that waits for bytes holds a buffer for them.
const holdsWhileWaiting = false

// readWhenReady reads what has come, and has a buffer for it only then: it makes the calls that
// Go's net would, with a buffer for each.
func (o *operation) readWhenReady(raw syscall.RawConn) error {
	if err := raw.Read(o.look); err != nil {
		return err
	}
	return o.failed
}

// tryRead is RawConn.Read's: false has it wait for bytes, and call again.
func (o *operation) tryRead(fd uintptr) bool {
	var n int
	if n, o.failed = o.readOnce(int(fd)); o.failed == unix.EAGAIN {
		return false
	}
	if n == 0 && o.failed == nil {
		o.failed = io.EOF
	}
	return true
}

func (o *operation) readOnce(fd int) (n int, err error) {
	if o.e.allLent() {
		return peek(fd)
	}
	if err = o.takeBuffer(); err != nil {
		return 0, err
	}
	for n, err = unix.Read(fd, o.s.buffer); err == unix.EINTR; {
		n, err = unix.Read(fd, o.s.buffer)
	}
	o.keepRead(n)
	return n, err
}

// peek leaves what has come where it is.
func peek(fd int) (n int, err error) {
	var one [1]byte
	for n, _, err = unix.Recvfrom(fd, one[:], unix.MSG_PEEK); err == unix.EINTR; {
		n, _, err = unix.Recvfrom(fd, one[:], unix.MSG_PEEK)
	}
	if n > 0 {
		err = errAllLent
	}
	return n, err
}
