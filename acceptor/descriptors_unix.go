//go:build unix

package acceptor

import (
	"math"

	"golang.org/x/sys/unix"
)

// descriptors is RLIMIT_NOFILE (getrlimit(2)), which the Go runtime has raised
// as far as it may; 0: not limited.
func descriptors() int {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil || uint64(l.Cur) > math.MaxInt32 {
		return 0
	}
	return int(l.Cur)
}
