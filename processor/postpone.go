package processor

import (
	"kring/engine"
	"kring/reqchan"
)

// postponed has a request that came home without an answer handed out again when there
// is room for its response.
func (p *Processor) postponed(r *reqchan.Job) {
	p.shared.Begin(r)
	if p.handlers.later == nil {
		p.handlers.later = map[*reqchan.Job]struct{}{}
	}
	p.handlers.later[r] = struct{}{}
	t := p.cfg.Responses.Queue(p.cfg.Responses.Expect(r.API), func() { p.inbox.submit(func() { p.handOut(r) }) })
	r.TakeTicket(t)
	if t.Granted() {
		p.handOut(r)
	}
}

// handOut hands a postponed request to a handler, unless its connection has ended.
func (p *Processor) handOut(r *reqchan.Job) {
	if _, waits := p.handlers.later[r]; !waits {
		return
	}
	delete(p.handlers.later, r)
	if c := p.slots.of(engine.Token(r.Token)); c != nil && !c.Ended() {
		p.enqueue(r, c.GoesFirst(r))
		return
	}
	p.shared.Drop(r)
}

// endLater closes the connections whose requests wait for room.
func (p *Processor) endLater() {
	for r := range p.handlers.later {
		if c := p.slots.of(engine.Token(r.Token)); c != nil {
			c.CutOff(reqchan.ServerDraining)
		}
	}
	p.dropLater()
}

// dropLater ends the requests that wait for room.
func (p *Processor) dropLater() {
	for r := range p.handlers.later {
		delete(p.handlers.later, r)
		p.shared.Drop(r)
	}
}
