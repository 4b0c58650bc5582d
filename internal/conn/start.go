package conn

import (
	"kring/engine"
	"kring/internal/frame"
	"kring/internal/slab"
	"kring/reqchan"
)

const (
	// pinnedMax bounds the receive buffers that requests may lie in while their
	// handler has not answered, and pinnedPart of all is as much; past it their frames are
	// copied instead. What answers them may have to be received first.
	pinnedMax, pinnedPart = 16, 2
	// creditBytes is what is reserved of the channel's byte capacity at once,
	// so that small requests don't all go to the shared counter.
	creditBytes = 64 << 10
)

// lease is a receive buffer that requests lie in; it goes back with the last.
type lease struct {
	done   engine.Completion
	refs   int
	large  bool
	opened bool // it is openInto's memory
}

// piece is memory of the pool that one frame has to itself. It is the Memory
// of a Job.
type piece struct{}

// dispatch has a frame handled; false when the byte capacity is used up (then
// nothing happened). When the system has no memory for it the connection ends. lent
// is the completion whose data it lies in, if it does.
func (c *Conn) dispatch(b []byte, place frame.Location, lent *engine.Completion) bool {
	if c.shared.cfg.Handle != nil {
		return c.handleHere(b, place, lent)
	}
	if run := &c.shared.runs.cut; run.last != nil && run.bytes+len(b) > runBytesMax {
		return false
	}
	r := c.shared.jobs.Take(c.info, uint64(c.token))
	if !c.keepFrame(r, b, place, lent) {
		c.shared.jobs.Put(r)
		return c.life >= ending
	}
	c.start(r)
	if c.waits.ticket != nil {
		c.takeTurn(r)
	}
	c.shared.runs.fresh++
	if c.shared.runs.cut.last != nil {
		c.follow(r)
		return true
	}
	c.countStarted()
	first := c.GoesFirst(r)
	if first {
		c.shared.count.Prioritized++
	}
	c.shared.loop.Enqueue(r, first)
	c.beginRun(r, first)
	return true
}

// handleHere runs the handler on the frame where it lies. Only a request that
// is not answered at once needs memory of its own.
func (c *Conn) handleHere(b []byte, place frame.Location, lent *engine.Completion) bool {
	r := c.takeDirect()
	if place == frame.InLent && lent != nil && c.shared.mayPin(lent) {
		r.Frame = b
	} else {
		c.endBatch() // the frame takes what is open
		if !c.copyFrame(r, b, place) {
			return c.life >= ending
		}
	}
	a := c.start(r)
	if c.waits.ticket != nil {
		c.takeTurn(r)
	}
	c.shared.callTimed(r, a)
	c.handled(r, a, lent)
	return true
}

// start gives r its place among the requests of its connection and readies it for
// its handler.
func (c *Conn) start(r *reqchan.Job) *apiTimes {
	if c.shared.runs.cut.last == nil { // else it is counted when it comes home
		c.shared.count.Requests++
		c.pipeline.cut++
		c.touch()
	}
	if c.pipeline.order != nil {
		r.Seq = c.pipeline.order.next()
	}
	r.SendsCopied(c.set.PackedBytesMax)
	r.Begin(c.shared.home, c.shared.cfg.Memory)
	a := c.shared.recordArrival(r)
	c.pipeline.polls = a.longPoll
	return a
}

// keepFrame gives the frame memory that lasts until the answer, as copyFrame, or leaves it
// in the large buffer that it lies in. Small frames are copied: a slow handler would hold
// the buffer for each of them.
func (c *Conn) keepFrame(r *reqchan.Job, b []byte, place frame.Location, lent *engine.Completion) bool {
	if place != frame.InLent || lent == nil || !c.shared.buffers.isLarge || len(b) < c.shared.large.least {
		return c.copyFrame(r, b, place)
	}
	if !c.shared.reserve(int64(len(b))) {
		return false
	}
	r.Frame, r.Bytes = b, int64(len(b))
	c.shared.keep(r, lent)
	return true
}

