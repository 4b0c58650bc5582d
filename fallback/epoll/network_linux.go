package epoll

import (
	"fmt"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"kring/engine"
	"kring/internal/sock"
)

// Network opens epoll engines; it implements engine.Network.
type Network struct {
	config  Config
	precise bool // epoll_pwait2 is there
	uses    uses
}

// New tries what the engines need. The error says what is missing.
func New(c Config) (*Network, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	n := &Network{config: c.withDefaults()}
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, explainErrno("epoll_create1", err)
	}
	defer func() { _ = unix.Close(fd) }()
	var events [1]unix.EpollEvent
	_, errno := epollSleep(fd, events[:], 0, true)
	n.precise = errno == 0
	return n, nil
}

// Name is "epoll".
func (n *Network) Name() string { return "epoll" }

// Features says whether waits are exact.
func (n *Network) Features() string {
	if n.precise {
		return "all features"
	}
	return "without epoll_pwait2 (Linux 5.11), so waits are rounded up to milliseconds"
}

// Open opens an engine for the calling goroutine.
func (n *Network) Open(w engine.Wait) (engine.Engine, error) { return open(n, w) }

// Listen opens a listening socket; only that is in non-blocking mode, because
// accept4(2) has no flag for one call.
func (n *Network) Listen(c engine.ListenConfig) (engine.Listener, error) {
	l, err := sock.Listen(c)
	if err != nil {
		return engine.Listener{}, err
	}
	if err := unix.SetNonblock(int(l.FD), true); err != nil {
		n.Discard(l.FD)
		return engine.Listener{}, fmt.Errorf("listen on %q: set non-blocking: %w", c.Address, err)
	}
	return l, nil
}

// Socket makes a socket to be connected, in non-blocking mode because connect(2) has no
// flag for one call.
func (n *Network) Socket(to netip.AddrPort, o engine.SocketOptions) (engine.FD, error) {
	fd, err := sock.Open(to, o)
	if err != nil {
		return -1, err
	}
	if err := unix.SetNonblock(int(fd), true); err != nil {
		n.Discard(fd)
		return -1, fmt.Errorf("connect to %v: set non-blocking: %w", to, err)
	}
	return fd, nil
}

// Addrs are the two ends of a connection.
func (n *Network) Addrs(fd engine.FD) (local, remote netip.AddrPort, err error) {
	return sock.Addrs(fd)
}

// Pair connects a client within the process.
func (n *Network) Pair() (engine.FD, net.Conn, error) { return sock.Pair() }

// Configure applies options to a connection.
func (n *Network) Configure(fd engine.FD, o engine.SocketOptions) error {
	return sock.Configure(fd, o)
}

// ShareListener returns another descriptor of a listening socket.
func (n *Network) ShareListener(fd engine.FD) (int, error) { return sock.Share(fd) }

// ReclaimListener sets a listening socket that others have had to non-blocking again.
func (n *Network) ReclaimListener(fd engine.FD) error { return sock.SetNonblock(fd, true) }

// Discard closes a descriptor that has nothing outstanding.
func (n *Network) Discard(fd engine.FD) {
	n.uses.endUse(fd) // Order: before the number can be used again
	sock.Close(fd)
}

// explainErrno adds the likely cause and the remedy.
func explainErrno(call string, err error) error {
	remedy := "see the system call's manual page"
	switch err {
	case unix.EMFILE, unix.ENFILE:
		remedy = "no file descriptor is left: raise the limit (ulimit -n, LimitNOFILE= or fs.file-max)"
	case unix.ENOMEM:
		remedy = "the kernel has no memory for it: raise the memory limit of this process or its group"
	case unix.EPERM, unix.ENOSYS:
		remedy = "a sandbox (seccomp) refuses it: use the portable engine"
	}
	return fmt.Errorf("epoll: %s: %w: %s", call, err, remedy)
}

// timespec of a wait; only for wait >= 0.
func timespec(wait time.Duration) unix.Timespec { return unix.NsecToTimespec(int64(wait)) }
