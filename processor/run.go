package processor

import (
	"kring/engine"
	"kring/reqchan"
)

const (
	// runBytesMax bounds the frames behind the first of a run. They hold bytes of the
	// request channel's capacity, and may have to wait as long as the request before
	// them takes.
	runBytesMax = 16 << 10
	// followersMax bounds the requests that a processor has cut beyond one of each
	// connection: those have bounds of their own.
	followersMax = 4096
)

// run is the run of requests that is being cut: see reqchan.Job.Append. Where one
// request of a connection is in flight at a time, those that were received together go
// to their handler together.
//
// Invariant: there is none when the processor turns to another connection.
type run struct {
	first, last *reqchan.Job // nil: there is none
	bytes       int          // of frames behind the first
}

// runMax is how many requests may be in a run: no more than a connection's share of the
// channel, nor than half of that.
func runMax(cfg *Config) int {
	most := reqchan.RunMax
	if cfg.RunMax > 0 {
		most = min(most, cfg.RunMax)
	}
	if cfg.InFlightShare > 0 {
		most = min(most, cfg.InFlightShare)
	}
	return min(most, (min(cfg.Channel.RequestsMax(), cfg.Channel.PriorityMax())+1)/2)
}

// beginRun has others follow r, unless the requests of c go one by one: of a pipelined
// connection they go to several handlers, for a latency target each counts for itself,
// and what waits for the memory of its response must not hold up what doesn't. first
// says that r goes before others: so do those that follow it only if the listener says
// so.
func (p *Processor) beginRun(c *conn, r *reqchan.Job, first bool) {
	if c.order == nil && p.limiter == nil && !p.cfg.Responses.Tight() && (!first || c.set.Priority) {
		p.run = run{first: r, last: r}
	}
}

// mayFollow says whether one more may follow in the run that is being cut.
func (p *Processor) mayFollow(c *conn) bool {
	return p.run.last != nil && p.run.first.InRun() < p.runMax && p.followers < followersMax && !c.ending
}

// follow has r, which was launched, follow in the run that is being cut.
func (p *Processor) follow(c *conn, r *reqchan.Job) {
	p.began(c)
	p.fresh++
	p.run.bytes += len(r.Frame)
	p.run.first.Append(p.run.last, r)
	p.run.last = r
}

// takeUnbegun takes back what came home behind r without being begun. As far as the
// connection is concerned it was not cut.
func (p *Processor) takeUnbegun(r *reqchan.Job) {
	first := r.Unbegun()
	if first == nil {
		return
	}
	n := first.InRun()
	p.away -= n
	c := p.connOf(engine.Token(r.Token))
	if c == nil {
		p.dropRun(first)
		return
	}
	for range n {
		p.wentHome(c) // r is still in flight, so this changes no more than a count
	}
	if c.unbegun = first; c.ending {
		p.dropUnbegun(c)
	}
}

// countFollower counts a request that was cut to follow another, now that it was begun.
func (p *Processor) countFollower(c *conn) {
	p.count.requests++
	if c != nil {
		c.requests++
	}
}

// goOn hands on what was cut and not begun, when c may have a request in flight again. A
// connection that shall move does not take it along.
func (p *Processor) goOn(c *conn) {
	r := c.unbegun
	if c.inFlight > 0 || c.ending || c.finishing || c.mute.throttled() || c.phase >= draining ||
		c.out != nil && c.out.queued >= p.outputMax(c) || !p.mayBegin(c, r.Frame) {
		return
	}
	c.unbegun = nil
	if c.turn != nil || p.cfg.Responses.Tight() || p.cfg.Priority != nil {
		c.unbegun = r.Unbegun() // the others have to wait for their turn, or their lane
	}
	if c.turn != nil {
		c.takeTurn(r)
	}
	p.countFollower(c)
	for j := r; j != nil; j = j.Behind() {
		j.Times.Arrived = p.now
		p.began(c)
	}
	p.enqueue(c, r)
}

// dropUnbegun forgets what was cut and not begun.
func (p *Processor) dropUnbegun(c *conn) {
	if c.unbegun != nil {
		p.dropRun(c.unbegun)
		c.unbegun = nil
	}
}

// dropRun forgets the requests of a run that nobody will begin.
func (p *Processor) dropRun(r *reqchan.Job) {
	for r != nil {
		rest := r.Unbegun()
		p.countFollower(nil)
		p.measured(r)
		p.recycle(r)
		r = rest
	}
}

// recycleRun ends a request, and those behind it, and says how many that were.
func (p *Processor) recycleRun(r *reqchan.Job) (n int) {
	for ; r != nil; n++ {
		rest := r.Unbegun()
		p.recycle(r)
		r = rest
	}
	return n
}

// withHandlers is how many requests of the connection are with handlers, or on their way:
// of a run it is one at a time.
func (c *conn) withHandlers() int {
	if c.order == nil {
		return min(c.inFlight, 1)
	}
	return c.inFlight
}
