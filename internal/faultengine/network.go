package faultengine

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"syscall"

	"kring/engine"
	"kring/internal/slab"
)

// Network is an engine.Network in memory. Everything of it and of its engines
// and peers is guarded by mu.
type Network struct {
	cfg Config
	mu  sync.Mutex

	descs     []*desc // by number; nil is free
	listeners map[uint16]*listener
	peers     map[uint16]*PeerListener
	engines   []*Engine
	nextPort  uint16 // of the next listener without a port of its own
	nextPeer  uint64 // counts connections
	limbo     map[engine.FD]int
	breaches  []error
	killed    bool
	exhausted bool
	trace     trace
}

var _ engine.Network = (*Network)(nil)

// memory is where lent buffers come from: owners may send from them, so they
// are slab memory. One pool for all, because a pool keeps what it mapped.
var memory slab.Pool

const (
	firstFD       = 3 // below are the standard streams, as in any process
	firstPort     = 20000
	firstPeerPort = 32768
)

// desc is an open descriptor. Its number may be in use again while its last
// completions are still on their way, so everything refers to the desc.
type desc struct {
	fd       engine.FD
	listener *listener // one of listener and wire is set, but for what is not connected yet
	wire     *wire
	options  engine.SocketOptions // of what is to be connected
	shut     bool                 // Shutdown before it was connected

	// What the owner did with it.
	owner   *Engine // nil until its first operation, and after the engine closed
	token   engine.Token
	recv    *operation // Accept, Connect, Recv or RecvInto whose last completion was not delivered
	send    *operation
	closing bool // CloseFD was asked for
}

func (d *desc) String() string {
	kind := "connection"
	switch {
	case d.listener != nil:
		kind = "listener"
	case d.wire == nil:
		kind = "socket"
	}
	if d.owner == nil {
		return fmt.Sprintf("%s fd %d", kind, d.fd)
	}
	return fmt.Sprintf("%s fd %d token %s", kind, d.fd, d.token)
}

type listener struct {
	addr    netip.AddrPort
	desc    *desc
	backlog []*wire
	limit   int
	socket  engine.SocketOptions
}

// New makes a Network. It panics on an invalid Config: the caller is a test.
func New(c Config) *Network {
	c = c.withDefaults()
	if err := c.Validate(); err != nil {
		panic(err)
	}
	return &Network{
		cfg: c, descs: make([]*desc, firstFD), nextPort: firstPort,
		listeners: map[uint16]*listener{}, peers: map[uint16]*PeerListener{}, limbo: map[engine.FD]int{},
	}
}

// Seed is the seed with which this Network's faults happen again.
func (n *Network) Seed() uint64 { return n.cfg.Seed }

// Name is "fault".
func (n *Network) Name() string { return "fault" }

// Features names the seed.
func (n *Network) Features() string { return fmt.Sprintf("faults of seed %d", n.cfg.Seed) }

// Open opens an engine; both waits are the same here.
func (n *Network) Open(engine.Wait) (engine.Engine, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	e := &Engine{
		n: n, number: len(n.engines), rng: n.cfg.rng(uint64(len(n.engines))),
		bell: make(chan struct{}, 1), bound: map[engine.Token]*desc{}, gone: map[engine.Token]struct{}{},
	}
	e.lender = newLender(n.cfg.Buffers, n.cfg.BufferBytes, 0)
	e.large = newLender(n.cfg.LargeBuffers, 4*n.cfg.BufferBytes, largeLease)
	n.engines = append(n.engines, e)
	return e, nil
}

// Kill makes every engine die at its next Poll.
func (n *Network) Kill() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.killed = true
	for _, e := range n.engines {
		e.ring()
	}
}

