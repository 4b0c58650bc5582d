package gateway

import (
	"crypto/tls"
	"sync/atomic"

	"kring"
)

// ServerDialer is a Dialer that opens connections on the engines of a kring.Server. The
// Server comes after the Gateway, which is its handler: Use says which it is.
type ServerDialer struct {
	server atomic.Pointer[kring.Server]
	tls    *tls.Config
}

// NewServerDialer makes a Dialer whose connections speak TLS by t; nil: they don't. It shows all
// brokers the certificate of t: who has several (Identity.TLS) needs a Dialer that looks at
// Target.Identity.
func NewServerDialer(t *tls.Config) *ServerDialer { return &ServerDialer{tls: t} }

// Use says on which server connections are opened. Before Gateway.Start.
func (d *ServerDialer) Use(s *kring.Server) { d.server.Store(s) }

// Dial is of Dialer.
func (d *ServerDialer) Dial(to Target, events LinkEvents) Link {
	return serverLink{d.server.Load().Connect(kring.UpstreamConfig{
		Address: to.Address.String(), TLS: d.tls, Near: to.Near, FrameBytesMax: to.FrameBytesMax,
		OpenTimeout: to.OpenTimeout, FrameTimeout: to.FrameTimeout, WriteTimeout: to.WriteTimeout,
	}, events)}
}

// serverLink is a Link of a kring.Server.
type serverLink struct{ *kring.Upstream }

// Write is of Link.
func (l serverLink) Write(w Write) {
	l.Upstream.Write(kring.UpstreamWrite{Parts: w.Parts, Copied: w.Copied, Done: w.Done})
}
