package sock

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"kring/engine"
	"kring/internal/unixsock"
)

// listenUnix opens a listening Unix domain socket.
func listenUnix(path string, c engine.ListenConfig) (engine.Listener, error) {
	wrong := func(err error) (engine.Listener, error) {
		return engine.Listener{}, fmt.Errorf("listen on %q: %w", c.Address, err)
	}
	if c.Shared {
		return wrong(errors.New("a Unix domain socket can't be shared: accept apart"))
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return wrong(fmt.Errorf("socket: %w", err))
	}
	// Kernel: unix(7); the package takes a leading @ for the null byte of an
	// abstract name.
	remove, err := unixsock.Bind(path, c.FileMode,
		func() error {
			if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
				return fmt.Errorf("bind: %w", err)
			}
			return nil
		},
		func() error { return listenOn(fd, c.Backlog) })
	if err != nil {
		_ = unix.Close(fd)
		return wrong(err)
	}
	return engine.Listener{FD: engine.FD(fd), Path: path, Release: remove}, nil
}

// isUnix says that fd is a Unix domain socket.
func isUnix(fd engine.FD) bool {
	domain, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DOMAIN)
	return err == nil && domain == unix.AF_UNIX
}
