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
		n, requests = o.sender.TrySend(o.pending[:most])
	}
	left := copy(o.pending, o.pending[n:])
	newlyHeld = max(left-o.held, 0)
	o.held = left
	clear(o.pending[left:])
	o.pending = o.pending[:left]
	return requests, newlyHeld
}

// handing is what lies between connections and handlers.
type handing struct {
	ordinary    outgoing
	priority    outgoing
	most        int                       // see handOver
	limiter     *limiter                  // nil: no latency target
	later       map[*reqchan.Job]struct{} // wait for room for their response
	handedOver  int                       // requests that were published since handlers were let run
	rounds      int                       // that handlers were let run in this pass
	yieldedFrom int64                     // when the first of them began
	yieldFor    int64                     // how long after it there is to be no further one
}

func newHanding(cfg *Config, wakeFlag *queue.WakeFlag) handing {
	c := cfg.Channel
	return handing{
		ordinary: outgoing{sender: c.NewSender(wakeFlag)}, priority: outgoing{sender: c.NewPrioritySender(wakeFlag)}, most: handOver(c),
		limiter: newLimiter(cfg.Latency),
	}
}

// enqueue puts a request that was started on its way, which may begin a run; first:
// before others.
func (p *Processor) enqueue(r *reqchan.Job, first bool) {
	if first {
		p.handlers.priority.pending = append(p.handlers.priority.pending, r)
		return
	}
	p.handlers.ordinary.pending = append(p.handlers.ordinary.pending, r)
}

// publish hands what was cut to the handlers, those first that have priority.
func (p *Processor) publish() {
	p.handedOn(p.handlers.priority.send(len(p.handlers.priority.pending)))
	o, most := &p.handlers.ordinary, len(p.handlers.ordinary.pending)
	if p.handlers.limiter != nil {
		most = p.handlers.limiter.admit(o.pending, p.shared.Now())
	}
	n, held := o.send(most)
	p.handedOn(n, held)
	p.shared.Crowded(o.held > 0)
	if p.handlers.limiter != nil {
		p.shared.Counts().Depth = uint64(p.handlers.limiter.depth)
		p.handlers.limiter.unadmit(o.pending[:most-n]) // the channel had no room for them; there are no runs
	}
}

// handedOn counts what the request channel took, and what it did not.
func (p *Processor) handedOn(n, held int) {
	p.shared.Went(n)
	p.shared.Counts().Held += uint64(held)
	p.handlers.handedOver += n
}
