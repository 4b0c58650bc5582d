package conn

import (
	"time"

	"kring/reqchan"
)

// A connection ends in three steps: finish (nothing more is cut, what is
// queued still leaves), terminate (whatever is outstanding is made to end) and
// join (the last completion came: the descriptor is closed). The first two may
// be skipped over, the join never.

// finish closes the connection once its output is out.
func (c *Conn) finish(why reqchan.CloseReason) {
	if c.become(toFinish) {
		c.reason = why
		c.finishIfIdle()
	}
}

// finishIfIdle terminates a connection that has nothing left to do and will
// get nothing more to do.
func (c *Conn) finishIfIdle() {
	switch {
	case c.up != nil && c.life <= serving: // it ends when its peer does, or its owner says so
	case c.life >= delayed || c.out.unsent != nil || c.out.sending || c.unsent():
	case c.life == finishing:
		c.end(c.reason)
	case c.pipeline.inFlight > 0 || c.pipeline.unbegun != nil && c.life != draining || (c.waits.again() || c.waits.ticket != nil) && !c.in.receive.up() && c.life == serving:
	case c.life == leaving:
		c.migrateIfQuiet()
	case c.in.receive == receiveOver && c.mute.throttled() && c.life == serving && c.in.frames.NextIsComplete():
		// Its requests of before the end are served once the throttle ends.
	case c.in.receive == receiveOver:
		c.end(reqchan.PeerFinished)
	case c.life == draining:
		c.end(c.endReason())
	}
}

// terminate ends whatever is outstanding on the connection.
func (c *Conn) terminate(why reqchan.CloseReason) {
	if !c.become(toEnd) {
		return
	}
	c.reason = why
	reqchan.EndConn(c.info, why)
	if c.in.receive.up() || c.out.sending || c.up != nil && c.up.pending {
		c.shared.loop.Shutdown(c)
	}
	c.join()
}

// join closes the descriptor once nothing is outstanding on it.
func (c *Conn) join() {
	if c.in.receive.up() || c.out.sending || c.out.reading != nil || c.up != nil && c.up.pending || !c.become(allComplete) {
		return
	}
	c.waits.leaveLine()
	c.dropParked()
	c.dropUnbegun()
	c.dropOutput()
	c.abandonInput()
	c.shared.loop.Close(c)
}

// beginning is how long after it was heard or told something a connection that has asked for less
// than beginsWith is about to ask.
const (
	beginning  = time.Second
	beginsWith = 2
)

// IsBeginning says that its peer is about to ask: a client of Kafka asks for the versions, and
// then at once for what it connected for. Some take the end of a connection before that first
// answer for a wrong setting of theirs, and don't ask again (franz-go: "is SASL missing?").
func (c *Conn) IsBeginning() bool {
	return c.pipeline.cut < beginsWith && c.shared.now-c.at.active < int64(beginning)
}

func (c *Conn) dropParked() {
	if c.out.parked != nil {
		c.shared.endUnsent(c.out.parked)
		c.out.parked = nil
	}
}

// Closed takes the last completion of a connection.
func (c *Conn) Closed() {
	c.become(closed)
	if c.secure != nil {
		c.secure.Close(c.shared.cfg.Memory)
	}
	if c.pipeline.order != nil {
		for i, r := range c.pipeline.order.slots {
			if r != nil {
				c.pipeline.order.slots[i] = nil
				c.shared.endUnsent(r)
			}
		}
	}
	if c.up != nil {
		c.upstreamClosed()
		c.vacate()
		return
	}
	c.waits.leaveLine()
	c.tellUse()
	reqchan.LeaveCensus(c.info)
	reqchan.LeaveClientIDs(c.info)
	c.shared.runs.followers -= max(c.pipeline.inFlight-1, 0) // what is still away comes home too late
	c.shared.count.Closed[c.reason]++
	told := c.shared.cfg.Closed
	if c.preface != nil {
		told = c.shared.cfg.Refused
	}
	if told != nil {
		c.info.SetTotals(reqchan.Totals{
			Requests: c.pipeline.cut, BytesIn: c.in.bytes, BytesOut: c.out.bytes, Age: time.Duration(c.shared.now - c.at.opened),
		})
		told(c.info, c.reason)
	}
	c.vacate()
}

