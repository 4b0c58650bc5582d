//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package portable

import (
	"errors"
	"syscall"
)

// share says that no other listening socket can have the address.
func share(_, _ string, _ syscall.RawConn) error {
	return errors.New("this system has no SO_REUSEPORT: accept apart, on one socket for all processors")
}
