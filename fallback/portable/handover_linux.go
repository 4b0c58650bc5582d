package portable

import (
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"

	"kring/engine"
)

// ShareListener returns another descriptor of a listening socket.
func (n *Network) ShareListener(fd engine.FD) (shared int, err error) {
	shared = -1
	err = n.controlListener(fd, func(of int) (err error) {
		shared, err = unix.FcntlInt(uintptr(of), unix.F_DUPFD_CLOEXEC, 0)
		return err
	})
	return shared, err
}

// ReclaimListener sets a listening socket that others have had to the mode that Go's net
// needs.
func (n *Network) ReclaimListener(fd engine.FD) error {
	return n.controlListener(fd, func(of int) error { return unix.SetNonblock(of, true) })
}

func (n *Network) controlListener(fd engine.FD, f func(of int) error) error {
	s := n.socket(fd)
	if s == nil || s.listener == nil {
		return fmt.Errorf("portable: listening socket %d: %w", fd, syscall.EBADF)
	}
	of, ok := s.listener.(syscall.Conn)
	if !ok {
		return fmt.Errorf("portable: a %T has no descriptor: %w", s.listener, errors.ErrUnsupported)
	}
	raw, err := of.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(of uintptr) { failed = f(int(of)) }); err != nil {
		return err
	}
	return failed
}
