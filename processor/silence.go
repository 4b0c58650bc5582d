package processor

import "kring/engine"

// Nobody is closed for a silence that is ours, or that the kernel knows to be none: a
// completion tells of bytes late. A big frame completes when it is whole, and a Send
// that waits for room when the kernel has taken all of it. And after the process was
// stopped for a while, what came meanwhile has not been received.

// peerWrites is asked of a connection that received nothing for its idle timeout. It
// says whether to look again: bytes lie there that a receive will bring, or the
// receive of a big frame is asked for the first time what it has so far.
func (p *Processor) peerWrites(c *conn) bool {
	if c.receive == receiveNone || c.cancelled && !c.doubted {
		return false // muted: nothing of it will be received
	}
	if seen, known := p.kernelSees(c); known && seen.Unread > 0 {
		return true
	}
	if c.doubted {
		return false
	}
	c.doubted = true // and what the engine has already comes before the next look
	if c.receive == receiveFrame {
		c.cancelled = true
		p.engine.Cancel(c.fd, c.token) // it ends with the bytes that it has, and begins anew
	}
	return true
}

// peerReads is asked of a connection whose Send took nothing for its write timeout. It
// says whether the peer has taken something since it was asked last, as far as the
// kernel knows; the first time, that there is nothing to compare with yet.
func (p *Processor) peerReads(c *conn) bool {
	o := c.out
	seen, known := p.kernelSees(c)
	reads := !o.looked || known && (seen.Acked != o.seen.Acked || seen.Unsent != o.seen.Unsent)
	if reads && known {
		o.since = p.now
	}
	o.looked, o.seen = true, seen
	return reads
}

func (p *Processor) kernelSees(c *conn) (engine.Progress, bool) {
	if p.teller == nil {
		return engine.Progress{}, false
	}
	return p.teller.Progress(c.fd)
}
