package portable

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"kring/engine"
	"kring/internal/slab"
	"kring/internal/unixsock"
)

// Network opens portable engines; it implements engine.Network.
type Network struct {
	config Config
	pool   slab.Pool

	mu    sync.RWMutex
	slots []*socket   // guarded by mu; index is the descriptor, 0 stays empty
	free  []engine.FD // guarded by mu; the one that is free for longest first
}

// New makes the network. It fails for a wrong Config only.
func New(c Config) (*Network, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return &Network{config: c.withDefaults(), slots: make([]*socket, 1)}, nil
}

// Name is "portable".
func (n *Network) Name() string { return "portable" }

// Features says how it works.
func (n *Network) Features() string { return "a goroutine per operation, on Go's net" }

// Open opens an engine for the calling goroutine. Both waits are the same here.
func (n *Network) Open(engine.Wait) (engine.Engine, error) { return newEngine(n), nil }

// Listen opens a listening socket. Backlog is the system's own: Go's net takes
// the largest that it allows.
func (n *Network) Listen(c engine.ListenConfig) (engine.Listener, error) {
	if err := validate(c.Socket); err != nil {
		return engine.Listener{}, fmt.Errorf("listen on %q: %w", c.Address, err)
	}
	if c.Given != nil {
		return n.adopt(c)
	}
	if c.Backlog < 0 {
		return engine.Listener{}, fmt.Errorf("listen on %q: backlog of %d: use 0 or a positive length", c.Address, c.Backlog)
	}
	if path, ok := engine.UnixPath(c.Address); ok {
		return n.listenUnix(path, c)
	}
	config := net.ListenConfig{KeepAlive: -1} // each connection is configured when it is accepted
	config.SetMultipathTCP(false)             // the same protocol as the other engines
	if c.Shared {
		config.Control = allowShared
	}
	l, err := config.Listen(context.Background(), "tcp", c.Address)
	if err != nil {
		return engine.Listener{}, explainErr(c.Address, err)
	}
	tcp, ok := l.(*net.TCPListener)
	if !ok {
		_ = l.Close()
		return engine.Listener{}, fmt.Errorf("listen on %q: Go's net gave a %T: use a TCP address", c.Address, l)
	}
	fd := n.add(&socket{listener: tcp, options: c.Socket})
	return engine.Listener{FD: fd, Addr: addrPort(l.Addr())}, nil
}

// adopt takes a listening socket that somebody else made.
func (n *Network) adopt(c engine.ListenConfig) (engine.Listener, error) {
	given, ok := c.Given.(listener)
	switch {
	case !ok:
		return engine.Listener{}, fmt.Errorf("listen on a %T: it has no deadline: give a *net.TCPListener or a *net.UnixListener", c.Given)
	case c.Shared:
		return engine.Listener{}, errors.New("listen on a socket that was given: one socket can't be shared by processors: accept apart")
	}
	if err := given.SetDeadline(time.Time{}); err != nil {
		return engine.Listener{}, fmt.Errorf("listen on the %T at %v: %w: give a socket that is open", c.Given, c.Given.Addr(), err)
	}
	l := engine.Listener{FD: n.add(&socket{listener: given, options: c.Socket})}
	if u, isUnix := c.Given.(*net.UnixListener); isUnix {
		u.SetUnlinkOnClose(false) // another process may still listen there
		l.Path = given.Addr().String()
	} else {
		l.Addr = addrPort(given.Addr())
	}
	return l, nil
}

// listenUnix opens a listening Unix domain socket.
func (n *Network) listenUnix(path string, c engine.ListenConfig) (engine.Listener, error) {
	wrong := func(err error) (engine.Listener, error) {
		return engine.Listener{}, fmt.Errorf("listen on %q: %w", c.Address, err)
	}
	if c.Shared {
		return wrong(errors.New("a Unix domain socket can't be shared: accept apart"))
	}
	l, remove, err := unixsock.Listen(path, c.FileMode)
	if err != nil {
		return wrong(err)
	}
	return engine.Listener{FD: n.add(&socket{listener: l, options: c.Socket}), Path: path, Release: remove}, nil
}

// Socket gives a descriptor to be connected. There is no socket yet: Go's net makes one and
// connects it in one step.
func (n *Network) Socket(to netip.AddrPort, o engine.SocketOptions) (engine.FD, error) {
	if err := validate(o); err != nil {
		return -1, fmt.Errorf("connect to %v: %w", to, err)
	}
	if !to.IsValid() {
		return -1, fmt.Errorf("connect to %v: give an IP address and a port", to)
	}
	return n.add(&socket{options: o}), nil
}

// Addrs are the two ends of a connection.
func (n *Network) Addrs(fd engine.FD) (local, remote netip.AddrPort, err error) {
	s := n.socket(fd)
	if s == nil || s.conn == nil {
		return local, remote, fmt.Errorf("portable: addresses of descriptor %d: %w", fd, syscall.EBADF)
	}
	return addrPort(s.conn.LocalAddr()), addrPort(s.conn.RemoteAddr()), nil
}

// Configure applies options to a connection.
func (n *Network) Configure(fd engine.FD, o engine.SocketOptions) error {
	s := n.socket(fd)
	if s == nil || s.conn == nil {
		return fmt.Errorf("portable: options of descriptor %d: %w", fd, syscall.EBADF)
	}
	if err := validate(o); err != nil {
		return err
	}
	return configure(s.conn, o)
}

// Discard closes a descriptor that has nothing outstanding.
func (n *Network) Discard(fd engine.FD) { _ = n.close(fd) }

// add gives s a descriptor.
func (n *Network) add(s *socket) engine.FD {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.free) == 0 {
		n.slots = append(n.slots, s)
		return engine.FD(len(n.slots) - 1)
	}
	fd := n.free[0]
	n.free = n.free[1:]
	n.slots[fd] = s
	return fd
}

// socket returns the socket of fd, nil if there is none.
func (n *Network) socket(fd engine.FD) *socket {
	n.mu.RLock()
	defer n.mu.RUnlock()
	if fd <= 0 || int(fd) >= len(n.slots) {
		return nil
	}
	return n.slots[fd]
}

// close closes the socket of fd and frees fd. Nothing is outstanding on it.
func (n *Network) close(fd engine.FD) syscall.Errno {
	s := n.socket(fd)
	if s == nil {
		return syscall.EBADF
	}
	errno := errnoOf(s.close())
	if s.buffer != nil {
		n.pool.Put(s.buffer)
		s.buffer, s.held = nil, nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.slots[fd] = nil
	n.free = append(n.free, fd)
	return errno
}

// explainErr adds the likely cause and the remedy.
func explainErr(address string, err error) error {
	remedy := "write the address as host:port, such as 127.0.0.1:9092, [::1]:9092 or :9092"
	var errno syscall.Errno
	if errors.As(err, &errno) {
		switch avoidReserved(errno) {
		case syscall.EADDRINUSE:
			remedy = "the address is in use: choose another --listen address or port 0"
		case syscall.EACCES:
			remedy = "not permitted: ports below 1024 need privileges: choose a higher port"
		case syscall.EADDRNOTAVAIL:
			remedy = "the address is not one of this machine: choose one of its own, or an empty host for all of them"
		case syscall.EMFILE, syscall.ENFILE:
			remedy = "no file descriptor is left: raise the limit (ulimit -n)"
		default:
			return fmt.Errorf("listen on %q: %w", address, err)
		}
	}
	return fmt.Errorf("listen on %q: %s (%w)", address, remedy, err)
}
