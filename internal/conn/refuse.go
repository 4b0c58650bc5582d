package conn

import (
	"time"

	"kring/reqchan"
)

// Some connections are closed with a last word for their peer: an answer behind which the
// handler closes (authentication has failed), or a transport's alert. Were the socket closed
// with bytes that nobody has read, or did some come afterwards, the kernel would answer them
// with a reset, and a reset discards at the peer what it has not read: it would see a broken
// connection, and come again. So the last word is sent, the outgoing direction ends, and the
// peer's bytes are dropped until it ends the connection too, for a while.

const (
	// refusedWait is how long the peer of a refused connection has to end it.
	refusedWait = 2 * time.Second
	// refusedBytesMax is how much of its bytes is dropped.
	refusedBytesMax = 1 << 20
)

// refusal is how far a connection is that has a last word for its peer.
type refusal struct {
	since   int64 // of Shared.now; all was sent that there was to say; 0: not yet
	dropped int32
	is      bool
}

// refuseBytes ends a connection whose transport opens nothing more.
func (c *Conn) refuseBytes(why reqchan.CloseReason) {
	if !c.unsent() || c.secure.over || c.set.Shortest() == 0 || c.life >= finishing {
		c.terminate(why)
		return
	}
	c.refused.is, c.secure.ended = true, true // the alert is the transport's last word
	c.finish(why)
	c.sendOwn()
}

// refuseWith ends a connection whose last answer is queued.
func (c *Conn) refuseWith(why reqchan.CloseReason) {
	c.refused.is = c.life < finishing && c.set.Shortest() > 0 // else nobody would end the wait
	c.finish(why)
}

// awaitRefused is called when all was sent that there was to say.
func (c *Conn) awaitRefused() {
	r := &c.refused
	if c.set.Shortest() == 0 || c.secure != nil && c.secure.over || c.in.receive == receiveOver || c.shared.phase >= Draining || c.from.Phase() >= Draining {
		c.terminate(c.reason)
		return
	}
	if r.since == 0 {
		r.since, c.at.begun = c.shared.now, 0
		c.shared.loop.ShutdownSend(c)
		c.shared.loop.SetDeadline(c)
		if c.up == nil && (c.in.receive == receiveNone || c.in.receive == receiveStream) {
			c.abandonInput()
		}
	}
	if c.in.receive == receiveNone {
		c.in.receive = receiveStream
		c.shared.loop.Receive(c)
	}
}

// dropRefused is told of bytes that came meanwhile.
func (c *Conn) dropRefused(n int) {
	if c.refused.dropped += int32(n); c.refused.dropped > refusedBytesMax {
		c.terminate(c.reason)
	}
}

// refusedUntil is when that wait ends; false: it has not begun.
func (c *Conn) refusedUntil() (at int64, waits bool) {
	if c.refused.since == 0 {
		return 0, false
	}
	return c.refused.since + int64(refusedWait), true
}

// handshakeUntil is when the transport must be open; false: it is, or will never be, or has for
// ever. A connection that this side makes has until upstream.openBy for all that opens it.
func (c *Conn) handshakeUntil() (at int64, waits bool) {
	if c.secure == nil || c.up != nil || c.set.HandshakeTimeout <= 0 || c.secure.Open() || c.refused.is {
		return 0, false
	}
	return c.secure.since + int64(c.set.HandshakeTimeout) + c.handshakeWorked(), true
}

// handshakeWorked is time of the handshake that is ours: in a crowd most of it is a wait for its
// turn to compute. It counts up to once HandshakeTimeout, so every connection has an end.
func (c *Conn) handshakeWorked() int64 {
	w, is := c.secure.Transport.(ComputingTransport)
	if !is {
		return 0
	}
	return min(w.Worked(c.shared.now), int64(c.set.HandshakeTimeout))
}

// handshakeLate says that the transport should be open by now. What the kernel has of its peer
// keeps it, once, because the process may have been stopped.
func (c *Conn) handshakeLate() bool {
	at, waits := c.handshakeUntil()
	if !waits || c.shared.now < at {
		return false
	}
	s, limit := c.secure, int64(c.set.HandshakeTimeout)
	if s.late || !c.peerWrites() {
		return true
	}
	s.late, s.since = true, c.shared.now-limit-c.handshakeWorked()+limit/16
	return false
}
