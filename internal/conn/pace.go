package conn

import (
	"time"

	"kring/internal/measure"
)

// ratesOver is the least time that a connection's rates are measured over.
const ratesOver = int64(time.Second)

// Rates are what a connection did in a second, on average over its last window: of one
// second or more, as the connection does something or is looked at. In its first second it
// is what it did since it was opened.
type Rates struct{ Requests, BytesIn, BytesOut float64 }

// Latency is how long the requests of a connection took, from when they were cut to when
// their response was sent. About the last thousand count. Long polls don't (see
// Config.LongPoll). All are 0 if there was none.
type Latency struct{ P50, P95, P99 time.Duration }

// pace is how fast a connection goes.
type pace struct {
	since             int64 // when the window began, in Shared.now; 0: the first
	requests, in, out uint64
	last              Rates // of the window before
	// recent are microseconds; nil until the first response. It stays with the slot.
	recent *measure.Recent
}

// keep is what is left of p for the slot's next connection.
func (p *pace) keep() pace {
	if p.recent != nil {
		*p.recent = measure.Recent{}
	}
	return pace{recent: p.recent}
}

// keepPace ends the window if it has been long enough. It is called before anything is
// counted that came later.
func (c *Conn) keepPace() {
	if c.shared.now-max(c.pace.since, c.at.opened) >= ratesOver {
		c.nextWindow()
	}
}

func (c *Conn) nextWindow() {
	c.pace.last = c.pace.rates(c, max(c.pace.since, c.at.opened))
	c.pace.since, c.pace.requests, c.pace.in, c.pace.out = c.shared.now, c.pipeline.cut, c.in.bytes, c.out.bytes
}

// rates are those since a moment.
func (p *pace) rates(c *Conn, since int64) Rates {
	seconds := max(time.Duration(c.shared.now-since), time.Millisecond).Seconds()
	return Rates{float64(c.pipeline.cut-p.requests) / seconds, float64(c.in.bytes-p.in) / seconds, float64(c.out.bytes-p.out) / seconds}
}

// describe gives the rates and the latency of now.
func (p *pace) describe(c *Conn) (Rates, Latency) {
	c.keepPace()
	r := p.last
	if p.since == 0 {
		r = p.rates(c, c.at.opened)
	}
	if p.recent == nil {
		return r, Latency{}
	}
	us := p.recent.Quantiles([3]float64{0.5, 0.95, 0.99})
	return r, Latency{time.Duration(us[0]) * time.Microsecond, time.Duration(us[1]) * time.Microsecond, time.Duration(us[2]) * time.Microsecond}
}

// output is what the connection has to send; it makes one, which notes what takes how long
// for the connection.
func (c *Conn) output() *outbound {
	if c.out.unsent == nil {
		if c.pace.recent == nil {
			c.pace.recent = &measure.Recent{}
		}
		c.out.unsent = c.shared.takeOutbound()
		c.out.unsent.marks.recent = c.pace.recent
	}
	return c.out.unsent
}
