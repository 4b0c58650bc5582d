package portable

import (
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"syscall"
)

// errnoOf is the errno of err in a completion; 0 for the peer's regular end.
func errnoOf(err error) syscall.Errno {
	var errno syscall.Errno
	switch {
	case err == nil, errors.Is(err, io.EOF):
		return 0
	case errors.Is(err, os.ErrDeadlineExceeded):
		return syscall.ECANCELED
	case errors.Is(err, net.ErrClosed):
		return syscall.EBADF
	case errors.As(err, &errno):
		return avoidReserved(errno)
	}
	return syscall.EIO
}

// winsock has the Windows error numbers for the errnos of the contract.
var winsock = map[syscall.Errno]syscall.Errno{
	10013: syscall.EACCES,
	10024: syscall.EMFILE,
	10048: syscall.EADDRINUSE,
	10049: syscall.EADDRNOTAVAIL,
	10053: syscall.ECONNABORTED,
	10054: syscall.ECONNRESET,
	10055: syscall.ENOMEM, // WSAENOBUFS, see canonical
	10057: syscall.ENOTCONN,
	10058: syscall.EPIPE,
	10060: syscall.ETIMEDOUT,
}

// avoidReserved replaces the errnos that have a meaning of their own in the contract.
func avoidReserved(errno syscall.Errno) syscall.Errno {
	if runtime.GOOS == "windows" {
		if known, ok := winsock[errno]; ok {
			return known
		}
	}
	switch errno {
	case syscall.ENOBUFS:
		return syscall.ENOMEM // not "every buffer is lent"
	case syscall.ECANCELED:
		return syscall.EIO // not "the answer to Cancel"
	case 0:
		return syscall.EIO // an error isn't the peer's regular end
	}
	return errno
}
