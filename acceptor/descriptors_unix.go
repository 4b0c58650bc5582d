//go:build unix

package acceptor

import (
	"math"

	"golang.org/x/sys/unix"
)

// preparedMax bounds what Prepare asks for: half a megabyte of the kernel's
// memory. From there on growing is rare.
const preparedMax = 1 << 16

// Prepare makes room for the descriptors of so many connections (not above 0:
// as many as there may be) and files, so that none that is accepted later waits
// for it.
//
// Kernel: the table of a process's descriptors doubles when it is full, and in
// a process with threads who makes it grow waits until every CPU has seen that
// (expand_fdtable): 8 to 20 ms each time, seven times on the way to 10,000. The
// table never shrinks.
func Prepare(conns, files int) {
	most := descriptors()
	if conns <= 0 {
		conns = most
	}
	n := min(conns+min(conns/reserveShare, reserveMax)+files, preparedMax)
	if most > 0 {
		n = min(n, most-1)
	}
	if high, err := copyOfSpare(n); err == nil { // else whoever accepts will say so
		_ = unix.Close(high)
	}
}

// descriptors is RLIMIT_NOFILE (getrlimit(2)), which the Go runtime has raised
// as far as it may; 0: not limited.
func descriptors() int {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil || uint64(l.Cur) > math.MaxInt32 {
		return 0
	}
	return int(l.Cur)
}
