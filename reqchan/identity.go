package reqchan

import "sync/atomic"

// PrincipalAnonymous is who a connection is that nobody authenticated, in the
// form that Kafka gives principals: type and name (KafkaPrincipal.ANONYMOUS).
const PrincipalAnonymous = "User:ANONYMOUS"

// identity is what a handler found out about a connection's peer.
type identity struct {
	principal     atomic.Pointer[string]
	authenticated atomic.Bool
	session       atomic.Value
}

// Principal is who the peer is, as type and name; PrincipalAnonymous until a
// handler says otherwise.
func (c *Conn) Principal() string {
	if p := c.identity.principal.Load(); p != nil {
		return *p
	}
	return PrincipalAnonymous
}

// SetPrincipal says who the peer is, from the next request on.
func (c *Conn) SetPrincipal(principal string) { c.identity.principal.Store(&principal) }

// Authenticated says that a handler vouched for the peer. It matters only where
// Config.Limits.FrameBytesMaxUnauthenticated is set.
func (c *Conn) Authenticated() bool { return c.identity.authenticated.Load() }

// SetAuthenticated vouches for the peer, from the next request on; false takes
// it back. Call it before the answer that tells the peer.
func (c *Conn) SetAuthenticated(yes bool) { c.identity.authenticated.Store(yes) }

// AttachSession keeps how far a handler has come with authenticating the peer: apart from
// Attach, which is for the handler behind it. Every value attached to one connection must be
// of the same type.
func (c *Conn) AttachSession(v any) { c.identity.session.Store(v) }

// Session is what AttachSession kept, nil before.
func (c *Conn) Session() any { return c.identity.session.Load() }
