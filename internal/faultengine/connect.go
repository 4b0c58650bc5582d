package faultengine

import (
	"net"
	"net/netip"
	"sync"
	"syscall"

	"kring/engine"
)

// Socket gives a descriptor to be connected.
func (n *Network) Socket(to netip.AddrPort, o engine.SocketOptions) (engine.FD, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.exhausted {
		return -1, failure("socket", syscall.EMFILE)
	}
	return n.open(&desc{options: o}).fd, nil
}

// Exhaust has no descriptor be left for Socket, until it is told otherwise.
func (n *Network) Exhaust(yes bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.exhausted = yes
}

// Connect connects a descriptor to a PeerListener.
func (e *Engine) Connect(fd engine.FD, t engine.Token, to netip.AddrPort) {
	e.start("Connect", fd, t, &operation{op: engine.OpConnect, to: to})
}

// connect ends a Connect, unless nobody answers it.
func (e *Engine) connect(d *desc, op *operation) {
	l := e.n.peers[op.to.Port()]
	switch {
	case d.shut:
		e.finish(d, op, engine.Failed(syscall.ECANCELED))
	case op.to.Addr() == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		e.finish(d, op, engine.Failed(syscall.ENETUNREACH))
	case e.chance(e.n.cfg.FailConnect):
		e.finish(d, op, engine.Failed(connectErrors[e.rng.IntN(len(connectErrors))]))
	case l == nil || l.addr != op.to:
		e.finish(d, op, engine.Failed(syscall.ECONNREFUSED))
	case !l.silent:
		n := e.n
		n.nextPeer++
		local := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), firstPeerPort+uint16(n.nextPeer%firstPeerPort))
		d.wire = n.newWire(local, l.addr)
		d.wire.configure(d.options)
		d.wire.desc = d
		l.waiting = append(l.waiting, d.wire.peer)
		l.changed.Broadcast()
		e.finish(d, op, 0)
	}
}

// PeerListener is where a Connect leads to: its Accept gives the other ends. Any goroutine
// may use it.
type PeerListener struct {
	n       *Network
	addr    netip.AddrPort
	silent  bool
	waiting []*Peer
	closed  bool
	changed sync.Cond // on n.mu
}

// ListenPeer makes a PeerListener on a port of its own. A silent one never answers.
func (n *Network) ListenPeer(silent bool) *PeerListener {
	n.mu.Lock()
	defer n.mu.Unlock()
	for n.listeners[n.nextPort] != nil || n.peers[n.nextPort] != nil {
		n.nextPort++
	}
	l := &PeerListener{n: n, silent: silent, addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), n.nextPort)}
	l.changed.L = &n.mu
	n.nextPort++
	n.peers[l.addr.Port()] = l
	return l
}

// AddrPort is where it listens.
func (l *PeerListener) AddrPort() netip.AddrPort { return l.addr }

// Accept waits for the other end of a Connect.
func (l *PeerListener) Accept() (*Peer, error) {
	l.n.mu.Lock()
	defer l.n.mu.Unlock()
	for len(l.waiting) == 0 {
		if l.closed {
			return nil, failure("accept", net.ErrClosed)
		}
		l.changed.Wait()
	}
	p := l.waiting[0]
	l.waiting = l.waiting[1:]
	return p, nil
}

// Close has it listen no more; what nobody accepted is reset.
func (l *PeerListener) Close() error {
	l.n.mu.Lock()
	defer l.n.mu.Unlock()
	if l.closed {
		return failure("close", net.ErrClosed)
	}
	l.closed = true
	delete(l.n.peers, l.addr.Port())
	for _, p := range l.waiting {
		p.closed = true
		p.w.peerClosed = true
		p.w.breakOff(syscall.ECONNRESET)
	}
	l.waiting = nil
	l.changed.Broadcast()
	return nil
}
