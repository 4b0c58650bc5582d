package conn

import (
	"kring/engine"
	"kring/internal/slab"
	"kring/reqchan"
)

// outbound is what a connection has to send.
type outbound struct {
	segments []segment
	at       int             // the first segment that is not sent yet
	covered  int             // segments from at on that the outstanding Send covers
	queued   int             // bytes from at on
	files    int             // segments of files that are not read whole
	buffers  [][]byte        // what the outstanding Send was given
	sealed   []sealed        // memory for secure.pieces
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
	held    int // what it counts for in bounds.output
}

// queue appends a response to the connection's output.
func (c *Conn) queue(r *reqchan.Job, response []byte) {
	c.output().queued += r.ResponseBytes()
	c.shared.mark(&c.out.unsent.marks, c.shared.timesOf(r.API), &r.Times, r.ErrorCode(), r.ResponseBytes(), 1, c.shared.wayOf(r))
	c.shared.count.BytesOutCopied += uint64(r.ResponseCopied())
	switch {
	case len(r.Parts()) > 0:
		c.shared.queueParts(c.out.unsent, r, response)
	case len(response) <= c.set.PackedBytesMax || r.ResponseOnHeap():
		packed := c.shared.pack(c.out.unsent, response)
		c.shared.recycle(r)
		if !packed {
			c.memoryRefused()
			return
		}
	default:
		c.out.unsent.segments = append(c.out.unsent.segments, segment{bytes: response, request: r, held: c.shared.holdResponse(r)})
	}
	c.shared.loop.SendLater(c)
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
	c.shared.dropMarks(&o.marks)
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
