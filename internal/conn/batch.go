package conn

import (
	"kring/internal/slab"
	"kring/reqchan"
)

// batch are answers to requests of one connection, one behind the other, that are alike:
// what is to be noted of them is noted once. Small responses are copied to where they are
// sent from meanwhile. Of a client that sends many requests together that is half of what the
// processor does for each.
//
// Invariant: there is none when the processor turns to another connection.
type batch struct {
	n      uint64        // answers
	bytes  int           // of all responses, sizes included
	copied int           // that Respond had to copy
	api    *apiTimes     // of each request, as what follows
	code   int16         // ErrorCode
	times  reqchan.Times // Times
	way    *way          // of the first; nil: nobody is told of slow ones

	out   []byte      // the responses: a piece of chunk that is open
	chunk *slab.Chunk // nil: they are sent from where they lie
}

// packable is the response of r, if r was answered with nothing but that, and it is small
// and leaves now; else nil.
func (c *Conn) packable(r *reqchan.Job) []byte {
	response := r.Plain()
	if response == nil || len(response) > c.set.PackedBytesMax || c.life >= finishing ||
		c.out.unsent != nil && c.out.unsent.queued+len(c.shared.batch.out)+len(response) >= c.set.QueuedBytesMax {
		return nil
	}
	return response
}

// pack copies a small response behind those that leave with it. r is not needed any more
// then. The connection ends when there is no memory for it.
func (c *Conn) pack(r *reqchan.Job, a *apiTimes, response []byte) {
	g := &c.shared.batch
	if g.n > 0 && (g.api != a || g.code != r.ErrorCode() || g.times != r.Times || g.way != nil && g.way.asked != r.Asked()) {
		c.endBatch()
	}
	if len(response) > cap(g.out)-len(g.out) {
		c.endBatch()
		room, chunk := c.shared.arena.OpenPiece(len(response))
		if chunk == nil {
			c.shared.recordUnsent(r)
			c.memoryRefused()
			return
		}
		c.output()
		g.api, g.code, g.times, g.way, g.out, g.chunk = a, r.ErrorCode(), r.Times, c.shared.wayOf(r), room[:0], chunk
	}
	g.n++
	g.out = append(g.out, response...)
	g.copied += r.ResponseCopied()
}

// endBatch has the batch leave, if there is one.
func (c *Conn) endBatch() {
	g := &c.shared.batch
	if g.n == 0 {
		return
	}
	c.shared.packed(c.out.unsent, g.out, g.chunk)
	g.bytes = len(g.out)
	c.leave(g)
	*g = batch{}
}
