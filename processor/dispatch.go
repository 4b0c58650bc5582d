package processor

import (
	"kring/engine"
	"kring/internal/frame"
	"kring/internal/slab"
	"kring/reqchan"
)

const (
	// pinnedMax bounds the receive buffers that requests may lie in while their
	// handler has not answered; past it their frames are copied instead.
	pinnedMax = 16
	// creditBytes is what is reserved of the channel's byte capacity at once,
	// so that small requests don't all go to the shared counter.
	creditBytes = 64 << 10
)

// littleFrameBytes is a frame that usually comes in one piece.
const littleFrameBytes = 16 << 10

// HoardedBytesMax is how much of the channel's byte capacity a processor may
// keep reserved without using it. A capacity must leave room for the largest
// frame, and for a page, beside what all processors hoard.
const HoardedBytesMax = 3 * creditBytes

// lease is a receive buffer that requests lie in; it goes back with the last.
type lease struct {
	done engine.Completion
	refs int
}

// piece is memory of the pool that one frame has to itself. It is the Memory
// of a Job.
type piece struct{}

// dispatch has a frame handled; false when the byte capacity is used up (then
// nothing happened). When the system has no memory for it the connection ends. lent
// is the completion whose data it lies in, if it does.
func (p *Processor) dispatch(c *conn, b []byte, place frame.Place, lent *engine.Completion) bool {
	if p.cfg.Handle != nil {
		return p.handleHere(c, b, place, lent)
	}
	if p.run.bytes+len(b) > runBytesMax && p.run.last != nil {
		return false
	}
	r := p.jobs.Take(c.info, uint64(c.token))
	if !p.house(c, r, b, place) {
		p.jobs.Put(r)
		return c.ending
	}
	p.launch(c, r)
	if c.turn != nil {
		c.takeTurn(r)
	}
	if p.run.last != nil {
		p.follow(c, r)
		return true
	}
	p.began(c)
	p.beginRun(c, r, p.enqueue(c, r))
	return true
}

// handleHere runs the handler on the frame where it lies. Only a request that
// is not answered at once needs memory of its own.
func (p *Processor) handleHere(c *conn, b []byte, place frame.Place, lent *engine.Completion) bool {
	r := p.takeDirect(c)
	if place == frame.InLent && lent != nil && p.pinned < pinnedMax {
		r.Frame = b
	} else {
		p.endBatch(c) // the frame takes what is open
		if !p.house(c, r, b, place) {
			return c.ending
		}
	}
	a := p.launch(c, r)
	if c.turn != nil {
		c.takeTurn(r)
	}
	p.callTimed(r, a)
	if !p.joinBatch(c, r, a) {
		p.handled(c, r, lent)
	} else if r.Memory != nil {
		p.recycle(r)
	}
	return true
}

// handled goes on with a request whose handler has run here, and whose answer is
// none for a batch, or not there yet.
func (p *Processor) handled(c *conn, r *reqchan.Job, lent *engine.Completion) {
	p.endBatch(c)
	p.began(c)
	if !r.HandleReturned() {
		// The answer comes home through the response queue, which only this
		// goroutine empties: Memory may still be written here.
		p.keep(r, lent)
		p.direct = nil
		p.away++
		return
	}
	if p.outlives(c, r) {
		p.keep(r, lent)
		p.direct = nil
	}
	p.answered(c, r)
}

// launch gives r its place among the requests of its connection and readies it for
// its handler.
func (p *Processor) launch(c *conn, r *reqchan.Job) *apiTimes {
	if p.run.last == nil { // else it is counted when it comes home
		p.count.requests++
		c.requests++
	}
	if c.order != nil {
		r.Seq = c.order.next()
	}
	r.SendsCopied(c.set.PackedBytesMax)
	r.Begin(p.responses, p.cfg.Memory)
	return p.came(r)
}

// house gives the frame memory that lasts until the answer; false when the
// byte capacity is used up, or the connection has ended for want of memory.
func (p *Processor) house(c *conn, r *reqchan.Job, b []byte, place frame.Place) bool {
	n := len(b)
	reserved := int64(n)
	switch {
	case place == frame.InOwn: // reserved when it was begun
		r.Frame, r.Memory = b, piece{}
		reserved = claimBytes(n)
	case !p.reserve(int64(n)):
		return false
	case n > slab.ArenaChunkBytes:
		m, err := p.cfg.Memory.TryGet(n)
		if err != nil {
			return p.homeless(c, n)
		}
		r.Frame, r.Memory = m, piece{}
		p.count.bytesInCopied += uint64(copy(m, b))
	default:
		m, chunk := p.arena.Take(n)
		if chunk == nil {
			return p.homeless(c, n)
		}
		r.Frame, r.Memory = m, chunk
		p.count.bytesInCopied += uint64(copy(m, b))
	}
	r.Bytes = reserved
	return true
}

