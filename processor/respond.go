package processor

import (
	"kring/engine"
	"kring/internal/slab"
	"kring/reqchan"
)

// takeResponses brings the answers of other goroutines home: r, and what came after it.
func (p *Processor) takeResponses(r *reqchan.Job) {
	for r != nil {
		next, token := r.Next(), r.Token
		p.away--
		p.count.home++
		follows := r.Follows() // before takeUnbegun
		if r.Behind() != nil {
			p.takeUnbegun(r)
		}
		if p.limiter != nil {
			p.limiter.home(r, p.now)
		}
		c := p.connOf(engine.Token(token))
		if follows {
			p.countFollower(c)
		}
		if c != nil {
			p.returned(c, r)
			if next == nil || next.Token != token {
				p.endBatch(c)
				p.progress(c)
			}
		} else {
			p.count.late++
			p.measured(r)
			p.recycle(r) // its connection is gone
		}
		r = next
	}
}

// returned takes a request whose answer came home.
func (p *Processor) returned(c *conn, r *reqchan.Job) {
	if p.joinBatch(c, r, p.timesOf(r.API)) {
		p.cameHome(c, r)
		p.recycle(r)
		return
	}
	p.endBatch(c)
	if r.Postponed() {
		p.postponed(r)
		return
	}
	p.answered(c, r)
}

// answered lets the answers of a connection leave that may leave now.
func (p *Processor) answered(c *conn, r *reqchan.Job) {
	r.MadeSmall() // it may be long on its way
	if c.order == nil {
		p.emit(c, r)
		return
	}
	c.order.put(r)
	for r := c.order.take(); r != nil; r = c.order.take() {
		p.emit(c, r)
	}
}

// emit carries one answer out.
func (p *Processor) emit(c *conn, r *reqchan.Job) {
	kind, response, why := r.Answer()
	if c.out != nil && c.out.queued+r.ResponseBytes() >= c.set.QueuedBytesMax && !c.ending {
		p.meetSlowReader(c)
	}
	p.cameHome(c, r)
	switch {
	case c.ending || c.finishing:
		p.measured(r)
		p.recycle(r)
	case kind == reqchan.AnswerSend:
		p.count.responses++
		p.queue(c, r, response)
	case kind == reqchan.AnswerClose && r.CloseAt() > p.now && c.phase == serving:
		p.park(c, r, why)
	case kind == reqchan.AnswerClose && response != nil:
		p.queue(c, r, response)
		p.finish(c, why)
	case kind == reqchan.AnswerClose:
		p.measured(r)
		p.recycle(r)
		p.finish(c, why)
	default:
		p.measured(r)
		p.recycle(r)
	}
}

// outlives says whether an answered request is needed after this moment:
// because it waits for its turn, or because its response is sent from where it
// lies.
func (p *Processor) outlives(c *conn, r *reqchan.Job) bool {
	if c.order != nil && !c.order.isNext(r.Seq) {
		return true
	}
	return r.ResponseBytes() > c.set.PackedBytesMax && !r.ResponseOnHeap() || len(r.Parts()) > 0 || r.CloseAt() > 0
}

// outbound is what a connection has to send.
type outbound struct {
	segments []segment
	at       int             // the first segment that is not sent yet
	covered  int             // segments from at on that the outstanding Send covers
	queued   int             // bytes from at on
	files    int             // segments of files that are not read whole
	buffers  [][]byte        // what the outstanding Send was given
	since    int64           // when the outstanding Send was given, or its peer was seen to take something
	looked   bool            // the peer was looked at since, see peerReads,
	seen     engine.Progress // and this is what was seen
	marks    marks
}

// segment is something to be sent: a piece of an arena chunk that responses are
// packed in, one large response, which lies in its request, what was read of a
// file, or (file set, bytes none) what is still to be read of it.
type segment struct {
	bytes   []byte
	chunk   *slab.Chunk
	request *reqchan.Job // goes with the segment
	piece   []byte       // memory of the pool that goes with it
	file    *fileRange
	held    int // what it counts for in Processor.output
}

// queue appends a response to the connection's output.
func (p *Processor) queue(c *conn, r *reqchan.Job, response []byte) {
	if c.out == nil {
		c.out = p.takeOutbound()
	}
	c.out.queued += r.ResponseBytes()
	p.mark(&c.out.marks, p.timesOf(r.API), &r.Times, r.ErrorCode(), r.ResponseBytes(), 1)
	p.count.bytesOutCopied += uint64(r.ResponseCopied())
	switch {
	case len(r.Parts()) > 0:
		p.queueParts(c.out, r, response)
	case len(response) <= c.set.PackedBytesMax || r.ResponseOnHeap():
		packed := p.pack(c.out, response)
		p.recycle(r)
		if !packed {
			p.memoryRefused(c)
			return
		}
	default:
		c.out.segments = append(c.out.segments, segment{bytes: response, request: r, held: p.holdResponse(r)})
	}
	p.soil(c)
}

// soil has the next flush look at the connection's output.
func (p *Processor) soil(c *conn) {
	if !c.dirty {
		c.dirty = true
		p.dirty = append(p.dirty, c)
	}
}

// pack copies a small response to where it is sent from; false when the system has
// no memory for it.
func (p *Processor) pack(o *outbound, response []byte) bool {
	room, chunk := p.arena.Open(len(response))
	if chunk == nil {
		return false
	}
	p.packed(o, room[:copy(room, response)], chunk)
	return true
}

// packed has b sent, which was written where chunk was opened: together with what
// is before it, if that lies in front of it and no Send covers it.
func (p *Processor) packed(o *outbound, b []byte, chunk *slab.Chunk) {
	p.count.bytesOutCopied += uint64(len(b))
	p.holdOutput(len(b))
	p.arena.Keep(chunk, len(b))
	if n := len(o.segments); n > o.at+o.covered {
		last := &o.segments[n-1]
		if last.chunk == chunk && cap(last.bytes)-len(last.bytes) == cap(b) {
			last.bytes = last.bytes[:len(last.bytes)+len(b)]
			last.held += len(b)
			p.arena.Release(chunk)
			return
		}
	}
	o.segments = append(o.segments, segment{bytes: b, chunk: chunk, held: len(b)})
}
