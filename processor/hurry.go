package processor

import (
	"time"

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
)

// hurry closes peers that take nothing of what they were answered, while others have waited for
// its memory, each for a tenth of the write timeout.
func (p *Processor) hurry() {
	if p.now-p.hurried < int64(hurryEvery) {
		return
	}
	p.hurried = p.now
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
