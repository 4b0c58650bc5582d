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

// pace is how fast a connection goes. The window ends at moments.window.
type pace struct {
	since             int64 // when the window began, in Shared.now; 0: the first
	requests, in, out uint64
	last              Rates // of the window before
}

// emptyRecent is for the slot's next connection.
func (c *Conn) emptyRecent() *measure.Recent {
	if c.out.recent != nil {
		*c.out.recent = measure.Recent{}
	}
	return c.out.recent
}

// keepPace ends the window if it has been long enough. It is called before anything is
// counted that came later.
func (c *Conn) keepPace() {
	if c.shared.now >= c.at.window {
		c.nextWindow()
	}
}

func (c *Conn) nextWindow() {
	c.pace.last = c.rates(max(c.pace.since, c.at.opened))
	c.pace.since, c.pace.requests, c.pace.in, c.pace.out = c.shared.now, c.pipeline.cut, c.in.bytes, c.out.bytes
	c.at.window = c.shared.now + ratesOver
}

// rates are those since a moment.
func (c *Conn) rates(since int64) Rates {
	p := &c.pace
	seconds := max(time.Duration(c.shared.now-since), time.Millisecond).Seconds()
	return Rates{float64(c.pipeline.cut-p.requests) / seconds, float64(c.in.bytes-p.in) / seconds, float64(c.out.bytes-p.out) / seconds}
}

// lately gives the rates and the latency of now.
func (c *Conn) lately() (Rates, Latency) {
	c.keepPace()
	r := c.pace.last
	if c.pace.since == 0 {
		r = c.rates(c.at.opened)
	}
	if c.out.recent == nil {
		return r, Latency{}
	}
	us := c.out.recent.Quantiles([3]float64{0.5, 0.95, 0.99})
	return r, Latency{time.Duration(us[0]) * time.Microsecond, time.Duration(us[1]) * time.Microsecond, time.Duration(us[2]) * time.Microsecond}
}

// noteLatency notes that n requests took so many microseconds.
func (c *Conn) noteLatency(us, n uint64) {
	if c.out.recent == nil {
		c.out.recent = &measure.Recent{}
	}
	c.out.recent.Note(us, n)
}
