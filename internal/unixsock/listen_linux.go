package unixsock

import (
	"io/fs"
	"net"
	"os"
	"syscall"
)

// backlog is more than the kernel takes, which is net.core.somaxconn.
const backlog = 1<<16 - 1

// Listen is Bind for a listener of Go's net. Closing the listener leaves the file to remove,
// because another process may have the socket, or the path, by then. Go's own binds and listens
// in one step, so that its file has no mode yet when the first client connects.
func Listen(path string, mode fs.FileMode) (l *net.UnixListener, remove func(), err error) {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socket", err)
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	failed := func(call string, err error) error {
		if err == nil {
			return nil
		}
		return &net.OpError{Op: "listen", Net: "unix", Addr: &net.UnixAddr{Net: "unix", Name: path}, Err: os.NewSyscallError(call, err)}
	}
	remove, err = Bind(path, mode,
		func() error { return failed("bind", syscall.Bind(fd, &syscall.SockaddrUnix{Name: path})) },
		func() error { return failed("listen", syscall.Listen(fd, backlog)) })
	if err != nil {
		return nil, nil, err
	}
	of, err := net.FileListener(f)
	if err != nil {
		remove()
		return nil, nil, err
	}
	l = of.(*net.UnixListener)
	l.SetUnlinkOnClose(false)
	return l, remove, nil
}
