package processor

import (
	"kring/internal/queue"
	"kring/reqchan"
)

// outgoing are requests on their way into one lane of the request channel.
type outgoing struct {
	sender  *reqchan.Sender
	pending []*reqchan.Job // cut, not taken by the channel yet, in order; each may begin a run
	held    int            // of pending, those that found the channel full
}

// send hands on what is pending, as one batch, up to most of them, and says how
// many requests that the channel took there are. What it has no room for stays, in
// order, and the channel has promised to ring.
func (o *outgoing) send(most int) (requests, newlyHeld int) {
	if len(o.pending) == 0 {
		return 0, 0
	}
	n := 0
	if most > 0 {
		n, requests = o.sender.TrySendRuns(o.pending[:most])
	}
	left := copy(o.pending, o.pending[n:])
	newlyHeld = max(left-o.held, 0)
	o.held = left
	clear(o.pending[left:])
	o.pending = o.pending[:left]
	return requests, newlyHeld
}

func newOutgoing(c *reqchan.Channel, bell *queue.Doorbell) (ordinary, priority outgoing) {
	return outgoing{sender: c.NewSender(bell)}, outgoing{sender: c.NewPrioritySender(bell)}
}

// enqueue puts a request that was launched on its way, which may begin a run; first:
// before others.
func (p *Processor) enqueue(c *conn, r *reqchan.Job) (first bool) {
	p.fresh++
	if p.goesFirst(c, r) {
		p.count.prioritized += uint64(r.InRun())
		p.priority.pending = append(p.priority.pending, r)
		return true
	}
	p.ordinary.pending = append(p.ordinary.pending, r)
	return false
}

// goesFirst says whether r has priority.
func (p *Processor) goesFirst(c *conn, r *reqchan.Job) bool {
	return c.set.Priority || p.cfg.Priority != nil && p.cfg.Priority(r.Request())
}

// publish hands what was cut to the handlers, those first that have priority.
func (p *Processor) publish() {
	p.handedOn(p.priority.send(len(p.priority.pending)))
	o, most := &p.ordinary, len(p.ordinary.pending)
	if p.limiter != nil {
		most = p.limiter.admit(o.pending, p.now)
	}
	n, held := o.send(most)
	p.handedOn(n, held)
	if p.limiter != nil {
		p.count.depth = uint64(p.limiter.depth)
		p.limiter.unadmit(o.pending[:most-n]) // the channel had no room for them; there are no runs
	}
}

// handedOn counts what the request channel took, and what it did not.
func (p *Processor) handedOn(n, held int) {
	p.away += n
	p.count.held += uint64(held)
	p.handedOver += n
}

// mayCrowd says whether a connection that has requests in flight may have more,
// as far as others are concerned. At most InFlightShare of one connection are in
// the request channel or with handlers, and while the channel is full no
// connection gets a second one; so a request of another waits for no more than
// the share of each. Whoever is refused has something in flight: the answer to it
// is the occasion to try again.
func (p *Processor) mayCrowd(c *conn) bool {
	return p.cfg.Handle != nil ||
		p.ordinary.held == 0 && (p.cfg.InFlightShare == 0 || c.inFlight < p.cfg.InFlightShare)
}