// copyFrame gives the frame memory that lasts until the answer; false when the
// byte capacity is used up, or the connection has ended for want of memory.
func (c *Conn) copyFrame(r *reqchan.Job, b []byte, place frame.Location) bool {
	n := len(b)
	reserved := int64(n)
	switch {
	case place == frame.InOwn: // reserved when it was begun
		r.Frame, r.Memory = b, c.big.ownMemory()
		reserved = claimBytes(n)
	case !c.shared.reserve(int64(n)):
		return false
	case n > slab.ArenaChunkBytes:
		m, err := c.shared.cfg.Memory.TryGet(n)
		if err != nil {
			return c.refuseFrame(n)
		}
		r.Frame, r.Memory = m, piece{}
		c.shared.count.BytesInCopied += uint64(copy(m, b))
	default:
		m, chunk := c.shared.arena.Take(n)
		if chunk == nil {
			return c.refuseFrame(n)
		}
		r.Frame, r.Memory = m, chunk
		c.shared.count.BytesInCopied += uint64(copy(m, b))
	}
	r.Bytes = reserved
	return true
}

// refuseFrame ends the connection whose frame of n bytes there is no memory for.
func (c *Conn) refuseFrame(n int) bool {
	c.shared.unreserve(int64(n))
	c.memoryRefused()
	return false
}

// mayPin says that a request may stay where lent lies.
func (sh *Shared) mayPin(lent *engine.Completion) bool {
	switch b := &sh.buffers; {
	case b.isLarge:
		return true
	case lent == &sh.scratch.lent:
		return b.opened < pinnedMax
	default:
		return b.pinned < b.pinnedMax
	}
}

// keep makes the memory of a request last whose handler ran on lent memory.
func (sh *Shared) keep(r *reqchan.Job, lent *engine.Completion) {
	if r.Memory != nil { // it has its own
		return
	}
	l := sh.current(lent)
	l.refs++
	r.Memory = l
}

// current is the lease of the completion that is being cut; its buffer is not
// recycled with the completion any more.
func (sh *Shared) current(lent *engine.Completion) *lease {
	if lent.Data == nil {
		return sh.buffers.lease
	}
	l := &lease{done: *lent, large: sh.buffers.isLarge, opened: lent == &sh.scratch.lent}
	lent.Data, lent.Lease = nil, 0
	if l.opened {
		sh.scratch.opened = nil
	}
	*sh.countOf(l)++
	sh.buffers.lease = l
	return l
}

// release gives back what one request, or a frame, has of l.
func (sh *Shared) release(l *lease) {
	if l.refs--; l.refs > 0 {
		return
	}
	*sh.countOf(l)--
	sh.buffers.unpinned = sh.buffers.unpinned || !l.large && !l.opened
	if l.opened {
		sh.scratch.spare = append(sh.scratch.spare, l.done.Data)
		return
	}
	sh.loop.Recycle(&l.done)
}

func (sh *Shared) countOf(l *lease) *int {
	switch b := &sh.buffers; {
	case l.large:
		return &b.large
	case l.opened:
		return &b.opened
	default:
		return &b.pinned
	}
}

// takeDirect is the job of a handler that runs here: that of the last one, unless
// that is still needed.
func (c *Conn) takeDirect() *reqchan.Job {
	r := c.shared.direct.job
	if r == nil || r.Worn() {
		return c.newDirect()
	}
	r.Conn, r.Token = c.info, uint64(c.token)
	return r
}

func (c *Conn) newDirect() *reqchan.Job {
	if c.shared.direct.job != nil {
		c.shared.jobs.Put(c.shared.direct.job)
	}
	c.shared.direct.job = c.shared.jobs.Take(c.info, uint64(c.token))
	return c.shared.direct.job
}

// recycle ends a request: its memory and its share of the byte capacity go
// back. The direct job stays what it is.
func (sh *Shared) recycle(r *reqchan.Job) {
	if r.MemoryLost() {
		sh.loseJob(r)
		return
	}
	switch m := r.Memory.(type) {
	case *slab.Chunk:
		sh.arena.Release(m)
	case piece:
		sh.cfg.Memory.Put(r.Frame)
	case *lease:
		sh.release(m)
	}
	if r.Bytes > 0 {
		sh.unreserve(r.Bytes)
		r.Bytes = 0
	}
	r.Reset()
	if r != sh.direct.job {
		sh.jobs.Put(r)
	}
}

// loseJob ends a request whose memory the kernel keeps: nobody gets that again.
func (sh *Shared) loseJob(r *reqchan.Job) {
	sh.count.Lost += uint64(len(r.Frame) + r.BufferBytes())
	if r.Bytes > 0 {
		sh.unreserve(r.Bytes)
		r.Bytes = 0
	}
	r.MadeSmall()
	r.LoseResponse()
	if r == sh.direct.job {
		sh.direct.job = nil
	}
}
