package sock

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"kring/engine"
)

// Open makes a socket that is to be connected to an address of to's family, close-on-exec
// and blocking, with the options o. Its error wraps the errno.
func Open(to netip.AddrPort, o engine.SocketOptions) (engine.FD, error) {
	if !to.IsValid() {
		return -1, fmt.Errorf("connect to %v: give an IP address and a port", to)
	}
	if _, err := ZoneID(to.Addr().Zone()); err != nil {
		return -1, fmt.Errorf("connect to %v: %w", to, err)
	}
	family := unix.AF_INET6
	if to.Addr().Is4() {
		family = unix.AF_INET
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, explainSocket(to, err)
	}
	if err := Configure(engine.FD(fd), o); err != nil {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("connect to %v: %w", to, err)
	}
	return engine.FD(fd), nil
}

// explainSocket adds the likely cause and the remedy.
func explainSocket(to netip.AddrPort, err error) error {
	remedy := "see socket(2)"
	switch {
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE):
		remedy = "no file descriptor is left: raise the limit (ulimit -n, LimitNOFILE= or fs.file-max)"
	case errors.Is(err, unix.EAFNOSUPPORT):
		remedy = "this machine has no such address family: name the peer by an address of the other one"
	}
	return fmt.Errorf("connect to %v: socket: %w: %s", to, err, remedy)
}

// PutAddress writes to into b as connect(2) takes it, and says how long that is. b has
// room for an IPv6 address.
func PutAddress(b []byte, to netip.AddrPort, zone uint32) int {
	clear(b[:unix.SizeofSockaddrInet6])
	binary.BigEndian.PutUint16(b[2:], to.Port())
	if a := to.Addr(); a.Is4() {
		binary.NativeEndian.PutUint16(b, unix.AF_INET)
		four := a.As4()
		copy(b[4:], four[:])
		return unix.SizeofSockaddrInet4
	}
	binary.NativeEndian.PutUint16(b, unix.AF_INET6)
	sixteen := to.Addr().As16()
	copy(b[8:], sixteen[:])
	binary.NativeEndian.PutUint32(b[24:], zone)
	return unix.SizeofSockaddrInet6
}

// Connect is connect(2) without waiting, on a socket that does not block: EINPROGRESS
// says that it will be writable when that has ended.
func Connect(fd engine.FD, to netip.AddrPort) unix.Errno {
	at, _, err := sockaddr(to)
	if err != nil {
		return unix.EINVAL
	}
	errno, _ := unix.Connect(int(fd), at).(unix.Errno)
	return errno
}

// ConnectResult is how the connect ended of a socket that is writable: 0, or a negated
// errno. A connection that was reset since then may be connected: whoever receives hears of
// it. (Asking for the peer's address as well would call it ENOTCONN.)
func ConnectResult(fd engine.FD) int32 {
	errno, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		failure, _ := err.(unix.Errno)
		return engine.Failed(failure)
	}
	return -int32(errno)
}
