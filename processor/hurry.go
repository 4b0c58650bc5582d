package processor

import (
	"time"

	"kring/engine"
	"kring/internal/budget"
	"kring/reqchan"
)

const (
	// hurryEvery is how often it is looked for who keeps memory of responses from
	// others, while it is short.
	hurryEvery = 250 * time.Millisecond
	// hurryPart is which part of its write timeout a peer has then.
	hurryPart = 10
	// hurryFrees is which part of the budget may be freed at once.
	hurryFrees = 8
	// hurrySilence is the shortest silence that anybody is closed for.
	hurrySilence = time.Second
	// starvedFor is how long others hurry when a frame has waited: their processors look at
	// the time about once in a second.
	starvedFor = int64(4 * time.Second)
)

// hurryFrames closes peers that have begun a frame and send nothing of it, while frames of
// others have waited for its memory, of any processor, each for a tenth of the frame timeout.
func (p *Processor) hurryFrames() {
	h := &p.hungry
	if len(h.list) == 0 && p.cfg.Channel.StarvedUntil() < p.now || p.now-h.hurried < int64(hurryEvery) {
		return
	}
	h.hurried = p.now
	if len(h.list) > 0 {
		first := h.list[0]
		if first.waiting && first.wants > 0 && first.set.FrameTimeout > 0 && p.now-first.hungry >= first.hurriesAfter() {
			p.cfg.Channel.Starve(p.now + starvedFor)
		}
	}
	if p.cfg.Channel.StarvedUntil() < p.now {
		return
	}
	for _, c := range p.conns {
		if c.info == nil || c.ending || c.begun == 0 || c.set.FrameTimeout <= 0 || c.receive == receiveNone || c.excused() {
			continue
		}
		if p.now-c.active >= c.hurriesAfter() && !p.peerWrites(c) {
			p.terminate(c, reqchan.FrameTimeout)
		}
	}
}

// hurriesAfter is how long a peer may be silent while others wait for what its frame has.
func (c *conn) hurriesAfter() int64 {
	return int64(min(max(c.set.FrameTimeout/hurryPart, hurrySilence), c.set.FrameTimeout))
}

// hurry closes peers that take nothing of what they were answered, while others have waited for
// its memory, each for a tenth of the write timeout.
func (p *Processor) hurry() {
	if p.now-p.hurried < int64(hurryEvery) {
		return
	}
	p.hurried = p.now
	p.hurryOrder()
	most := p.cfg.Responses.Max() / hurryFrees
	for _, c := range p.conns {
		if c.info == nil || c.ending || !c.sending || c.out.queued <= budget.SmallestBytes || c.set.WriteTimeout <= 0 {
			continue
		}
		patience := c.set.WriteTimeout / hurryPart
		if p.now-c.out.since < int64(patience) {
			continue
		}
		if !p.cfg.Responses.Starved(patience) || most <= 0 {
			return
		}
		if n := c.out.queued; !p.peerReads(c) {
			most -= int64(n)
			p.terminate(c, reqchan.WriteTimeout)
		}
	}
}

// hurryOrder has requests go that wait for room while answers of their own connection lie
// behind them: those give none back before. So a connection may have one answer beyond the
// budget, and no wait is for itself.
func (p *Processor) hurryOrder() {
	for r := range p.later {
		if c := p.connOf(engine.Token(r.Token)); c != nil && c.order != nil && c.order.holdsBehind(r.Seq) {
			r.TakeTurn(p.cfg.Responses.Overdraw())
			p.handOut(r)
		}
	}
}
