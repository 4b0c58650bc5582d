//go:build unix

package acceptor

import (
	"math"

	"golang.org/x/sys/unix"
)

// preparedMax bounds the table that Prepare asks for: half a megabyte of kernel
// memory. Beyond it the table grows rarely.
const preparedMax = 1 << 16

// Prepare grows the descriptor table for conns connections (0 or less: as many as
// allowed) and files, so that no accept has to wait for that later.
//
// Kernel: the table of a process's descriptors doubles when it is full. In a
// process with threads, whoever makes it grow waits for an RCU grace period
// (expand_fdtable), several milliseconds each time. The table never shrinks.
func Prepare(conns, files int) {
	most := descriptorLimit()
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

// descriptorLimit is RLIMIT_NOFILE (getrlimit(2)), which the Go runtime has raised
// to the hard limit; 0: not limited.
func descriptorLimit() int {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil || uint64(l.Cur) > math.MaxInt32 {
		return 0
	}
	return int(l.Cur)
}