// homeless ends the connection whose frame of n bytes there is no memory for.
func (p *Processor) homeless(c *conn, n int) bool {
	p.unreserve(int64(n))
	p.memoryRefused(c)
	return false
}

// keep makes the memory of a request last whose handler ran on lent memory.
func (p *Processor) keep(r *reqchan.Job, lent *engine.Completion) {
	if r.Memory != nil { // it has its own
		return
	}
	l := p.current(lent)
	l.refs++
	r.Memory = l
}

// current is the lease of the completion that is being cut; its buffer is not
// recycled with the completion any more.
func (p *Processor) current(lent *engine.Completion) *lease {
	if lent.Data == nil {
		return p.leaseNow
	}
	l := &lease{done: *lent}
	lent.Data, lent.Lease = nil, 0
	p.pinned++
	p.leaseNow = l
	return l
}

// takeDirect is the job of a handler that runs here: that of the last one, unless
// that is still needed.
func (p *Processor) takeDirect(c *conn) *reqchan.Job {
	r := p.direct
	if r == nil || r.Worn() {
		return p.newDirect(c)
	}
	r.Conn, r.Token = c.info, uint64(c.token)
	return r
}

func (p *Processor) newDirect(c *conn) *reqchan.Job {
	if p.direct != nil {
		p.jobs.Put(p.direct)
	}
	p.direct = p.jobs.Take(c.info, uint64(c.token))
	return p.direct
}

// recycle ends a request: its memory and its share of the byte capacity go
// back. The direct job stays what it is.
func (p *Processor) recycle(r *reqchan.Job) {
	switch m := r.Memory.(type) {
	case *slab.Chunk:
		p.arena.Release(m)
	case piece:
		p.cfg.Memory.Put(r.Frame)
	case *lease:
		if m.refs--; m.refs == 0 {
			p.pinned--
			p.unpinned = true
			p.engine.Recycle(&m.done)
		}
	}
	if r.Bytes > 0 {
		p.unreserve(r.Bytes)
		r.Bytes = 0
	}
	r.Reset()
	if r != p.direct {
		p.jobs.Put(r)
	}
}

// reserve takes n bytes of the channel's capacity, in larger steps than n.
func (p *Processor) reserve(n int64) bool {
	if p.credit < n {
		if p.ordinary.sender.Reserve(n + creditBytes) {
			p.credit += n + creditBytes
		} else if p.ordinary.sender.Reserve(n) {
			p.credit += n
		} else {
			return false
		}
	}
	p.credit -= n
	return true
}

// claimBytes is what a frame of n bytes that is not whole reserves: its memory is that
// of the smallest piece at least, however little of it there is.
func claimBytes(n int) int64 { return int64(max(n, slab.PieceBytesMin)) }

// claim is reserve for a frame that is not whole. Whoever begins frames and does not
// send them must not keep those waiting whose frames are here; on a privileged listener
// nobody does.
func (p *Processor) claim(c *conn, n int64) bool {
	if c.here = c.info.Privileged || p.scarce && p.isHere(c); c.here {
		return p.reserve(n)
	}
	return p.ordinary.sender.Claim(n, p.claimsLittle(n))
}

// isHere says that the rest of the frame that is begun has come as far as the kernel.
// While held memory is scarce no frame is whole when its size is seen; by this those that
// are don't compete with those that may never be.
func (p *Processor) isHere(c *conn) bool {
	seen, known := p.kernelSees(c)
	return known && seen.Unread >= c.in.Missing()
}

// claimNeeds is how many bytes must be free for claim.
func (p *Processor) claimNeeds(c *conn, n int64) int64 {
	if c.here {
		return n
	}
	return p.ordinary.sender.ClaimNeeds(n, p.claimsLittle(n))
}

// claimsLittle: where nobody knows what the kernel has, small ones have a part of what
// claims leave to frames that are whole.
func (p *Processor) claimsLittle(n int64) bool {
	return p.scarce && p.teller == nil && n <= littleFrameBytes
}

// unreserve gives n bytes back, and what is hoarded beyond need.
func (p *Processor) unreserve(n int64) {
	p.credit += n
	keep := int64(creditBytes)
	if p.phase != serving { // it needs none, and others may
		keep = 0
	}
	if p.credit > 2*keep {
		p.cfg.Channel.Release(p.credit - keep)
		p.credit = keep
	}
}