// Listen opens a listener that Dial reaches.
func (n *Network) Listen(c engine.ListenConfig) (engine.Listener, error) {
	addr, err := parseAddress(c.Address)
	if err != nil {
		return engine.Listener{}, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	port := addr.Port()
	for port == 0 {
		if n.listeners[n.nextPort] == nil && n.peers[n.nextPort] == nil {
			port = n.nextPort
		}
		n.nextPort++
	}
	if _, taken := n.listeners[port]; taken {
		return engine.Listener{}, fmt.Errorf("faultengine: listen on %s: %w", c.Address, syscall.EADDRINUSE)
	}
	l := &listener{addr: netip.AddrPortFrom(addr.Addr(), port), limit: c.Backlog, socket: c.Socket}
	orDefault(&l.limit, 1024)
	l.desc = n.open(&desc{listener: l})
	n.listeners[port] = l
	return engine.Listener{FD: l.desc.fd, Addr: l.addr}, nil
}

func parseAddress(address string) (netip.AddrPort, error) {
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("faultengine: listen: %w", err)
	}
	port, err := strconv.ParseUint(service, 10, 16)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("faultengine: listen: port %q is no number", service)
	}
	ip := netip.IPv6Unspecified()
	switch host {
	case "":
	case "localhost":
		ip = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	default:
		if ip, err = netip.ParseAddr(host); err != nil {
			return netip.AddrPort{}, fmt.Errorf("faultengine: listen: no name service here: %w", err)
		}
	}
	return netip.AddrPortFrom(ip, uint16(port)), nil
}

// Addrs are the two ends of a connected descriptor.
func (n *Network) Addrs(fd engine.FD) (local, remote netip.AddrPort, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	d := n.find(fd)
	if d == nil {
		n.breach("Addrs of fd %d, which is not open", fd)
		return local, remote, syscall.EBADF
	}
	if d.wire == nil {
		return local, remote, syscall.ENOTCONN
	}
	return d.wire.local, d.wire.remote, nil
}

// Configure applies the buffer sizes; there is nothing to probe.
func (n *Network) Configure(fd engine.FD, o engine.SocketOptions) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	d := n.find(fd)
	if d == nil || d.wire == nil {
		n.breach("Configure of fd %d, which is no open connection", fd)
		return syscall.EBADF
	}
	d.wire.configure(o)
	return nil
}

// Discard closes a descriptor that has nothing outstanding.
func (n *Network) Discard(fd engine.FD) {
	n.mu.Lock()
	defer n.mu.Unlock()
	d := n.find(fd)
	switch {
	case d == nil && n.limbo[fd] > 0:
		n.limbo[fd]-- // its engine closed it, and then closed before it could say so
	case d == nil:
		n.breach("Discard of fd %d, which is not open", fd)
	case d.closing:
		n.breach("Discard of %s after CloseFD", d)
	case d.recv != nil || d.send != nil:
		n.breach("Discard of %s with %s outstanding", d, d.outstanding())
	default:
		if d.owner != nil {
			d.owner.forget(d)
			delete(d.owner.bound, d.token)
		}
		n.close(d)
	}
}

func (d *desc) outstanding() string {
	text := ""
	for _, o := range []*operation{d.recv, d.send} {
		if o != nil {
			text += " " + o.op.String()
		}
	}
	if d.closing {
		text += " close"
	}
	if text == "" {
		return "nothing"
	}
	return text[1:]
}

func (n *Network) find(fd engine.FD) *desc {
	if fd < 0 || int(fd) >= len(n.descs) {
		return nil
	}
	return n.descs[fd]
}

// open gives d the lowest free number, as Unix does.
func (n *Network) open(d *desc) *desc {
	for i := firstFD; i < len(n.descs); i++ {
		if n.descs[i] == nil {
			d.fd, n.descs[i] = engine.FD(i), d
			return d
		}
	}
	d.fd = engine.FD(len(n.descs))
	n.descs = append(n.descs, d)
	return d
}

// close ends d and frees its number at once.
func (n *Network) close(d *desc) {
	n.descs[d.fd] = nil
	if d.wire != nil {
		d.wire.close()
		return
	}
	if d.listener == nil {
		return
	}
	delete(n.listeners, d.listener.addr.Port())
	for _, w := range d.listener.backlog {
		w.breakOff(syscall.ECONNRESET)
	}
	d.listener.backlog = nil
}
