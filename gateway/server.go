package gateway

import (
	"crypto/tls"
	"fmt"
	"sync/atomic"

	"kring"
)

// ServerDialer is a Dialer that opens connections on the engines of a kring.Server. The
// Server comes after the Gateway, which is its handler: Use says which it is.
type ServerDialer struct {
	server atomic.Pointer[kring.Server]
	tls    atomic.Pointer[tls.Config]
}

// NewServerDialer makes a Dialer whose connections speak TLS by t; nil: they don't. All of them
// show the certificate of t. A connection for an Identity with another one (Identity.TLS) fails:
// it needs a Dialer that looks at Target.Identity.
func NewServerDialer(t *tls.Config) *ServerDialer {
	d := &ServerDialer{}
	d.SetTLS(t)
	return d
}

// SetTLS has connections that are opened from now on speak TLS by t; nil: they don't. Any
// goroutine.
func (d *ServerDialer) SetTLS(t *tls.Config) { d.tls.Store(t) }

// Use says on which server connections are opened. Before Gateway.Start.
func (d *ServerDialer) Use(s *kring.Server) { d.server.Store(s) }

// Processors are those of the server: connections of a lane are spread over them.
func (d *ServerDialer) Processors() []uint32 { return d.server.Load().Processors() }

// Dial is of Dialer.
func (d *ServerDialer) Dial(to Target, events LinkEvents) Link {
	link := serverLink{d.server.Load().Connect(kring.UpstreamConfig{
		Address: to.Address.String(), TLS: d.tls.Load(), Near: to.Near, FrameBytesMax: to.FrameBytesMax,
		OpenTimeout: to.OpenTimeout, FrameTimeout: to.FrameTimeout, WriteTimeout: to.WriteTimeout,
	}, events)}
	if to.Identity != "" { // with the usual certificate it would be somebody else
		link.Close(fmt.Errorf("gateway: Identity.TLS %q: a ServerDialer has one certificate for all; leave it empty, or give a Dialer that looks at Target.Identity", to.Identity))
	}
	return link
}

// serverLink is a Link of a kring.Server.
type serverLink struct{ *kring.Upstream }

// Write is of Link.
func (l serverLink) Write(w Write) {
	l.Upstream.Write(kring.UpstreamWrite{Parts: w.Parts, Copied: w.Copied, NoReply: w.NoReply, Done: w.Done})
}
