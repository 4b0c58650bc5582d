package processor

import "math"

// Connections that wait for bytes of the channel's capacity stand in a list of their own,
// the first waits longest. It may be long, and little may come back at a time: so nobody of
// it is tried before there is a reason to, nor when somebody was refused who wanted less.

// hungry are those connections.
type hungry struct {
	list []*conn
	// creditWanted is the least that one of them wants who takes of what this processor
	// has reserved already.
	creditWanted int64
	hurried      int64 // when hurryFrames looked last
}

// waitForBytes has c wait until so many bytes may be free: of those that all share, or,
// with fromCredit, of this processor's own as well.
func (p *Processor) waitForBytes(c *conn, bytes int64, fromCredit bool) {
	c.wants, c.fromCredit = bytes, fromCredit
	if !c.waiting {
		c.waiting = true
		p.count.waits++
	}
	if c.hungry == 0 {
		c.hungry = p.now
	}
	p.listHungry(c)
}

func (p *Processor) listHungry(c *conn) {
	h := &p.hungry
	if c.fromCredit {
		h.creditWanted = min(h.creditWanted, c.wants)
	}
	if !c.listed {
		c.listed = true
		h.list = append(h.list, c)
	}
}

// retryHungry has those try again who wait for bytes, if there may be some. The channel
// rings the bell then, or this processor has got some back.
func (p *Processor) retryHungry() {
	h := &p.hungry
	n := len(h.list)
	if n == 0 || p.ordinary.sender.Hungry() && p.credit < h.creditWanted {
		return
	}
	h.creditWanted = math.MaxInt64
	refused := int64(math.MaxInt64)
	for _, c := range h.list[:n] {
		c.listed = false
		switch {
		case !c.waiting || c.wants == 0: // gone, and its place may be another's
		case c.wants >= refused:
			p.listHungry(c)
		default:
			c.waiting, c.starved, c.wants = false, false, 0
			if p.progress(c); c.waiting && c.wants > 0 {
				refused = min(refused, c.wants)
			}
		}
	}
	left := copy(h.list, h.list[n:])
	clear(h.list[left:])
	h.list = h.list[:left]
}
