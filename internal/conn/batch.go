package conn

import (
	"kring/internal/slab"
	"kring/reqchan"
)

// batch are answers to requests of one connection, one behind the other, that are
// nothing but small responses and leave at once: they are copied to where they are
// sent from, and what is alike of all of them is noted once. Of a client that sends
// many requests together that is half of what the processor does for each.
//
// Invariant: there is none when the processor turns to another connection.
type batch struct {
	n      uint64 // responses
	out    []byte // the responses: a piece of chunk that is open
	chunk  *slab.Chunk
	copied int           // bytes that Respond had to copy
	api    *apiTimes     // of each request, as what follows
	code   int16         // ErrorCode
	times  reqchan.Times // Times
	way    *way          // of the first; nil: nobody is told of slow ones
}

// joinBatch takes the answer to r into the batch; false when it is none for one.
// Then r is not needed any more. a is of its API.
func (c *Conn) joinBatch(r *reqchan.Job, a *apiTimes) bool {
	response := r.Plain()
	if response == nil || len(response) > c.set.PackedBytesMax || c.life >= finishing ||
		c.out.unsent != nil && c.out.unsent.queued+len(response) >= c.set.QueuedBytesMax ||
		c.pipeline.order != nil && !c.pipeline.order.isAlone(r.Seq) {
		return false
	}
	g := &c.shared.batch
	if g.n > 0 && (g.api != a || g.code != r.ErrorCode() || g.times != r.Times || g.way != nil && g.way.asked != r.Asked()) {
		c.endBatch()
	}
	if len(response) > cap(g.out)-len(g.out) {
		c.endBatch()
		room, chunk := c.shared.arena.OpenPiece(len(response))
		if chunk == nil {
			return false // as a single answer it will end the connection
		}
		g.out, g.chunk = room[:0], chunk
		g.api, g.code, g.times, g.way = a, r.ErrorCode(), r.Times, c.shared.wayOf(r)
		c.output()
	}
	if c.pipeline.order != nil {
		c.pipeline.order.pass()
	}
	g.n++
	g.out = append(g.out, response...)
	g.copied += r.ResponseCopied()
	c.out.unsent.queued += len(response)
	return true
}

// endBatch has the batch sent and notes it, if there is one.
func (c *Conn) endBatch() {
	g := &c.shared.batch
	if g.n == 0 {
		return
	}
	c.shared.count.Responses += g.n
	c.shared.count.BytesOutCopied += uint64(g.copied)
	c.shared.packed(c.out.unsent, g.out, g.chunk)
	c.shared.mark(&c.out.unsent.marks, g.api, &g.times, g.code, len(g.out), g.n, g.way)
	c.shared.loop.SendLater(c)
	*g = batch{}
}
