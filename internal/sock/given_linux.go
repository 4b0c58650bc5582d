package sock

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"golang.org/x/sys/unix"

	"kring/engine"
)

// adopt takes a listening socket that somebody else made: by a descriptor of its own,
// so that c.Given may be closed at any time. It is blocking, as Listen's are, until
// Release gives the others who share it the mode back that it had.
func adopt(c engine.ListenConfig) (engine.Listener, error) {
	wrong := func(err error) (engine.Listener, error) {
		return engine.Listener{}, fmt.Errorf("listen on the %T at %v: %w", c.Given, c.Given.Addr(), err)
	}
	if c.Shared {
		return wrong(errors.New("one socket can't be shared by processors: accept apart"))
	}
	given, ok := c.Given.(syscall.Conn)
	if !ok {
		return wrong(errors.New("it has no descriptor: give a *net.TCPListener or a *net.UnixListener"))
	}
	raw, err := given.SyscallConn()
	if err != nil {
		return wrong(err)
	}
	fd, failed := -1, error(nil)
	if err := raw.Control(func(theirs uintptr) { fd, failed = duplicate(int(theirs)) }); err != nil {
		return wrong(fmt.Errorf("%w: give a socket that is open", err))
	}
	if failed != nil {
		return wrong(failed)
	}
	l, err := prepareGiven(fd, c)
	if err != nil {
		_ = unix.Close(fd)
		return wrong(err)
	}
	return l, nil
}

// duplicate gives another descriptor of a listening stream socket.
func duplicate(theirs int) (int, error) {
	if kind, err := unix.GetsockoptInt(theirs, unix.SOL_SOCKET, unix.SO_TYPE); err != nil || kind != unix.SOCK_STREAM {
		return -1, errors.New("it is no stream socket: give one of network \"tcp\" or \"unix\"")
	}
	if listens, err := unix.GetsockoptInt(theirs, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil || listens == 0 {
		return -1, errors.New("it does not listen: call listen(2) before handing it over")
	}
	fd, err := unix.FcntlInt(uintptr(theirs), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("fcntl(F_DUPFD_CLOEXEC): %w", err)
	}
	return fd, nil
}

func prepareGiven(fd int, c engine.ListenConfig) (engine.Listener, error) {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil {
		return engine.Listener{}, fmt.Errorf("fcntl(F_GETFL): %w", err)
	}
	if err := unix.SetNonblock(fd, false); err != nil {
		return engine.Listener{}, fmt.Errorf("set blocking: %w", err)
	}
	l := engine.Listener{FD: engine.FD(fd), Release: func() { _ = unix.SetNonblock(fd, flags&unix.O_NONBLOCK != 0) }}
	if isUnix(l.FD) {
		l.Path = c.Given.Addr().(*net.UnixAddr).Name
		return l, nil
	}
	if err := Configure(l.FD, c.Socket); err != nil {
		return engine.Listener{}, err
	}
	if l.Addr, err = addrOf(unix.SYS_GETSOCKNAME, l.FD); err != nil {
		return engine.Listener{}, fmt.Errorf("getsockname: %w", err)
	}
	return l, nil
}
