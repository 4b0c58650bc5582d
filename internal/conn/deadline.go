package conn

import (
	"math"
	"time"

	"kring/internal/frame"
	"kring/reqchan"
)

// Earliest is when a deadline of c could pass at the soonest, whatever it does.
func (c *Conn) Earliest(now int64) int64 {
	idle, write, whole := int64(c.set.IdleTimeout), int64(c.set.WriteTimeout), int64(c.set.FrameTimeout)
	due := int64(math.MaxInt64)
	if idle > 0 {
		since := now
		if !c.excused() {
			since = c.at.active
		}
		due = since + idle
	}
	if write > 0 {
		since := now
		if c.out.sending {
			since = c.out.unsent.since
		}
		due = min(due, since+write)
	}
	if whole > 0 {
		since := now
		if c.at.begun > 0 && c.in.receive.up() {
			since = min(c.at.active, c.at.begun+c.in.frameTime())
		}
		due = min(due, since+whole)
	}
	if c.preface != nil {
		due = min(due, c.prefaceDue(now))
	}
	if at, waits := c.handshakeUntil(); waits {
		due = min(due, at)
	}
	if at, _, waits := c.silentUntil(); waits {
		due = min(due, at)
	}
	if c.up != nil && !c.up.opened && c.up.openBy > 0 {
		due = min(due, c.up.openBy)
	}
	if at, waits := c.roomUntil(); waits {
		due = min(due, at)
	}
	if at, waits := c.refusedUntil(); waits {
		due = min(due, at)
	}
	if c.mustAuthenticate() {
		due = min(due, c.authDue(now))
	}
	return max(due, now)
}

// excused says that the silence of a connection is not its peer's: it waits for
// us. Time goes on meanwhile, so being muted does not refresh it (KAFKA-12427).
func (c *Conn) excused() bool {
	return c.pipeline.inFlight > 0 || c.out.sending || c.out.reading != nil || c.mute.throttled() || c.out.parked != nil || c.waits.ticket != nil || c.waits.reads != nil
}

// frameBytesPerSecond is how fast a frame has to come that was begun.
const frameBytesPerSecond = 256 << 10

// frameTime is how long the frame that was begun may take beyond FrameTimeout.
func (in *arrival) frameTime() int64 {
	return int64(in.frames.Begun()) * int64(time.Second) / frameBytesPerSecond
}

// slow says that something of the frame that was begun should have come by now, and
// late that all of it should have. Time does not count in which nothing is received. What
// is in flight before it keeps nothing of it back: it has its memory, which others may want.
func (c *Conn) slow(now int64) (slow, late bool) {
	whole := int64(c.set.FrameTimeout)
	if whole == 0 || c.at.begun == 0 {
		return false, false
	}
	if !c.in.receive.up() {
		c.at.begun = now
		return false, false
	}
	return now-c.at.active >= whole, now-c.at.begun >= whole+c.in.frameTime()
}

// extend gives a frame that is late FrameTimeout once more: the process may have been
// stopped meanwhile. Only once, because a peer that drips always has bytes on the way,
// and peerWrites would believe it for ever.
func (c *Conn) extend(now int64) bool {
	if c.in.extended {
		return false
	}
	c.in.extended, c.at.begun = true, now-c.in.frameTime()
	return true
}

// Expire closes the connection if one of its deadlines has passed; again says that there
// will be others.
func (c *Conn) Expire() (again bool) {
	if c.life >= ending { // its join needs no clock
		return false
	}
	idle, write := int64(c.set.IdleTimeout), int64(c.set.WriteTimeout)
	slow, late := c.slow(c.shared.now)
	refused, refusedOn := c.refusedUntil()
	room, roomOn := c.roomUntil()
	silent, whySilent, silentOn := c.silentUntil()
	switch {
	case c.up != nil && c.up.late(c.shared.now) && !c.up.mayOpen(c.shared.now):
		c.upstreamLate()
	case roomOn && c.shared.now >= room:
		c.noRoom(frame.SizeBytes + c.in.frames.Size())
	case write > 0 && c.out.sending && c.shared.now-c.out.unsent.since >= write && !c.peerReads():
		c.terminate(reqchan.WriteTimeout)
	case c.preface != nil && c.prefaceLate():
		c.terminate(reqchan.ProxyHeaderTimeout)
	case silentOn && c.shared.now >= silent && !c.peerWrites():
		c.terminate(whySilent)
	case c.handshakeLate():
		c.terminate(reqchan.HandshakeTimeout)
	case refusedOn && c.shared.now >= refused:
		c.terminate(c.reason)
	case c.authLate():
		c.terminate(reqchan.AuthenticationTimeout)
	case late && !c.extend(c.shared.now) || slow && !c.peerWrites():
		c.terminate(reqchan.FrameTimeout)
	case idle > 0 && !c.excused() && c.shared.now-c.at.active >= idle && !c.peerWrites():
		c.terminate(reqchan.IdleExpired)
	default:
		return true
	}
	return false
}
