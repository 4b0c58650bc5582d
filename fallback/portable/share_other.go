//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package portable

import (
	"errors"
	"syscall"
)

// allowShared fails: here no two listening sockets can have one address.
func allowShared(_, _ string, _ syscall.RawConn) error {
	return errors.New("this system has no SO_REUSEPORT: accept apart, on one socket for all processors")
}
