package enginetest

import (
	"errors"
	"net/netip"
	"syscall"
	"time"

	"kring/engine"
)

// door is a listening descriptor as its owner sees it.
type door struct {
	o        *owner
	listener engine.Listener
	token    engine.Token
	armed    bool
	keep     bool // re-arm an Accept that ended without a Cancel
	accepted []engine.FD
	ends     []int32 // Res of each last completion
}

// listen opens a listener and arms it.
func (o *owner) listen() *door {
	o.Helper()
	l, err := o.net.Listen(engine.ListenConfig{Address: "127.0.0.1:0"})
	if err != nil {
		o.Fatalf("listen: %v", err)
	}
	d := &door{o: o, listener: l}
	d.token = o.assign(nil, d)
	d.arm()
	return d
}

func (d *door) arm() {
	d.armed, d.keep = true, true
	d.o.e.Accept(d.listener.FD, d.token)
}

// cancel stops accepting.
func (d *door) cancel() {
	d.keep = false
	d.o.e.Cancel(d.listener.FD, d.token)
}

func (d *door) complete(c *engine.Completion) {
	o := d.o
	o.Helper()
	switch {
	case c.Op != engine.OpAccept || !d.armed:
		o.Fatalf("listener %s (armed %t) got %s res %d", d.token, d.armed, c.Op, c.Res)
	case c.Res < 0 && c.More:
		o.Fatalf("accept res %d says that more will come", c.Res)
	case c.Res < 0 && (c.Errno() != syscall.ECANCELED || d.keep):
		o.Fatalf("accept failed: %v", c.Errno())
	}
	if c.Res >= 0 {
		d.accepted = append(d.accepted, engine.FD(c.Res))
	}
	if !c.More {
		d.armed = false
		d.ends = append(d.ends, c.Res)
		if d.keep {
			d.arm()
		}
	}
}

// next waits for an accepted descriptor.
func (d *door) next() engine.FD {
	d.o.Helper()
	d.o.until("a connection accepted", func() bool { return len(d.accepted) > 0 })
	fd := d.accepted[0]
	d.accepted = d.accepted[1:]
	return fd
}

// close stops accepting and closes the listener and what nobody took.
func (d *door) close() {
	d.o.Helper()
	if d.armed {
		d.cancel()
	}
	d.o.until("accept ended", func() bool { return !d.armed })
	d.discard()
	d.o.release(d.token)
}

func (d *door) discard() {
	for _, fd := range d.accepted {
		d.o.net.Discard(fd)
	}
	d.accepted = nil
	d.o.net.Discard(d.listener.FD)
}

// dial connects a peer.
func (o *owner) dial(to netip.AddrPort) Peer {
	o.Helper()
	p, err := o.suite.dial(o.net, to)
	if err != nil {
		o.Fatalf("dial: %v", err)
	}
	if err := p.SetDeadline(time.Now().Add(patience)); err != nil {
		o.Fatalf("set a peer's deadline: %v", err)
	}
	o.peers = append(o.peers, p)
	return p
}

// connect makes a connection through d.
func (o *owner) connect(d *door) *conn {
	o.Helper()
	p := o.dial(d.listener.Addr)
	return o.adopt(d.next(), p)
}

// connectMany makes connections that wait for their Accept together.
func (o *owner) connectMany(d *door, n int) (all []*conn) {
	o.Helper()
	peers := map[netip.AddrPort]Peer{}
	for range n {
		p := o.dial(d.listener.Addr)
		peers[localOf(p)] = p
	}
	for range n {
		fd := d.next()
		remote := d.remote(fd)
		if peers[remote] == nil {
			o.Fatalf("fd %d is of %v, which never dialed or was accepted before", fd, remote)
		}
		all = append(all, o.adopt(fd, peers[remote]))
		delete(peers, remote)
	}
	return all
}

// remote is the peer's address of an accepted descriptor, as the peer knows it.
func (d *door) remote(fd engine.FD) netip.AddrPort {
	d.o.Helper()
	_, remote, err := d.o.net.Addrs(fd)
	if err != nil {
		d.o.Fatalf("addresses of accepted fd %d: %v", fd, err)
	}
	return netip.AddrPortFrom(remote.Addr().Unmap(), remote.Port())
}

func localOf(p Peer) netip.AddrPort {
	at := netip.MustParseAddrPort(p.LocalAddr().String())
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}

// adopt gives a connection a slot.
func (o *owner) adopt(fd engine.FD, p Peer) *conn {
	c := &conn{o: o, fd: fd, peer: p, in: o.streams, out: o.streams + 1}
	o.streams += 2
	c.token = o.assign(c, nil)
	return c
}

// pair is a connection on a listener of its own, which accepts no more.
func (o *owner) pair() *conn {
	o.Helper()
	d := o.listen()
	c := o.connect(d)
	d.close()
	return c
}

// broken reports whether an errno is that of a broken connection.
func broken(e syscall.Errno) bool {
	return errors.Is(e, syscall.EPIPE) || errors.Is(e, syscall.ECONNRESET) || errors.Is(e, syscall.ECONNABORTED)
}
