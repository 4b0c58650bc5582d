package reqchan

import (
	"iter"
	"net/netip"

	"kring/internal/proxyproto"
)

// Proxy is what forwards a connection for its client, and what it said by the PROXY
// protocol. It never changes.
type Proxy struct {
	// Remote and Local are the ends of the connection between forwarder and server; zero
	// values on a Unix domain socket.
	Remote, Local netip.AddrPort
	header        *proxyproto.Header
}

// Version of the protocol, 1 or 2.
func (p *Proxy) Version() int { return p.header.Version }

// ForItself says that the forwarder speaks for itself (a health check), or that it does not
// say who its client is: the connection's ends are the forwarder's.
func (p *Proxy) ForItself() bool { return p.header.ForItself }

// Paths are the ends of a client that reached the forwarder by a Unix domain socket; an
// abstract one begins with @.
func (p *Proxy) Paths() (client, forwarder string) {
	return p.header.SourcePath, p.header.DestinationPath
}

// TLVs are what else the forwarder said, by type, in its order; version 2 alone has them.
// The values must not be changed. A sender that is trusted vouches for them; nobody has
// held them against anything.
func (p *Proxy) TLVs() iter.Seq2[byte, []byte] { return p.header.TLVs() }

// TLV is the value of the first TLV of that type, such as 0x02 for the host's name that the
// client asked for (SNI); false when there is none.
func (p *Proxy) TLV(kind byte) ([]byte, bool) { return p.header.TLV(kind) }

// Proxy is what forwards the connection for its client; nil when nobody does.
func (c *Conn) Proxy() *Proxy { return c.proxy }

// ClientAddr is the address that rules and limits go by: that of the client. One that reached
// its forwarder by a Unix domain socket is on the forwarder's machine, and has its address.
// The zero Addr: it came by a Unix domain socket of this machine.
func (c *Conn) ClientAddr() netip.Addr {
	if c.proxy != nil && !c.Remote.IsValid() {
		return c.proxy.Remote.Addr()
	}
	return c.Remote.Addr()
}

// Forward is the processor's: the forwarder at the ends of c has said whose the connection
// is. It comes before anybody else sees c.
func (c *Conn) Forward(h *proxyproto.Header) {
	c.proxy = &Proxy{Remote: c.Remote, Local: c.Local, header: h}
	if !h.ForItself {
		c.Remote, c.Local = h.Source, h.Destination
	}
}

// SetEndDetail is the processor's: what exactly the connection ended for, beyond the reason.
func (c *Conn) SetEndDetail(err error) { c.endDetail.Store(&err) }

// EndDetail says what exactly the connection ended for; nil when its reason says all. Of a TLS
// handshake with a client it is the text alone, of 512 bytes at most: the error itself would keep
// all certificates that the client sent.
func (c *Conn) EndDetail() error {
	if err := c.endDetail.Load(); err != nil {
		return *err
	}
	return nil
}
