package conn

import (
	"kring/internal/budget"
	"kring/internal/frame"
	"kring/reqchan"
)

// mayCut says whether the connection may have one more request in flight.
func (c *Conn) mayCut() bool {
	return c.pipeline.inFlight < c.pipelineMax() && (c.waits.ticket == nil || c.waits.ticket.Granted()) && !c.mute.throttled() && c.life == serving &&
		(c.out.unsent == nil || c.out.unsent.queued < c.outputMax()) && (c.pipeline.inFlight == 0 || c.mayCrowd())
}

// unauthenticated says that c has to make do with less until a handler vouches
// for it.
func (c *Conn) unauthenticated() bool {
	return c.set.FrameBytesMaxUnauthenticated > 0 && !c.info.Authenticated()
}

// pipelineMax is 1 while c is not authenticated: what follows the request that
// authenticates it is judged by what comes of that. It is never more than the
// order that c began with has room for.
func (c *Conn) pipelineMax() int {
	if c.pipeline.order == nil || c.unauthenticated() {
		return 1
	}
	return min(c.set.PipelineMax, c.pipeline.order.depth)
}

func (c *Conn) frameBytesMax() int {
	if c.unauthenticated() {
		return c.set.FrameBytesMaxUnauthenticated
	}
	return c.set.FrameBytesMax
}

// mayCrowd says whether a connection that has requests in flight may have more,
// as far as others are concerned. At most InFlightShare of one connection are in
// the request channel or with handlers, and while the channel is full no
// connection gets a second one; so a request of another waits for no more than
// the share of each. Whoever is refused has something in flight: the answer to it
// is the occasion to try again.
func (c *Conn) mayCrowd() bool {
	return c.shared.cfg.Handle != nil ||
		!c.shared.crowded && (c.shared.cfg.InFlightShare == 0 || c.pipeline.inFlight < c.shared.cfg.InFlightShare)
}

// outputMax is how many bytes of responses may be queued on a connection before its
// next request is begun. When the memory for all responses is short, who has not read
// one does not get another.
func (c *Conn) outputMax() int {
	if c.shared.cfg.Responses.Tight() {
		return 1
	}
	return c.set.QueuedBytesMax
}

// mayBegin says whether the request in a frame may be begun. Otherwise the connection is
// in line, and goes on when its turn has come. Beside a pool it is there that requests
// wait for the room of a large response: see postponed.
func (c *Conn) mayBegin(b []byte) bool {
	if c.waits.ticket == nil {
		if !c.shared.cfg.Responses.Tight() {
			return true
		}
		c.waits.ticket = c.line(c.shared.roomFor(b), (*Conn).Resume)
	}
	return c.waits.ticket.Granted()
}

// roomFor is what the response to the request in a frame may take.
func (sh *Shared) roomFor(b []byte) int64 {
	switch {
	case sh.cfg.Handle == nil:
		return budget.SmallestBytes
	case sh.cfg.APIOf == nil:
		return sh.cfg.Responses.Expect(-1)
	}
	api, _ := sh.cfg.APIOf(b[frame.SizeBytes:])
	return sh.cfg.Responses.Expect(api)
}

// takeTurn gives r what its connection has waited for. Who was told to expect nothing
// large holds nothing: a long poll may wait for ever.
func (c *Conn) takeTurn(r *reqchan.Job) {
	t := c.waits.ticket
	if c.waits.ticket = nil; t.Small() {
		t.Release()
	} else {
		r.TakeTicket(t)
	}
}

// line has c wait for n bytes of the budget of all responses; then is called when
// they are there, unless they are at once.
func (c *Conn) line(n int64, then func(*Conn)) *budget.Ticket {
	loop, token := c.shared.loop, c.token
	return c.shared.cfg.Responses.Queue(n, func() {
		loop.Submit(token, then)
	})
}

// leaveLine ends all waiting for the budget.
func (w *waits) leaveLine() {
	w.leaveTurn()
	if w.reads != nil {
		w.reads.Release()
		w.reads = nil
	}
}

// leaveTurn has the next request stand in line again.
func (w *waits) leaveTurn() {
	if w.ticket != nil {
		w.ticket.Release()
		w.ticket = nil
	}
}
