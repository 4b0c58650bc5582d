package processor

import "math"

// Connections that wait for bytes of the channel's capacity stand in a list of their own,
// the first waits longest. It may be long, and little may come back at a time: so nobody of
// it is tried before there is a reason to, nor when somebody was refused who wanted less.

// rearmQueue are those connections.
type rearmQueue struct {
	list []*slot
	// creditWanted is the least that one of them wants who takes of what this processor
	// has reserved already.
	creditWanted int64
	hurried      int64 // when hurryFrames looked last
}

// add has c wait for so many bytes.
func (h *rearmQueue) add(c *slot, bytes int64, fromCredit bool) {
	if fromCredit {
		h.creditWanted = min(h.creditWanted, bytes)
	}
	if !c.listed {
		c.listed = true
		h.list = append(h.list, c)
	}
}

// rearm has those try again who wait for bytes, if there may be some. The channel
// wakes the processor then, or this processor has got some back.
func (p *Processor) rearm() {
	h := &p.slots.rearm
	n := len(h.list)
	if n == 0 || p.handlers.ordinary.sender.Waiting() && p.shared.Credit() < h.creditWanted {
		return
	}
	h.creditWanted = math.MaxInt64
	refused := int64(math.MaxInt64)
	for _, c := range h.list[:n] {
		c.listed = false
		wants, fromCredit := c.WaitsForBytes()
		switch {
		case wants == 0: // gone, and its place may be another's
		case wants >= refused:
			h.add(c, wants, fromCredit)
		default:
			c.RetryBytes()
			if wants, _ = c.WaitsForBytes(); wants > 0 {
				refused = min(refused, wants)
			}
		}
	}
	left := copy(h.list, h.list[n:])
	clear(h.list[left:])
	h.list = h.list[:left]
}
