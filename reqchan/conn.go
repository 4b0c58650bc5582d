package reqchan

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"sync/atomic"
)

// ConnID names a connection for the life of the server: the processor that
// it began on and a number that is never used again.
type ConnID struct {
	Processor uint32
	Index     uint64
}

// String is PROCESSOR-INDEX.
func (id ConnID) String() string { return fmt.Sprintf("%d-%d", id.Processor, id.Index) }

// Conn is what a handler may know of the connection a request came from. It
// stays valid after the connection ended. Any goroutine may read it.
type Conn struct {
	ID ConnID
	// Listener is the name of the listener that it came by.
	Listener string
	// Privileged is the listener's: it is the control plane's, or the brokers'
	// own, and requests may act for others (Kafka: fromPrivilegedListener).
	Privileged bool
	// Local is the address that the client reached the server by, the zero value on a
	// Unix domain socket. It is what a Metadata response should name as the broker's host
	// and port, unless something on the way (NAT, a proxy, a container's port mapping) has
	// clients use another: then the program must be told (advertised.listeners).
	Local netip.AddrPort
	// Remote is the client's address, or that of what forwards for it unless that says who
	// its client is (see Proxy); the zero value on a Unix domain socket.
	Remote netip.AddrPort

	proxy      *Proxy
	endDetail  atomic.Pointer[error]
	life       life
	livesOn    atomic.Uint64 // 1 and the id of the processor that it has moved to; 0: it never has
	attachment atomic.Value
	identity   identity
	software   atomic.Pointer[Software]
	clientID   atomic.Pointer[string]
	totals     atomic.Pointer[Totals]
	tls        atomic.Pointer[tls.ConnectionState]

	census  *Census  // nil: nobody counts
	counted Software // as what census counts it; guarded by census.mu, as left
	left    bool
	ended   atomic.Bool

	clientIDs  *ClientIDs                // nil: nobody counts
	clientUse  atomic.Pointer[clientUse] // what its client id is counted by; nil: it has said none
	clientLeft bool                      // guarded by clientIDs.mu
	watched    bool                      // somebody is told of slow requests; it never changes
}

// Software is what a client says that it is (KIP-511).
type Software struct{ Name, Version string }

// Processor is the id of the processor that the connection lives on now. ID names the one that
// it began on. It may move again at any time.
func (c *Conn) Processor() uint32 {
	if moved := c.livesOn.Load(); moved > 0 {
		return uint32(moved - 1)
	}
	return c.ID.Processor
}

// ConnMoved is for the processor: c lives on the one of this id from now on.
func ConnMoved(c *Conn, processor uint32) { c.livesOn.Store(uint64(processor) + 1) }

// Ended says that the connection is gone or going: an answer would be dropped.
func (c *Conn) Ended() bool { return c.ended.Load() }

// EndConn is for the processor: c is going, for this reason.
func EndConn(c *Conn, why CloseReason) {
	c.ended.Store(true)
	ConnGone(c, why)
}

// Attach keeps one value of the handler's with the connection. Every value
// attached to one connection must be of the same type.
func (c *Conn) Attach(v any) { c.attachment.Store(v) }

// Attachment is what Attach kept, nil before.
func (c *Conn) Attachment() any { return c.attachment.Load() }

// TLS is what the handshake found: the version, the cipher suite, ALPN, SNI and the
// client's certificates. nil on a connection in plain text, and before the end of the
// handshake, which is before the first request. It must not be changed.
func (c *Conn) TLS() *tls.ConnectionState { return c.tls.Load() }

// SetTLS is the server's: what the handshake found.
func (c *Conn) SetTLS(s *tls.ConnectionState) { c.tls.Store(s) }

// SetSoftware keeps what the client says that it is, once it was checked.
func (c *Conn) SetSoftware(s Software) {
	if c.census != nil {
		c.census.move(c, s)
		return
	}
	c.software.Store(&s)
}

// Software is what the client said that it is; empty while it has not.
func (c *Conn) Software() Software {
	if s := c.software.Load(); s != nil {
		return *s
	}
	return Software{}
}
