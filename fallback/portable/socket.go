package portable

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"kring/engine"
)

// past is a deadline that has always passed; never clears it.
var (
	past  = time.Unix(1, 0)
	never time.Time
)

// socket is the listener or the connection of a descriptor.
type socket struct {
	listener listener
	conn     conn                 // of one that connects: guarded by mu until its Connect has completed
	options  engine.SocketOptions // for what a listener accepts, or for what connects

	mu   sync.Mutex
	in   *operation // guarded by mu: Accept, Recv or RecvInto whose goroutine runs
	out  *operation // guarded by mu: Send whose goroutine runs
	shut bool       // guarded by mu

	// undelivered is how many bytes a Recv has read that its owner has not polled.
	undelivered atomic.Int64

	// Owner: the goroutine of in, or whoever closes the socket when none runs.
	raw    syscall.RawConn // of conn; nil before the first receive, and where it is not known
	buffer []byte          // of the pool, or nil
	held   []byte          // the part of buffer that was read and not delivered
	broken syscall.Errno   // ended a RecvInto that had bytes; the next receive says it

	// Owner: the goroutine of out. The list that a gathered write uses up.
	parts [][]byte
}

// listener and conn are Go's, of TCP or of Unix domain sockets.
type listener interface {
	net.Listener
	SetDeadline(time.Time) error
}

type conn interface {
	net.Conn
	CloseWrite() error
}

// rawConn is what waits for bytes without reading them, of connections that are Go's own:
// what wraps one may read otherwise.
func (s *socket) rawConn() syscall.RawConn {
	if s.raw != nil {
		return s.raw
	}
	switch c := s.conn.(type) {
	case *net.TCPConn:
		s.raw, _ = c.SyscallConn() // fails for none that was connected
	case *net.UnixConn:
		s.raw, _ = c.SyscallConn()
	}
	return s.raw
}

func (s *socket) close() error {
	switch {
	case s.listener != nil:
		return s.listener.Close()
	case s.conn == nil: // it never connected
		return nil
	}
	return s.conn.Close()
}

// shutdown ends both directions. The deadline ends running and later operations; the
// half-close tells the peer, after what was sent before.
func (s *socket) shutdown() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut || s.listener != nil {
		return
	}
	s.shut = true
	if s.conn == nil {
		if s.in != nil {
			s.in.requestStop()
		}
		return
	}
	if s.in != nil {
		s.in.requestStop()
	}
	if s.out != nil {
		s.out.requestStop()
	}
	_ = s.conn.SetDeadline(past)
	_ = s.conn.CloseWrite() // fails when the connection is gone already
}

// shutdownSend tells the peer that nothing more comes, after what was sent before.
func (s *socket) shutdownSend() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.shut && s.conn != nil {
		_ = s.conn.CloseWrite() // fails when the connection is gone already
	}
}

const (
	keepAliveDefault     = 2 * time.Minute
	keepAliveIntervalMax = time.Minute
	keepAliveProbes      = 3
)

// configure applies o to a connection of TCP; others have no options.
func configure(of conn, o engine.SocketOptions) error {
	c, ok := of.(*net.TCPConn)
	if !ok {
		return nil
	}
	if err := c.SetNoDelay(true); err != nil {
		return fmt.Errorf("set TCP_NODELAY: %w", err)
	}
	if o.SendBufferBytes > 0 {
		if err := c.SetWriteBuffer(o.SendBufferBytes); err != nil {
			return fmt.Errorf("set SO_SNDBUF to %d: %w", o.SendBufferBytes, err)
		}
	}
	if o.ReceiveBufferBytes > 0 {
		if err := c.SetReadBuffer(o.ReceiveBufferBytes); err != nil {
			return fmt.Errorf("set SO_RCVBUF to %d: %w", o.ReceiveBufferBytes, err)
		}
	}
	idle := o.KeepAlive
	if idle == 0 {
		idle = keepAliveDefault
	}
	err := c.SetKeepAliveConfig(net.KeepAliveConfig{
		Enable:   idle > 0,
		Idle:     max(idle, time.Second),
		Interval: max(cmp.Or(o.KeepAliveInterval, min(idle/2, keepAliveIntervalMax)), time.Second),
		Count:    cmp.Or(o.KeepAliveProbes, keepAliveProbes),
	})
	if err != nil {
		return fmt.Errorf("set keepalive of %v: %w", idle, err)
	}
	return nil
}

func validate(o engine.SocketOptions) error {
	if o.SendBufferBytes < 0 || o.ReceiveBufferBytes < 0 {
		return fmt.Errorf("socket buffers of %d and %d bytes: use 0 for the system's sizing, or a positive size",
			o.SendBufferBytes, o.ReceiveBufferBytes)
	}
	return nil
}

func addrPort(a net.Addr) netip.AddrPort {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	at := tcp.AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}
