package processor

import "kring/reqchan"

// A connection ends in three steps: finish (nothing more is cut, what is
// queued still leaves), terminate (whatever is outstanding is made to end) and
// join (the last completion came: the descriptor is closed). The first two may
// be skipped over, the join never.

// finish closes the connection once its output is out.
func (p *Processor) finish(c *conn, why reqchan.CloseReason) {
	if c.ending || c.finishing {
		return
	}
	c.finishing, c.reason = true, why
	p.finishIfIdle(c)
}

// finishIfIdle terminates a connection that has nothing left to do and will
// get nothing more to do.
func (p *Processor) finishIfIdle(c *conn) {
	switch {
	case c.ending || c.out != nil || c.sending || c.parked != nil:
	case c.finishing:
		p.terminate(c, c.reason)
	case c.inFlight > 0 || c.unbegun != nil && c.phase < draining || (c.waiting || c.turn != nil) && c.receive == receiveNone && c.phase == serving:
	case c.phase == retiring:
		p.mayMove(c)
	case c.eof && c.mute.throttled() && c.phase == serving && c.in.Whole():
		// Its requests of before the end are served once the throttle ends.
	case c.eof:
		p.terminate(c, reqchan.PeerFinished)
	case c.phase != serving:
		p.terminate(c, p.endReason(c))
	}
}

// terminate ends whatever is outstanding on the connection.
func (p *Processor) terminate(c *conn, why reqchan.CloseReason) {
	if c.ending {
		return
	}
	c.ending, c.reason = true, why
	c.info.SetEnded(why)
	if c.receive != receiveNone || c.sending {
		p.engine.Shutdown(c.fd, c.token)
	}
	p.join(c)
}

// join closes the descriptor once nothing is outstanding on it.
func (p *Processor) join(c *conn) {
	if c.receive != receiveNone || c.sending || c.reading != nil || c.closing {
		return
	}
	c.closing = true
	c.leaveLine()
	p.dropParked(c)
	p.dropUnbegun(c)
	p.dropOutput(c)
	p.abandonInput(c)
	p.engine.CloseFD(c.fd, c.token)
}

func (p *Processor) dropParked(c *conn) {
	if c.parked != nil {
		p.measured(c.parked)
		p.recycle(c.parked)
		c.parked = nil
	}
}

// closed takes the last completion of a connection.
func (p *Processor) closed(c *conn) {
	if c.order != nil {
		for i, r := range c.order.slots {
			if r != nil {
				c.order.slots[i] = nil
				p.measured(r)
				p.recycle(r)
			}
		}
	}
	c.leaveLine()
	p.wheel.remove(c)
	p.alarms.remove(c)
	c.info.CountOut()
	p.openConns--
	p.followers -= max(c.inFlight-1, 0) // what is still away comes home too late
	p.count.closed[c.reason]++
	if p.cfg.Hooks.Closed != nil {
		p.cfg.Hooks.Closed(c.info, c.reason)
	}
	p.left(c.from, c.place)
	gone := c.gone
	p.releaseSlot(c)
	if gone != nil {
		gone()
	}
}
