package processor

import (
	"math"
	"time"

	"kring/reqchan"
)

// wheel is a timer wheel of connections. A connection stands in it once, at
// the earliest time when one of its deadlines could have passed; activity does
// not move it, it is looked at again when its time comes.
type wheel struct {
	tick    int64 // nanoseconds a bucket spans; 0: nobody has had a deadline yet
	at      int64 // the bucket that was looked at last, counted from the epoch
	count   int
	buckets [wheelBuckets]*conn
}

const wheelBuckets = 64

type wheelEntry struct {
	next, prev *conn
	bucket     int // 1 + index, 0 when in none
}

// suit makes the tick fine enough for connections that go by s.
func (w *wheel) suit(s *Settings, now int64) {
	shortest := int64(s.shortest())
	tick := min(max(shortest/16, int64(time.Millisecond)), int64(time.Second))
	if shortest == 0 || w.tick != 0 && w.tick <= tick {
		return
	}
	old := w.buckets
	*w = wheel{tick: tick, at: now / tick}
	for _, c := range old {
		for c != nil {
			next := c.wheel.next
			c.wheel = wheelEntry{}
			w.add(c, now)
			c = next
		}
	}
}

// wait is how long until the next bucket is due; negative: nothing is.
func (w *wheel) wait(now int64) time.Duration {
	if w.count == 0 {
		return -1
	}
	return time.Duration(max((w.at+1)*w.tick-now, 0))
}

// add puts c where its earliest deadline could be.
func (w *wheel) add(c *conn, now int64) {
	if c.set.shortest() == 0 {
		return
	}
	due := now/w.tick + 1 + (w.earliest(c, now)-now)/w.tick
	due = min(max(due, w.at+1), w.at+wheelBuckets-1)
	i := int(due % wheelBuckets)
	c.wheel = wheelEntry{next: w.buckets[i], bucket: i + 1}
	if c.wheel.next != nil {
		c.wheel.next.wheel.prev = c
	}
	w.buckets[i] = c
	w.count++
}

func (w *wheel) remove(c *conn) {
	e := c.wheel
	if e.bucket == 0 {
		return
	}
	if e.prev != nil {
		e.prev.wheel.next = e.next
	} else {
		w.buckets[e.bucket-1] = e.next
	}
	if e.next != nil {
		e.next.wheel.prev = e.prev
	}
	c.wheel = wheelEntry{}
	w.count--
}

// earliest is when a deadline of c could pass at the soonest, whatever it does.
func (w *wheel) earliest(c *conn, now int64) int64 {
	idle, write, whole := int64(c.set.IdleTimeout), int64(c.set.WriteTimeout), int64(c.set.FrameTimeout)
	due := int64(math.MaxInt64)
	if idle > 0 {
		since := now
		if !c.excused() {
			since = c.active
		}
		due = since + idle
	}
	if write > 0 {
		since := now
		if c.sending {
			since = c.out.since
		}
		due = min(due, since+write)
	}
	if whole > 0 {
		since := now
		if c.begun > 0 && !c.excused() {
			since = min(c.active, c.begun+c.frameTime())
		}
		due = min(due, since+whole)
	}
	return max(due, now)
}

// excused says that the silence of a connection is not its peer's: it waits for
// us. Time goes on meanwhile, so being muted does not refresh it (KAFKA-12427).
func (c *conn) excused() bool {
	return c.inFlight > 0 || c.sending || c.reading != nil || c.mute.throttled() || c.parked != nil || c.turn != nil || c.reads != nil
}

// expire looks at the connections whose time has come.
func (p *Processor) expire() {
	if p.cfg.Responses.Tight() {
		p.hurry()
	}
	p.hurryFrames()
	w := &p.wheel
	if w.tick == 0 {
		return
	}
	for last := p.now / w.tick; w.at < last; {
		w.at++
		if w.count == 0 {
			w.at = last
			return
		}
		i := int(w.at % wheelBuckets)
		for c := w.buckets[i]; c != nil; {
			next := c.wheel.next
			w.remove(c)
			p.expireOne(c)
			c = next
		}
	}
}

// frameBytesPerSecond is how fast a frame has to come that was begun.
const frameBytesPerSecond = 256 << 10

// frameTime is how long the frame that was begun may take beyond FrameTimeout.
func (c *conn) frameTime() int64 {
	return int64(c.in.Begun()) * int64(time.Second) / frameBytesPerSecond
}

// slow says that something of the frame that was begun should have come by now, and
// late that all of it should have. Time does not count in which the connection waits
// for us.
func (c *conn) slow(now int64) (slow, late bool) {
	whole := int64(c.set.FrameTimeout)
	if whole == 0 || c.begun == 0 {
		return false, false
	}
	if c.excused() || c.receive == receiveNone {
		c.begun = now
		return false, false
	}
	return now-c.active >= whole, now-c.begun >= whole+c.frameTime()
}

// extend gives a frame that is late FrameTimeout once more: the process may have been
// stopped meanwhile. Only once, because a peer that drips always has bytes on the way,
// and peerWrites would believe it for ever.
func (c *conn) extend(now int64) bool {
	if c.extended {
		return false
	}
	c.extended, c.begun = true, now-c.frameTime()
	return true
}

func (p *Processor) expireOne(c *conn) {
	if c.ending { // its join needs no clock
		return
	}
	idle, write := int64(c.set.IdleTimeout), int64(c.set.WriteTimeout)
	slow, late := c.slow(p.now)
	switch {
	case write > 0 && c.sending && p.now-c.out.since >= write && !p.peerReads(c):
		p.terminate(c, reqchan.WriteTimeout)
	case late && !c.extend(p.now) || slow && !p.peerWrites(c):
		p.terminate(c, reqchan.FrameTimeout)
	case idle > 0 && !c.excused() && p.now-c.active >= idle && !p.peerWrites(c):
		p.terminate(c, reqchan.IdleExpired)
	default:
		p.wheel.add(c, p.now)
	}
}
