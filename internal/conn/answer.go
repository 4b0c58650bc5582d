package conn

import "kring/reqchan"

// Returned takes a request whose answer came home.
func (c *Conn) Returned(r *reqchan.Job) {
	if c.joinBatch(r, c.shared.timesOf(r.API)) {
		c.countAnswered(r)
		c.shared.recycle(r)
		return
	}
	c.endBatch()
	if r.Postponed() {
		c.shared.loop.Postpone(r)
		return
	}
	c.answered(r)
}

// AllReturned is called when no further answer to one of its requests came home with the
// last one.
func (c *Conn) AllReturned() {
	c.endBatch()
	c.Resume()
}

// answered lets the answers of a connection leave that may leave now.
func (c *Conn) answered(r *reqchan.Job) {
	r.MadeSmall() // it may be long on its way
	if c.pipeline.order == nil {
		c.emit(r)
		return
	}
	c.pipeline.order.put(r)
	for r := c.pipeline.order.take(); r != nil; r = c.pipeline.order.take() {
		c.emit(r)
	}
}

// emit carries one answer out.
func (c *Conn) emit(r *reqchan.Job) {
	kind, response, why := r.Answer()
	if c.out.unsent != nil && c.out.unsent.queued+r.ResponseBytes() >= c.set.QueuedBytesMax && c.life < ending {
		c.meetSlowReader()
	}
	c.countAnswered(r)
	switch {
	case c.life >= finishing:
		c.shared.recordUnsent(r)
		c.shared.recycle(r)
	case kind == reqchan.AnswerSend:
		c.shared.count.Responses++
		c.queue(r, response)
	case kind == reqchan.AnswerClose && r.CloseAt() > c.shared.now && c.life == serving:
		c.park(r, why)
	case kind == reqchan.AnswerClose && response != nil:
		c.queue(r, response)
		c.finish(why)
	case kind == reqchan.AnswerClose:
		c.shared.recordUnsent(r)
		c.shared.recycle(r)
		c.finish(why)
	default:
		c.shared.recordUnsent(r)
		c.shared.recycle(r)
	}
}

// outlives says whether an answered request is needed after this moment:
// because it waits for its turn, or because its response is sent from where it
// lies.
func (c *Conn) outlives(r *reqchan.Job) bool {
	if c.pipeline.order != nil && !c.pipeline.order.isNext(r.Seq) {
		return true
	}
	return r.ResponseBytes() > c.set.PackedBytesMax && !r.ResponseOnHeap() || len(r.Parts()) > 0 || r.CloseAt() > 0
}
