package conn

import "kring/reqchan"

// throttle mutes c until then, but not longer than ThrottleMax from now.
func (c *Conn) throttle(until int64) {
	if c.life >= finishing {
		return
	}
	until = min(until, c.shared.now+int64(c.set.ThrottleMax))
	since := c.shared.now
	if !c.mute.throttled() {
		c.step(stepThrottleStarted)
		c.shared.count.Throttles++
	} else if since = c.at.alarm; until <= since {
		return
	}
	c.excuseStranger(until - since)
	c.setAlarm(until)
}

// park holds back the last response of a connection, which r is, until the
// alarm: see Request.CloseConnectionAfter. Nothing more is read of it.
func (c *Conn) park(r *reqchan.Job, why reqchan.CloseReason) {
	c.become(toDelay)
	c.reason, c.out.parked = why, r
	r.Excuse(r.CloseAt() - c.shared.now) // what takes long on purpose is not slow
	c.shared.count.Parks++
	c.cancelReceive()
	c.setAlarm(r.CloseAt())
}

// unpark lets the response go, and the connection after it.
func (c *Conn) unpark() {
	c.become(delayOver)
	r := c.out.parked
	c.out.parked = nil
	c.shared.loop.ClearAlarm(c)
	if _, response, _ := r.Answer(); response != nil {
		c.refused.is = c.set.Shortest() > 0 // see refuseWith
		c.queue(r, c.shared.timesOf(r.API), response)
	} else {
		c.shared.endUnsent(r)
	}
	c.finishIfIdle()
}

func (c *Conn) setAlarm(at int64) {
	c.at.alarm = at
	c.shared.loop.SetAlarm(c, at)
}

// AlarmRang goes on with the connection: its time has come.
func (c *Conn) AlarmRang() {
	switch {
	case c.life >= ending:
	case c.out.parked != nil:
		c.unpark()
	case c.preface != nil:
		c.terminate(reqchan.AddressRate)
	default:
		c.step(stepThrottleEnded)
		c.Resume()
	}
}
