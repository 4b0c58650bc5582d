package conn

import (
	"kring/engine"
	"kring/reqchan"
)

// Nobody is closed for a silence that is ours, or that the kernel knows to be none: a
// completion tells of bytes late. A big frame completes when it is whole, and a Send
// that waits for room when the kernel has taken all of it. And after the process was
// stopped for a while, what came meanwhile has not been received.

// peerWrites is asked of a connection that received nothing for its idle timeout. It
// says whether to look again: bytes lie there that a receive will bring, or the
// receive of a big frame is asked for the first time what it has so far, or has not
// said it yet, which on a busy machine may take longer than from one look to the next.
// So it does while the connection waits for a receive buffer: that wait is ours.
func (c *Conn) peerWrites() bool {
	if c.WaitsForBuffer() {
		return true // what it sent lies there
	}
	if !c.in.receive.up() || c.in.cancelled && c.in.doubted == 0 {
		return false // muted: nothing of it will be received
	}
	if seen, known := c.kernelProgress(); known && seen.Unread > 0 {
		return true
	}
	if c.in.doubted != 0 { // or two deadlines have passed at one look
		return c.in.cancelled || c.in.doubted == c.shared.now
	}
	c.in.doubted = c.shared.now // and what the engine has already comes before the next look
	if c.in.receive == receiveFrame {
		c.cancelReceive() // it ends with the bytes that it has, and begins anew
	}
	return true
}

// peerReads is asked of a connection whose Send took nothing for its write timeout. It
// says whether the peer has taken something since it was asked last, as far as the
// kernel knows; the first time, that there is nothing to compare with yet.
func (c *Conn) peerReads() bool {
	o := c.out.unsent
	seen, known := c.kernelProgress()
	reads := !o.looked || known && (seen.Acked != o.seen.Acked || seen.Unsent != o.seen.Unsent)
	if reads && known {
		o.since = c.shared.now
	}
	o.looked, o.seen = true, seen
	return reads
}

func (c *Conn) kernelProgress() (engine.Progress, bool) {
	return c.shared.loop.Progress(c)
}

// Unread is how many bytes a peer has not taken of what it was answered, and since when.
func (c *Conn) Unread() (bytes int, since int64) {
	if c.life >= ending || !c.out.sending || c.up != nil {
		return 0, 0
	}
	return c.out.unsent.queued, c.out.unsent.since
}

// EndUnread closes the connection, which drains since a moment, if its peer has taken nothing of
// its output for so long. Call it again and again: it goes by what the peer takes in between.
func (c *Conn) EndUnread(since, most int64) {
	if unread, _ := c.Unread(); unread == 0 || c.life < draining || c.peerReads() {
		return
	}
	if c.shared.now-max(c.out.unsent.since, since) >= most {
		c.terminate(reqchan.ServerDraining)
	}
}

// CloseUnread closes the connection, unless its peer takes something.
func (c *Conn) CloseUnread() (closed bool) {
	if c.peerReads() {
		return false
	}
	c.terminate(reqchan.WriteTimeout)
	return true
}
