package processor

import "time"

// timers are what happens by the clock.
type timers struct {
	wheel   wheel
	alarms  alarms
	hurried int64 // when hurry looked last
	drained int64 // when endUnread did
	// drainSince is when the processor began to drain, in Shared.Now.
	drainSince int64
}

// wheel is a timer wheel of connections. A connection stands in it once, at
// the earliest time when one of its deadlines could have passed; activity does
// not move it, it is looked at again when its time comes.
type wheel struct {
	tick    int64 // nanoseconds a bucket spans; 0: nobody has had a deadline yet
	at      int64 // the bucket that was looked at last, counted from the epoch
	count   int
	buckets [wheelBuckets]*slot
}

const wheelBuckets = 64

type wheelEntry struct {
	next, prev *slot
	bucket     uint8 // 1 + index, 0 when in none
}

// suit makes the tick fine enough for connections that go by s.
func (w *wheel) suit(s *Settings, now int64) {
	shortest := int64(s.Shortest())
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
func (w *wheel) add(c *slot, now int64) {
	if c.Settings().Shortest() == 0 {
		return
	}
	due := now/w.tick + 1 + (c.Earliest(now)-now)/w.tick
	due = min(max(due, w.at+1), w.at+wheelBuckets-1)
	i := int(due % wheelBuckets)
	c.wheel = wheelEntry{next: w.buckets[i], bucket: uint8(i + 1)}
	if c.wheel.next != nil {
		c.wheel.next.wheel.prev = c
	}
	w.buckets[i] = c
	w.count++
}

func (w *wheel) remove(c *slot) {
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

// expire looks at the connections whose time has come.
func (p *Processor) expire() {
	if p.cfg.Responses.Tight() {
		p.hurry()
	}
	p.hurryFrames()
	p.endUnread()
	w := &p.timers.wheel
	if w.tick == 0 {
		return
	}
	for c := w.takeDue(p.shared.Now() / w.tick); c != nil; {
		next := c.wheel.next
		c.wheel = wheelEntry{}
		if c.Expire() {
			w.add(c, p.shared.Now())
		}
		c = next
	}
}

// takeDue takes out the connections of all buckets up to last, linked by next. After the
// process was stopped these are many: whoever is looked at is put back behind them, so
// that what the engine has comes before it is looked at again.
func (w *wheel) takeDue(last int64) (due *slot) {
	for w.at = max(w.at, last-wheelBuckets); w.at < last && w.count > 0; {
		w.at++
		for i := w.at % wheelBuckets; w.buckets[i] != nil; {
			c := w.buckets[i]
			w.remove(c)
			c.wheel.next, due = due, c
		}
	}
	w.at = max(w.at, last)
	return due
}
