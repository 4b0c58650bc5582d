package embedded

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
)

// listener is where kfake listens: in memory. kfake tells clients the host and
// port of its listener's Addr, so Addr is the address that we advertise.
type listener struct {
	advertised atomic.Pointer[string]
	dialled    chan net.Conn
	done       chan struct{}
	once       sync.Once
}

func newListener() *listener {
	l := &listener{dialled: make(chan net.Conn), done: make(chan struct{})}
	l.advertise("localhost:9092")
	return l
}

func (l *listener) advertise(hostport string) { l.advertised.Store(&hostport) }

// dial connects to kfake on behalf of a client, whose address kfake shows in
// the descriptions of groups.
func (l *listener) dial(client netip.AddrPort) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case l.dialled <- clientConn{theirs, clientHost(client)}:
		return ours, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Accept is kfake's.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.dialled:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close is kfake's.
func (l *listener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

// Addr is what kfake tells clients to connect to.
func (l *listener) Addr() net.Addr { return address(*l.advertised.Load()) }

// clientHost is how Apache Kafka writes a member's host: Java's text of an
// address without a name. A Unix socket's client has none.
func clientHost(client netip.AddrPort) address {
	if !client.IsValid() {
		return "/unix"
	}
	return address("/" + client.Addr().Unmap().String())
}

type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }

// clientConn is kfake's end of a connection.
type clientConn struct {
	net.Conn
	client net.Addr
}

func (c clientConn) RemoteAddr() net.Addr { return c.client }
