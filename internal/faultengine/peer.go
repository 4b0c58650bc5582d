package faultengine

import (
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// Peer is the client's end of a connection: a net.Conn that can also finish
// sending and reset. Any goroutine may use it. A test that drives the engine and its
// peers from one goroutine must set deadlines, or write no more than the window: no other
// goroutine makes room.
type Peer struct {
	n       *Network
	w       *wire
	changed sync.Cond // on n.mu

	// Guarded by n.mu.
	closed      bool
	readBefore  time.Time
	writeBefore time.Time
}

var _ net.Conn = (*Peer)(nil)

// Dial connects to a listener from 127.0.0.1.
func (n *Network) Dial(addr netip.AddrPort) (*Peer, error) {
	return n.DialFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), addr)
}

// DialFrom connects to a listener from a client's address of the test's choice.
func (n *Network) DialFrom(client netip.Addr, addr netip.AddrPort) (*Peer, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := n.listeners[addr.Port()]
	if l == nil || (l.addr.Addr() != addr.Addr() && !l.addr.Addr().IsUnspecified()) {
		return nil, failure("dial", syscall.ECONNREFUSED)
	}
	if len(l.backlog) >= l.limit {
		return nil, failure("dial", syscall.ETIMEDOUT)
	}
	n.nextPeer++
	port := firstPeerPort + uint16(n.nextPeer%firstPeerPort)
	w := n.newWire(addr, netip.AddrPortFrom(client, port))
	w.configure(l.socket)
	l.backlog = append(l.backlog, w)
	if l.desc.owner != nil {
		l.desc.owner.ring()
	}
	return w.peer, nil
}

// newWire makes connection number nextPeer, and its Peer.
func (n *Network) newWire(local, remote netip.AddrPort) *wire {
	w := &wire{
		local: local, remote: remote, rng: n.cfg.rng(1<<32 + n.nextPeer),
		toServer: stream{limit: n.cfg.ReceiveWindowBytes}, toPeer: stream{limit: n.cfg.SendWindowBytes},
	}
	w.peer = &Peer{n: n, w: w}
	w.peer.changed.L = &n.mu
	return w
}

func failure(op string, err error) error { return &net.OpError{Op: op, Net: "fault", Err: err} }

// Read reads what the owner sent. io.EOF: the owner's side finished.
func (p *Peer) Read(b []byte) (int, error) {
	p.n.mu.Lock()
	defer p.n.mu.Unlock()
	for {
		in := &p.w.toPeer
		switch {
		case p.closed:
			return 0, failure("read", net.ErrClosed)
		case passed(p.readBefore):
			return 0, failure("read", os.ErrDeadlineExceeded)
		case len(b) == 0:
			return 0, nil
		case len(in.data) > 0:
			k := in.take(b)
			p.w.tellOwner()
			return k, nil
		case p.w.peerReset:
			return 0, failure("read", syscall.ECONNRESET)
		case in.finished:
			return 0, io.EOF
		}
		p.changed.Wait()
	}
}

// Write writes all of b, waiting for room as often as needed.
func (p *Peer) Write(b []byte) (int, error) {
	p.n.mu.Lock()
	defer p.n.mu.Unlock()
	written := 0
	for {
		out := &p.w.toServer
		switch {
		case p.closed:
			return written, failure("write", net.ErrClosed)
		case passed(p.writeBefore):
			return written, failure("write", os.ErrDeadlineExceeded)
		case p.w.peerReset || p.w.closed:
			return written, failure("write", syscall.ECONNRESET)
		case out.finished:
			return written, failure("write", syscall.EPIPE)
		case p.w.shut: // acknowledged and thrown away, as the kernel does
			return len(b), nil
		}
		if k := min(out.room(), len(b)-written); k > 0 {
			out.data = append(out.data, b[written:written+k]...)
			written += k
			p.w.tellOwner()
		}
		if written == len(b) {
			return written, nil
		}
		p.changed.Wait()
	}
}

// Pending is how many bytes Read gives at once, and whether the stream ends
// behind them.
func (p *Peer) Pending() (n int, ends bool) {
	p.n.mu.Lock()
	defer p.n.mu.Unlock()
	in := &p.w.toPeer
	return len(in.data), p.closed || p.w.peerReset || in.finished
}

// Room is how many bytes Write takes at once; 0 also when it takes none any more.
func (p *Peer) Room() int {
	p.n.mu.Lock()
	defer p.n.mu.Unlock()
	if p.closed || p.w.peerReset || p.w.closed || p.w.shut || p.w.toServer.finished {
		return 0
	}
	return p.w.toServer.room()
}

// CloseWrite finishes sending; reading goes on.
func (p *Peer) CloseWrite() error {
	p.n.mu.Lock()
	defer p.n.mu.Unlock()
	if p.closed {
		return failure("close", net.ErrClosed)
	}
	p.w.toServer.finished = true
	p.w.tellOwner()
	p.changed.Broadcast()
	return nil
}

// Reset ends the connection with an RST: the owner gets ECONNRESET, and may or may not
// see the last bytes that were written.
func (p *Peer) Reset() error { return p.end(true) }

// Close ends the connection; with data unread that is a Reset, as in TCP.
func (p *Peer) Close() error { return p.end(false) }

func (p *Peer) end(reset bool) error {
	p.n.mu.Lock()
	defer p.n.mu.Unlock()
	if p.closed {
		return failure("close", net.ErrClosed)
	}
	p.closed = true
	w := p.w
	w.peerClosed = true
	w.toServer.finished = true
	if reset || len(w.toPeer.data) > 0 {
		if keep := len(w.toServer.data); keep > 0 && reset {
			w.toServer.data = w.toServer.data[:w.rng.IntN(keep+1)]
		}
		w.breakOff(syscall.ECONNRESET)
	}
	w.toPeer.data = nil
	w.tellOwner()
	p.changed.Broadcast()
	return nil
}

// LocalAddr is the client's address.
func (p *Peer) LocalAddr() net.Addr { return net.TCPAddrFromAddrPort(p.w.remote) }

// RemoteAddr is the listener's address.
func (p *Peer) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(p.w.local) }

// SetDeadline sets both deadlines.
func (p *Peer) SetDeadline(t time.Time) error {
	p.limit(func() { p.readBefore, p.writeBefore = t, t }, t)
	return nil
}

// SetReadDeadline bounds Read.
func (p *Peer) SetReadDeadline(t time.Time) error {
	p.limit(func() { p.readBefore = t }, t)
	return nil
}

// SetWriteDeadline bounds Write.
func (p *Peer) SetWriteDeadline(t time.Time) error {
	p.limit(func() { p.writeBefore = t }, t)
	return nil
}

func (p *Peer) limit(set func(), t time.Time) {
	p.n.mu.Lock()
	defer p.n.mu.Unlock()
	set()
	p.changed.Broadcast()
	if !t.IsZero() {
		time.AfterFunc(time.Until(t), func() {
			p.n.mu.Lock()
			defer p.n.mu.Unlock()
			p.changed.Broadcast()
		})
	}
}

func passed(t time.Time) bool { return !t.IsZero() && !time.Now().Before(t) }
