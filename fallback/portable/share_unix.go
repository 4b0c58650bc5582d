//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package portable

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// allowShared sets SO_REUSEPORT: other listening sockets may have the same address.
func allowShared(_, _ string, c syscall.RawConn) error {
	var err error
	set := func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) }
	if failed := c.Control(set); failed != nil {
		return failed
	}
	if err != nil {
		return fmt.Errorf("SO_REUSEPORT: %w", err)
	}
	return nil
}
