package tlsconn

import (
	"crypto/tls"

	"kring/internal/conn"
	"kring/reqchan"
)

// Client makes transports of connections that this side made, by c, which names the server
// or does not verify it. Their handshakes begin with TellWork, and are counted with h's.
func (h *Handshakes) Client(c *tls.Config) conn.MakeTransport {
	return func(info *reqchan.Conn, moved func()) conn.Transport {
		t := h.transport(info, moved)
		t.client = c
		return t
	}
}
