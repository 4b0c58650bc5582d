package processor

import (
	"kring/engine"
	"kring/reqchan"
)

const (
	// sendBuffersMax and sendBytesMax bound what one Send gathers: sockets take some MiB at
	// once, and a Poll copies that for all who were answered together.
	sendBuffersMax = 64
	sendBytesMax   = 1 << 20
	// outboundsKeptMax bounds how many outbounds wait for reuse.
	outboundsKeptMax = 4096
)

// flush gives every connection that has something to say one gathered Send.
func (p *Processor) flush() {
	for i, c := range p.dirty {
		p.dirty[i] = nil
		if c.dirty {
			c.dirty = false
			p.send(c)
		}
	}
	p.dirty = p.dirty[:0]
}

func (p *Processor) send(c *conn) {
	if c.sending || c.out == nil || c.ending {
		return
	}
	o := c.out
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
	if p.readAhead(c); len(o.buffers) == 0 || c.ending {
		return
	}
	o.covered, o.since, o.looked = len(o.buffers), p.now, false
	c.sending = true
	p.given = append(p.given, c)
	p.count.sends++
	p.engine.Send(c.fd, c.token, o.buffers)
}

// sent takes the completion of Send: it may have taken less than it was given.
func (p *Processor) sent(c *conn, done *engine.Completion) {
	c.sending = false
	c.out.covered = 0
	if done.Res < 0 {
		p.dropOutput(c)
		if c.ending {
			p.join(c)
		} else {
			p.terminate(c, reqchan.PeerReset)
		}
		return
	}
	c.active = p.now
	p.count.bytesOut += uint64(done.Res)
	c.bytesOut += uint64(done.Res)
	p.advance(c, int(done.Res))
	if c.ending {
		p.join(c)
		return
	}
	if c.out != nil {
		p.send(c)
	}
	if !c.atRest() {
		p.progress(c)
	}
}

// advance takes n sent bytes off the connection's output.
func (p *Processor) advance(c *conn, n int) {
	o := c.out
	o.queued -= n
	p.sentUpTo(&o.marks, n)
	for n > 0 {
		s := &o.segments[o.at]
		if n < len(s.bytes) {
			s.bytes = s.bytes[n:]
			return
		}
		n -= len(s.bytes)
		p.release1(s)
		o.at++
	}
	if o.at == len(o.segments) {
		p.dropOutput(c)
	} else if o.at >= sendBuffersMax {
		left := copy(o.segments, o.segments[o.at:])
		clear(o.segments[left:])
		o.segments, o.at = o.segments[:left], 0
	}
}

// dropOutput forgets what is queued on a connection; no Send is outstanding.
func (p *Processor) dropOutput(c *conn) {
	o := c.out
	if o == nil {
		return
	}
	for i := o.at; i < len(o.segments); i++ {
		p.release1(&o.segments[i])
	}
	p.dropMarks(&o.marks)
	o.segments, o.buffers = o.segments[:0], o.buffers[:0]
	o.at, o.covered, o.queued, o.files, o.since = 0, 0, 0, 0, 0
	c.out = nil
	if len(p.outs) < outboundsKeptMax && cap(o.segments) <= 4*sendBuffersMax {
		p.outs = append(p.outs, o)
	}
}

// release1 gives the memory of one segment back.
func (p *Processor) release1(s *segment) {
	if s.chunk != nil {
		p.arena.Release(s.chunk)
	}
	if s.piece != nil {
		p.putPiece(s.piece)
	}
	if s.request != nil {
		p.recycle(s.request)
	}
	p.letOutputGo(s.held)
	*s = segment{}
}

func (p *Processor) takeOutbound() *outbound {
	if n := len(p.outs); n > 0 {
		o := p.outs[n-1]
		p.outs = p.outs[:n-1]
		return o
	}
	return &outbound{}
}
