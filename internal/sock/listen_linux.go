package sock

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"

	"kring/engine"
)

// backlogDefault is used when ListenConfig.Backlog is 0.
const backlogDefault = 1024

// Listen opens a listening socket as c describes it. The socket is close-on-exec
// and blocking; accepted sockets inherit its options.
func Listen(c engine.ListenConfig) (engine.Listener, error) {
	if c.Given != nil {
		return adopt(c)
	}
	if c.Backlog < 0 {
		return engine.Listener{}, fmt.Errorf("listen on %q: backlog of %d: use 0 for the default of %d, or a positive length",
			c.Address, c.Backlog, backlogDefault)
	}
	if path, ok := engine.UnixPath(c.Address); ok {
		return listenUnix(path, c)
	}
	ends, err := candidates(c.Address)
	if err != nil {
		return engine.Listener{}, err
	}
	var l engine.Listener
	for _, at := range ends {
		if l, err = listenAt(at, c); err == nil {
			return l, nil
		}
		if !familyMissing(err) {
			break
		}
	}
	return engine.Listener{}, explain(c.Address, err)
}

// candidates are the addresses to try, in order; more than one only for an
// empty host, whose second choice is for a machine without IPv6.
func candidates(address string) ([]netip.AddrPort, error) {
	a, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen on %q: %w: write it as host:port, such as 127.0.0.1:9092, [::1]:9092 or :9092", address, err)
	}
	port := uint16(a.Port)
	if a.IP == nil {
		return []netip.AddrPort{
			netip.AddrPortFrom(netip.IPv6Unspecified(), port),
			netip.AddrPortFrom(netip.IPv4Unspecified(), port),
		}, nil
	}
	at := a.AddrPort()
	return []netip.AddrPort{netip.AddrPortFrom(at.Addr().Unmap(), port)}, nil
}

func listenAt(at netip.AddrPort, c engine.ListenConfig) (engine.Listener, error) {
	sa, family, err := sockaddr(at)
	if err != nil {
		return engine.Listener{}, err
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		return engine.Listener{}, fmt.Errorf("socket: %w", err)
	}
	l, err := bindAndListen(fd, sa, at, c)
	if err != nil {
		_ = unix.Close(fd)
	}
	return l, err
}

func bindAndListen(fd int, sa unix.Sockaddr, at netip.AddrPort, c engine.ListenConfig) (engine.Listener, error) {
	// A restart must not wait for the old connections in TIME_WAIT.
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return engine.Listener{}, fmt.Errorf("SO_REUSEADDR: %w", err)
	}
	if c.Shared {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
			return engine.Listener{}, fmt.Errorf("SO_REUSEPORT: %w", err)
		}
	}
	if at.Addr().Is6() {
		only := 1
		if at.Addr().IsUnspecified() {
			only = 0
		}
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, only); err != nil {
			return engine.Listener{}, fmt.Errorf("IPV6_V6ONLY: %w", err)
		}
	}
	// Order: before listen(2), because the receive buffer decides the window
	// scale that a connection's handshake announces.
	if err := Configure(engine.FD(fd), c.Socket); err != nil {
		return engine.Listener{}, err
	}
	if err := unix.Bind(fd, sa); err != nil {
		return engine.Listener{}, fmt.Errorf("bind: %w", err)
	}
	if err := listenOn(fd, c.Backlog); err != nil {
		return engine.Listener{}, err
	}
	local, err := addrOf(unix.SYS_GETSOCKNAME, engine.FD(fd))
	if err != nil {
		return engine.Listener{}, fmt.Errorf("getsockname: %w", err)
	}
	return engine.Listener{FD: engine.FD(fd), Addr: local}, nil
}

func listenOn(fd, backlog int) error {
	if backlog == 0 {
		backlog = backlogDefault
	}
	if err := unix.Listen(fd, backlog); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	return nil
}

// familyMissing says whether err means that this machine has no IPv6: the
// family is not in the kernel, or it is there without any address.
func familyMissing(err error) bool {
	return errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.EPROTONOSUPPORT)
}

// explain adds the likely cause and the remedy.
func explain(address string, err error) error {
	var remedy string
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		remedy = "the address is in use: choose another --listen address or port 0"
	case errors.Is(err, unix.EACCES):
		remedy = "not permitted: ports below 1024 need CAP_NET_BIND_SERVICE (or net.ipv4.ip_unprivileged_port_start): choose a higher port"
	case errors.Is(err, unix.EADDRNOTAVAIL):
		remedy = "the address is not one of this machine: choose one of its own, or an empty host for all of them"
	case errors.Is(err, unix.EAFNOSUPPORT):
		remedy = "this machine does not have that address family: choose an address of the other one"
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE):
		remedy = "no file descriptor is left: raise the limit (ulimit -n, LimitNOFILE= or fs.file-max)"
	default:
		return fmt.Errorf("listen on %q: %w", address, err)
	}
	return fmt.Errorf("listen on %q: %s (%w)", address, remedy, err)
}
