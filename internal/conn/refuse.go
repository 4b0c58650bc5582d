package conn

import (
	"time"

	"kring/reqchan"
)

// A transport that can't go on has something to tell its peer: why (a TLS alert). Were the
// socket closed with bytes that nobody has read, the kernel would answer them with a reset,
// and a reset discards at the peer what it has not read: it would see a broken connection,
// and come again. So what the transport says is sent, and then the peer's bytes are dropped
// until it ends the connection, for a while.

const (
	// refusedWait is how long the peer of a refused connection has to end it.
	refusedWait = 2 * time.Second
	// refusedBytesMax is how much of its bytes is dropped.
	refusedBytesMax = 1 << 20
)

// refusal is how far a connection is that its transport has given up.
type refusal struct {
	is      bool
	since   int64 // of Shared.now; all was sent that there was to say; 0: not yet
	dropped int
}

// refuseBytes ends a connection whose transport opens nothing more.
func (c *Conn) refuseBytes(why reqchan.CloseReason) {
	if !c.unsent() || c.secure.over || c.set.Shortest() == 0 || c.life >= finishing {
		c.terminate(why)
		return
	}
	c.secure.refused.is = true
	c.finish(why)
	c.sendOwn()
}

// awaitRefused is called when all was sent that there was to say.
func (c *Conn) awaitRefused() {
	r := &c.secure.refused
	if c.secure.over || c.in.receive == receiveOver {
		c.terminate(c.reason)
		return
	}
	if r.since == 0 {
		r.since = c.shared.now
		c.shared.loop.SetDeadline(c)
	}
	if c.in.receive == receiveNone {
		c.in.receive = receiveStream
		c.shared.loop.Receive(c)
	}
}

// dropRefused is told of bytes that came meanwhile.
func (c *Conn) dropRefused(n int) {
	if c.secure.refused.dropped += n; c.secure.refused.dropped > refusedBytesMax {
		c.terminate(c.reason)
	}
}

// isRefused says that c waits for its peer to end it, or will.
func (c *Conn) isRefused() bool { return c.secure != nil && c.secure.refused.is }

// refusedUntil is when that wait ends; false: it has not begun.
func (c *Conn) refusedUntil() (at int64, waits bool) {
	if !c.isRefused() || c.secure.refused.since == 0 {
		return 0, false
	}
	return c.secure.refused.since + int64(refusedWait), true
}

// handshakeUntil is when the transport must be open; false: it is, or has for ever.
func (c *Conn) handshakeUntil() (at int64, waits bool) {
	if c.secure == nil || c.set.HandshakeTimeout <= 0 || c.secure.Open() {
		return 0, false
	}
	return c.secure.since + int64(c.set.HandshakeTimeout), true
}
