package conn

import (
	"os"

	"kring/engine"
	"kring/internal/budget"
	"kring/reqchan"
)

const (
	// fileChunkBytes is what is read of a file at once: big enough that a read
	// costs little, small enough that two of them fit a core's cache.
	fileChunkBytes = 128 << 10
	// fileAheadBytes is how much may be read before it is sent.
	fileAheadBytes = 2 * fileChunkBytes
)

// fileRange is what is still to be read of a part of a response.
type fileRange struct {
	file   *os.File
	offset int64
	left   int64
}

// queueParts appends a response that has files in it. The last segment holds the
// request, so that its memory and its files last until all is out.
func (sh *Shared) queueParts(o *outbound, r *reqchan.Job, response []byte) {
	at, end := 0, reqchan.SizeBytes // what lies in memory and is no segment yet
	for _, part := range r.Parts() {
		end += len(part.Bytes)
		if part.Length == 0 {
			continue
		}
		if end > at {
			o.segments = append(o.segments, segment{bytes: response[at:end]})
			at = end
		}
		o.files++
		o.segments = append(o.segments, segment{file: &fileRange{part.File, part.Offset, part.Length}})
	}
	if end > at {
		o.segments = append(o.segments, segment{bytes: response[at:end]})
	}
	last := &o.segments[len(o.segments)-1]
	last.request, last.held = r, sh.holdResponse(r)
}

// readAhead has the next piece of a file read that the connection sends, unless
// enough was.
func (c *Conn) readAhead() {
	o := c.out.unsent
	if o == nil || o.files == 0 || c.out.reading != nil || c.life >= ending || c.secure != nil && c.secure.ended {
		return
	}
	ahead := 0
	for i := o.at; i < len(o.segments); i++ {
		s := &o.segments[i]
		if s.file != nil {
			c.readPiece(i, ahead > 0)
			return
		}
		if ahead += len(s.bytes); ahead >= fileAheadBytes {
			return
		}
	}
}

// readPiece has a piece of the file read that is segment i of the output. While memory
// for responses is short, nothing is read ahead, and who has nothing to send waits in
// line: but not with memory that others wait for.
func (c *Conn) readPiece(i int, ahead bool) {
	f := c.out.unsent.segments[i].file
	n := int(min(f.left, fileChunkBytes))
	if c.shared.cfg.Responses.Tight() || c.waits.reads != nil {
		if ahead {
			return
		}
		if c.waits.reads == nil && c.out.unsent.memoryBehind(i) <= budget.SmallestBytes {
			c.waits.reads = c.line(int64(n), (*Conn).Send)
		}
		if c.waits.reads != nil && !c.waits.reads.Granted() {
			return
		}
	}
	piece, err := c.shared.cfg.Memory.TryGet(n)
	if err != nil {
		c.memoryRefused()
		return
	}
	c.shared.cfg.Responses.Change(0, int64(cap(piece)))
	if c.waits.reads != nil {
		c.waits.reads.Release()
		c.waits.reads = nil
	}
	c.out.reading = piece
	c.shared.count.FileReads++
	c.shared.loop.ReadFile(c, f.file, piece, f.offset)
}

// memoryBehind is the memory of the response that segment i is a part of: it is there
// until the last part is sent.
func (o *outbound) memoryBehind(i int) int {
	for o.segments[i].request == nil {
		i++
	}
	return o.segments[i].request.ResponseMemory()
}

// putPiece gives memory back that a piece of a file was read into.
func (sh *Shared) putPiece(piece []byte) {
	n := int64(cap(piece))
	sh.cfg.Memory.Put(piece)
	sh.cfg.Responses.Change(n, 0)
}

// FileRead puts what was read before the rest of its file.
func (c *Conn) FileRead(done *engine.Completion) {
	buf := c.out.reading
	c.out.reading = nil
	if c.life < ending && c.secure != nil && c.secure.ended {
		c.shared.putPiece(buf)
		c.shared.loop.SendLater(c) // which drops the rest
		return
	}
	if c.life >= ending || done.Res <= 0 {
		c.shared.putPiece(buf)
		if c.life >= ending {
			c.join()
		} else {
			c.terminate(reqchan.FileFailed) // the size is out: nothing else fits
		}
		return
	}
	o := c.out.unsent
	at := o.at
	for o.segments[at].file == nil {
		at++
	}
	n := int64(done.Res)
	rest := &o.segments[at]
	rest.file.offset += n
	rest.file.left -= n
	read := segment{bytes: buf[:n], piece: buf}
	if rest.file.left == 0 {
		read.request, read.held = rest.request, rest.held
		*rest = read
		o.files--
	} else {
		o.segments = append(o.segments, segment{})
		copy(o.segments[at+1:], o.segments[at:])
		o.segments[at] = read
	}
	c.shared.loop.SendLater(c)
	c.readAhead()
}
