package conn

import (
	"kring/engine"
	"kring/reqchan"
)

// Every answer takes one way out, whoever gave it: a handler that runs here (handled), another
// goroutine (Returned), or the alarm after either (unpark). It leaves at its turn (answered),
// is counted out (emit), and is put behind what is queued: beside its neighbours (pack), or
// from where it lies (queue). leave then marks, counts and sends both alike.

// Returned takes a request whose answer came home.
func (c *Conn) Returned(r *reqchan.Job) {
	if r.Postponed() {
		c.shared.loop.Postpone(r)
		return
	}
	c.answered(r, c.shared.timesOf(r.API))
}

// AllReturned is called when no further answer to one of its requests came home with the
// last one.
func (c *Conn) AllReturned() {
	c.endBatch()
	c.Resume()
}

// handled goes on with a request whose handler has run here. One that was answered at once,
// small and in its turn, was never in flight. a is of its API.
func (c *Conn) handled(r *reqchan.Job, a *apiTimes, lent *engine.Completion) {
	if response := c.packable(r); response != nil && c.takesTurn(r) {
		c.pack(r, a, response)
		if r.Memory != nil {
			c.shared.recycle(r)
		}
		return
	}
	c.endBatch()
	c.countStarted()
	if !r.HandleReturned() {
		// The answer comes home through the response queue, which only this
		// goroutine empties: Memory may still be written here.
		c.shared.keep(r, lent)
		c.shared.direct.job = nil
		c.shared.away++
		return
	}
	if c.outlives(r) {
		c.shared.keep(r, lent)
		c.shared.direct.job = nil
	}
	c.answered(r, a)
}

// takesTurn says that no other answer leaves before or with the one to r, which is over
// with that.
func (c *Conn) takesTurn(r *reqchan.Job) bool {
	o := c.pipeline.order
	if o == nil {
		return true
	}
	if !o.isAlone(r.Seq) {
		return false
	}
	o.pass()
	return true
}

// answered lets the answers of a connection leave that may leave now.
func (c *Conn) answered(r *reqchan.Job, a *apiTimes) {
	if c.takesTurn(r) {
		c.emit(r, a)
		return
	}
	r.MadeSmall() // it may be long on its way
	c.pipeline.order.put(r)
	for r := c.pipeline.order.take(); r != nil; r = c.pipeline.order.take() {
		c.emit(r, c.shared.timesOf(r.API))
	}
	c.endBatch() // more than output has changed
}

// emit carries one answer out. It may leave a batch, of answers that changed nothing else.
func (c *Conn) emit(r *reqchan.Job, a *apiTimes) {
	if response := c.packable(r); response != nil { // which throttles nobody
		if c.wentHome(); c.life >= finishing { // by an illegal step
			c.shared.endUnsent(r)
			return
		}
		c.pack(r, a, response)
		c.shared.recycle(r)
		return
	}
	c.endBatch()
	r.MadeSmall()
	kind, response, why := r.Answer()
	if c.out.unsent != nil && c.out.unsent.queued+r.ResponseBytes() >= c.set.QueuedBytesMax && c.life < ending {
		c.meetSlowReader()
	}
	c.countAnswered(r)
	switch {
	case c.life >= finishing:
		c.shared.endUnsent(r)
	case kind == reqchan.AnswerClose && r.CloseAt() > c.shared.now && c.life == serving:
		c.park(r, why)
	case response != nil:
		c.queue(r, a, response)
		if kind == reqchan.AnswerClose {
			c.refuseWith(why)
		}
	default:
		c.shared.endUnsent(r)
		if kind == reqchan.AnswerClose {
			c.finish(why)
		}
	}
}

// leave is how n answers that are alike leave, when they were put behind what is queued.
func (c *Conn) leave(g *batch) {
	c.shared.count.Responses += g.n
	c.shared.count.BytesOutCopied += uint64(g.copied)
	c.out.unsent.queued += g.bytes
	c.mark(g.api, &g.times, g.code, g.bytes, g.n, g.way)
	c.shared.loop.SendLater(c)
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

// endUnsent ends a request of which nothing is to be sent.
func (sh *Shared) endUnsent(r *reqchan.Job) {
	sh.recordUnsent(r)
	sh.recycle(r)
}
