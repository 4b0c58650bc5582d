package processor

import (
	"slices"
	"time"

	"kring/engine"
	"kring/internal/budget"
	"kring/internal/conn"
)

const (
	// hurryEvery is how often it is looked for who keeps memory of responses from
	// others, while it is short.
	hurryEvery = 250 * time.Millisecond
	// laterStays is how long requests go on waiting for room once their processor drains.
	laterStays = int64(time.Second)
	// hurryFrees is which part of the budget may be freed at once.
	hurryFrees = 8
	// starvedFor is how long others hurry when a frame has waited: their processors look at
	// the time about once in a second.
	starvedFor = int64(4 * time.Second)
)

// hurryFrames closes peers that have begun a frame and send nothing of it, while frames of
// others have waited for its memory, of any processor, each for a tenth of the frame timeout.
func (p *Processor) hurryFrames() {
	h, now := &p.slots.rearm, p.shared.Now()
	if len(h.list) == 0 && p.cfg.Channel.StarvedUntil() < now || now-h.hurried < int64(hurryEvery) {
		return
	}
	h.hurried = now
	if slices.ContainsFunc(h.list, func(c *slot) bool { return c.Hurries() }) { // the first may be gone, or have no timeout
		p.cfg.Channel.Starve(now + starvedFor)
	}
	if p.cfg.Channel.StarvedUntil() < now {
		return
	}
	for _, c := range p.slots.all {
		c.CloseSilent()
	}
}

// hurry closes peers that take nothing of what they were answered, while others have waited for
// its memory, each for a tenth of the write timeout.
func (p *Processor) hurry() {
	now := p.shared.Now()
	if now-p.timers.hurried < int64(hurryEvery) {
		return
	}
	p.timers.hurried = now
	p.hurryOrder()
	most := p.cfg.Responses.Max() / hurryFrees
	for _, c := range p.slots.all {
		unread, since := c.Unread()
		if unread <= budget.SmallestBytes || c.Settings().WriteTimeout <= 0 {
			continue
		}
		patience := c.Settings().WriteTimeout / conn.HurryPart
		if now-since < int64(patience) {
			continue
		}
		if !p.cfg.Responses.Starved(patience) || most <= 0 {
			return
		}
		if c.CloseUnread() {
			most -= int64(unread)
		}
	}
}

// endUnread closes peers that take nothing of what they were answered, while the processor
// drains, as DrainPatiently says. They are looked at again and again: what the kernel knows of a
// peer that reads is seen from one time to the next. What waits for room is not begun any more: it
// would have room when another was closed for not reading, and not be read either.
func (p *Processor) endUnread() {
	now, patience := p.shared.Now(), p.ends.patience.Load()
	if p.phase != conn.Draining || patience <= 0 || now-p.timers.drained < int64(hurryEvery) {
		return
	}
	p.timers.drained = now
	if now-p.timers.drainSince >= min(patience, laterStays) {
		p.endLater()
	}
	for _, c := range p.slots.all {
		c.EndUnread(p.timers.drainSince, patience)
	}
}

// hurryOrder has requests go that wait for room while answers of their own connection lie
// behind them: those give none back before. So a connection may have one answer beyond the
// budget, and no wait is for itself.
func (p *Processor) hurryOrder() {
	for r := range p.handlers.later {
		if c := p.slots.of(engine.Token(r.Token)); c != nil && c.HoldsBehind(r) {
			r.TakeTicket(p.cfg.Responses.Overdraw())
			p.handOut(r)
		}
	}
}
