package conn

import (
	"kring/engine"
	"kring/internal/slab"
	"kring/reqchan"
)

// outbound is what a connection has to send.
type outbound struct {
	segments []segment
	at       int      // the first segment that is not sent yet
	covered  int      // segments from at on that the outstanding Send covers
	queued   int      // bytes from at on
	buffers  [][]byte // what the outstanding Send was given
	since    int64    // when the outstanding Send was given, or its peer was seen to take something
	marks    marks
	files    int             // segments of files that are not read whole
	looked   bool            // the peer was looked at since, see peerReads,
	seen     engine.Progress // and this is what was seen
	sealed   []sealed        // memory for secure.pieces
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
	held    int // what it counts for in bounds.output
}

// output is what the connection has to send; it makes one.
func (c *Conn) output() *outbound {
	if c.out.unsent == nil {
		c.out.unsent = c.shared.takeOutbound()
	}
	return c.out.unsent
}

// queue has the answer to r leave that does more than to be small, or is not.
func (c *Conn) queue(r *reqchan.Job, a *apiTimes, response []byte) {
	parts := len(r.Parts()) > 0
	if !parts && (len(response) <= c.set.PackedBytesMax || r.ResponseOnHeap()) {
		c.pack(r, a, response)
		c.endBatch() // with it something else may have changed
		c.shared.recycle(r)
		return
	}
	o := c.output()
	c.leave(&batch{n: 1, bytes: r.ResponseBytes(), copied: r.ResponseCopied(), api: a, code: r.ErrorCode(), times: r.Times, way: c.shared.wayOf(r)})
	if parts {
		c.shared.queueParts(o, r, response)
	} else {
		o.segments = append(o.segments, segment{bytes: response, request: r, held: c.shared.holdResponse(r)})
	}
}

// pack copies a small response to where it is sent from; false when the system has
// no memory for it.
func (sh *Shared) pack(o *outbound, response []byte) bool {
	room, chunk := sh.arena.OpenPiece(len(response))
	if chunk == nil {
		return false
	}
	sh.packed(o, room[:copy(room, response)], chunk)
	return true
}

// packed has b sent, which was written where chunk was opened: together with what
// is before it, if that lies in front of it and no Send covers it.
func (sh *Shared) packed(o *outbound, b []byte, chunk *slab.Chunk) {
	sh.count.BytesOutCopied += uint64(len(b))
	sh.holdOutput(len(b))
	sh.arena.ClosePiece(chunk, len(b))
	if n := len(o.segments); n > o.at+o.covered {
		last := &o.segments[n-1]
		if last.chunk == chunk && cap(last.bytes)-len(last.bytes) == cap(b) {
			last.bytes = last.bytes[:len(last.bytes)+len(b)]
			last.held += len(b)
			sh.arena.Release(chunk)
			return
		}
	}
	o.segments = append(o.segments, segment{bytes: b, chunk: chunk, held: len(b)})
}

func (sh *Shared) takeOutbound() *outbound {
	if n := len(sh.outs); n > 0 {
		o := sh.outs[n-1]
		sh.outs = sh.outs[:n-1]
		return o
	}
	return &outbound{}
}

// dropOutput forgets what is queued on a connection; no Send is outstanding.
func (c *Conn) dropOutput() {
	c.dropSealed()
	if c.up != nil {
		c.up.dropWrites()
	}
	o := c.out.unsent
	if o == nil {
		return
	}
	for i := o.at; i < len(o.segments); i++ {
		c.shared.release1(&o.segments[i])
	}
	c.dropMarks()
	o.segments, o.buffers = o.segments[:0], o.buffers[:0]
	o.at, o.covered, o.queued, o.files, o.since = 0, 0, 0, 0, 0
	c.out.unsent = nil
	if len(c.shared.outs) < outboundsKeptMax && cap(o.segments) <= 4*sendBuffersMax {
		c.shared.outs = append(c.shared.outs, o)
	}
}

// release1 gives the memory of one segment back.
func (sh *Shared) release1(s *segment) {
	if s.chunk != nil {
		sh.arena.Release(s.chunk)
	}
	if s.piece != nil {
		sh.putPiece(s.piece)
	}
	if s.request != nil {
		sh.recycle(s.request)
	}
	sh.letOutputGo(s.held)
	*s = segment{}
}
