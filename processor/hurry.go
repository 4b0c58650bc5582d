package processor

import (
	"time"

	"kring/internal/budget"
)

const (
	// hurryEvery is how often it is looked for who keeps memory of responses from
	// others, while it is short.
	hurryEvery = 250 * time.Millisecond
	// hurryPart is which part of its write timeout a peer has then.
	hurryPart = 10
	// hurryFrees is which part of the budget may be freed at once.
	hurryFrees = 8
)

// hurry closes peers that take nothing of what they were answered, while others have waited for
// its memory, each for a tenth of the write timeout.
func (p *Processor) hurry() {
	now := p.shared.Now()
	if now-p.timers.hurried < int64(hurryEvery) {
		return
	}
	p.timers.hurried = now
	most := p.cfg.Responses.Max() / hurryFrees
	for _, c := range p.slots.all {
		unread, since := c.Unread()
		if unread <= budget.SmallestBytes || c.Settings().WriteTimeout <= 0 {
			continue
		}
		patience := c.Settings().WriteTimeout / hurryPart
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
