package conn

import (
	"kring/engine"
	"kring/reqchan"
)

const (
	// sendBuffersMax and sendBytesMax bound what one Send gathers: sockets take some MiB at
	// once, and a Poll copies that for all who were answered together. A mebibyte of records
	// goes with its frame.
	sendBuffersMax = 64
	sendBytesMax   = 1<<20 + 64<<10
	// outboundsKeptMax bounds how many outbounds wait for reuse.
	outboundsKeptMax = 4096
)

// Send has the connection's output sent, as much of it as one Send gathers, unless one is
// outstanding.
func (c *Conn) Send() {
	if c.out.sending || c.life >= ending {
		return
	}
	if c.secure != nil {
		c.sendSealed()
		return
	}
	if c.out.unsent == nil {
		return
	}
	o := c.out.unsent
	o.buffers = o.buffers[:0]
	left := sendBytesMax
	for i := o.at; i < len(o.segments) && len(o.buffers) < sendBuffersMax && left > 0; i++ {
		if o.segments[i].file != nil {
			break // what is behind it waits until it is read
		}
		b := o.segments[i].bytes
		b = b[:min(len(b), left)]
		left -= len(b)
		o.buffers = append(o.buffers, b)
	}
	if c.readAhead(); len(o.buffers) == 0 || c.life >= ending {
		return
	}
	o.covered = len(o.buffers)
	c.give(o)
}

// give hands over what is gathered.
func (c *Conn) give(o *outbound) {
	o.since, o.looked = c.shared.now, false
	c.out.sending = true
	if c.up != nil {
		c.up.handedOut(c)
	}
	c.shared.count.Sends++
	c.shared.loop.Send(c, o.buffers)
}

// Sent takes the completion of Send: it may have taken less than it was given.
func (c *Conn) Sent(done *engine.Completion) {
	c.out.sending = false
	c.out.unsent.covered = 0
	if done.Res < 0 {
		if c.up != nil {
			c.up.broke(done.Errno())
		}
		if c.out.reading == nil { // else its file is still needed: join drops it then
			c.dropOutput()
		}
		if c.life >= ending {
			c.join()
		} else if c.secure != nil && c.secure.ended {
			c.terminate(c.reason) // all that it did not get is the transport's last bytes
		} else {
			c.terminate(reqchan.PeerReset)
		}
		return
	}
	c.keepPace()
	c.at.active = c.shared.now
	if c.up != nil {
		c.shared.count.UpstreamBytesOut += uint64(done.Res)
	} else {
		c.shared.count.BytesOut += uint64(done.Res)
	}
	c.out.bytes += uint64(done.Res)
	c.touch()
	if c.secure != nil {
		c.sentSealed(int(done.Res))
	} else {
		c.advance(int(done.Res))
	}
	if c.life >= ending {
		c.join()
		return
	}
	if c.out.unsent != nil || c.unsent() {
		c.Send()
	}
	if !c.atRest() {
		c.Resume()
	}
}

// advance takes n sent bytes off the connection's output.
func (c *Conn) advance(n int) {
	o := c.out.unsent
	o.queued -= n
	c.sentUpTo(n)
	if c.up != nil {
		c.up.sentMore(n)
	}
	for n > 0 {
		s := &o.segments[o.at]
		if n < len(s.bytes) {
			s.bytes = s.bytes[n:]
			return
		}
		n -= len(s.bytes)
		c.shared.release1(s)
		o.at++
	}
	if o.at == len(o.segments) {
		if c.secure != nil && len(c.secure.pieces) > 0 { // what the transport sends of its own
			o.segments, o.at = o.segments[:0], 0
			return
		}
		c.dropOutput()
	} else if o.at >= sendBuffersMax {
		left := copy(o.segments, o.segments[o.at:])
		clear(o.segments[left:])
		o.segments, o.at = o.segments[:left], 0
	}
}

// WaitsForSend says whether anything of the connection goes on when the outstanding
// Send has completed.
func (c *Conn) WaitsForSend() bool {
	return c.out.sending && (!c.in.receive.up() || c.in.cancelled || c.life != serving ||
		c.in.frames.Held() > 0 || c.out.unsent.at+c.out.unsent.covered < len(c.out.unsent.segments))
}