// vacate forgets the connection; its token will never be seen again.
func (c *Conn) vacate() {
	if c.big.head != nil {
		c.shared.sizes.free = append(c.shared.sizes.free, c.big.head)
	}
	*c = Conn{token: c.token, out: output{recent: c.emptyRecent()}}
}

// Evict closes the connection, whatever it has in flight.
func (c *Conn) Evict() { c.cutOff(reqchan.Evicted) }

// CutOff closes the connection for a reason, whatever it has in flight: the answers to that
// are dropped. It reports false when the connection is closing anyway.
func (c *Conn) CutOff(why reqchan.CloseReason) bool {
	if c.life >= ending {
		return false
	}
	c.cutOff(why)
	return true
}

// cutOff ends the connection and counts what it has in flight, unless it has ended before.
func (c *Conn) cutOff(why reqchan.CloseReason) {
	if c.life < ending {
		c.shared.count.Dropped += uint64(c.withHandlers())
	}
	c.terminate(why)
}

// EngineFailed says that nothing of the connection will complete any more.
func (c *Conn) EngineFailed() {
	c.become(toEnd)
	c.reason = reqchan.EngineFailed
	reqchan.EndConn(c.info, reqchan.EngineFailed)
}

// Abandon gives back what the connection holds, of an engine that is closed; lost says
// that the kernel keeps the memory that it was given. It says whether the descriptor is
// still open.
func (c *Conn) Abandon(lost bool) (open bool) {
	if lost {
		c.loseHeld()
	}
	c.dropParked()
	c.dropUnbegun()
	c.dropOutput()
	c.abandonInput()
	if c.out.reading != nil {
		c.shared.putPiece(c.out.reading)
	}
	return c.life != closing
}

// endReason says why a connection ends that has to.
func (c *Conn) endReason() reqchan.CloseReason {
	if c.shared.phase < Draining && c.from.Phase() >= Draining {
		return reqchan.ListenerRemoved
	}
	return reqchan.ServerDraining
}

// loseHeld forgets the memory of c that the engine has not given back: nobody gets
// it again. What it holds of the channel's capacity is given back.
func (c *Conn) loseHeld() {
	if c.up != nil {
		c.loseReply()
	}
	switch c.in.receive {
	case receiveSize:
		c.shared.count.Lost += uint64(len(c.shared.sizes.pages)) * headsPageBytes // it lies in one of them
		c.shared.sizes.pages = nil
	case receiveFrame:
		if c.up != nil {
			break
		}
		own := c.in.frames.DropFrame()
		c.shared.unreserve(claimBytes(len(own)))
		if c.big.lease != nil { // the engine keeps its buffers, too
			c.big.lease = nil
			c.shared.buffers.large--
			break
		}
		c.shared.count.Lost += uint64(len(own))
	}
	if c.out.reading != nil {
		c.shared.count.Lost += uint64(len(c.out.reading))
		c.shared.cfg.Responses.Change(int64(cap(c.out.reading)), 0)
		c.out.reading = nil
	}
	if o := c.out.unsent; o != nil && c.out.sending {
		c.shared.count.Lost += uint64(o.queued)
		for i := o.at; i < len(o.segments); i++ {
			if r := o.segments[i].request; r != nil {
				c.shared.unreserve(r.Bytes)
				r.LoseResponse()
			}
			if piece := o.segments[i].piece; piece != nil {
				c.shared.cfg.Responses.Change(int64(cap(piece)), 0)
			}
		}
		if c.secure != nil {
			c.secure.pieces = nil
		}
		c.dropMarks()
		c.out.unsent = nil
	}
}
