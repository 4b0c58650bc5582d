package conn

import "kring/reqchan"

const (
	// runBytesMax bounds the frames behind the first of a run. They hold bytes of the
	// request channel's capacity, and may have to wait as long as the request before
	// them takes.
	runBytesMax = 16 << 10
	// followersMax bounds the requests that a processor has cut beyond one of each
	// connection, whether they are in flight or came home without being begun: a short
	// frame counts for little of the channel's bytes, and its job takes more.
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

// GoesFirst says whether r has priority.
func (c *Conn) GoesFirst(r *reqchan.Job) bool {
	return c.set.Priority || c.shared.cfg.Priority != nil && c.shared.cfg.Priority(r.Request())
}

// beginRun has others follow r, unless the requests of c go one by one: of a pipelined
// connection they go to several handlers, for a latency target each counts for itself,
// and what waits for the memory of its response must not hold up what doesn't. first
// says that r goes before others: so do those that follow it only if the listener says
// so.
func (c *Conn) beginRun(r *reqchan.Job, first bool) {
	if c.pipeline.order == nil && !c.shared.cfg.OneByOne && !c.shared.cfg.Responses.Tight() && (!first || c.set.Priority) {
		r.SetRoom(c.outputRoom())
		c.shared.runs.cut = run{first: r, last: r}
	}
}

// mayFollow says whether one more may follow in the run that is being cut.
func (c *Conn) mayFollow() bool {
	sh := c.shared
	return sh.runs.cut.last != nil && sh.runs.cut.first.InRun() < sh.runs.max && sh.runs.followers+sh.runs.unbegun < followersMax && c.life < ending
}

// follow has r, which was started, follow in the run that is being cut.
func (c *Conn) follow(r *reqchan.Job) {
	c.countStarted()
	c.pipeline.followed += uint16(len(r.Frame))
	if c.set.Priority {
		c.shared.count.Prioritized++
	}
	run := &c.shared.runs.cut
	run.bytes += len(r.Frame)
	run.first.Append(run.last, r)
	run.last = r
}

// Unbegun takes back a run that came home without being begun, behind a request that did.
// As far as the connection is concerned it was not cut.
func (c *Conn) Unbegun(first *reqchan.Job) {
	n := first.InRun()
	for range n {
		c.wentHome() // what it was behind is still in flight, so this changes no more than a count
	}
	c.shared.runs.unbegun += n
	if c.pipeline.unbegun = first; c.life >= ending {
		c.dropUnbegun()
	}
}

// Followed counts r, which was cut to follow another, now that it came home; c is nil when
// its connection is gone.
func (sh *Shared) Followed(c *Conn, r *reqchan.Job) {
	sh.count.Requests++
	if c != nil {
		c.pipeline.cut++
		c.touch()
		c.pipeline.followed -= uint16(len(r.Frame))
	}
}

// outputRoom is how many bytes of responses may be queued before the next request waits.
func (c *Conn) outputRoom() int {
	most := c.outputMax()
	if c.out.unsent != nil {
		most -= c.out.unsent.queued
	}
	return most
}

// mayGoOn says that nothing of the connection's own keeps what was cut and not begun.
func (c *Conn) mayGoOn() bool {
	return c.pipeline.unbegun != nil && c.pipeline.inFlight == 0 && c.life < draining && !c.mute.throttled() &&
		(c.out.unsent == nil || c.out.unsent.queued < c.outputMax())
}

// goOn hands on what was cut and not begun, when c may have a request in flight again. A
// connection that shall migrate does not take it along.
func (c *Conn) goOn() {
	r, sh := c.pipeline.unbegun, c.shared
	if !c.mayGoOn() || !c.mayBegin(r.Frame) {
		return
	}
	c.pipeline.unbegun = nil
	if c.waits.ticket != nil || sh.cfg.Responses.Tight() || sh.cfg.Priority != nil {
		c.pipeline.unbegun = r.Unbegun() // the others have to wait for their turn, or their lane
	}
	if c.waits.ticket != nil {
		c.takeTurn(r)
	}
	sh.runs.unbegun -= r.InRun()
	sh.Followed(c, r)
	r.SetRoom(c.outputRoom())
	for j := r; j != nil; j = j.Behind() {
		j.Times.Arrived = sh.now
		c.countStarted()
	}
	sh.runs.fresh++
	first := c.GoesFirst(r)
	if first && !c.set.Priority { // else it was counted when it was cut
		sh.count.Prioritized++
	}
	sh.loop.Enqueue(r, first)
}

// dropUnbegun forgets what was cut and not begun.
func (c *Conn) dropUnbegun() {
	if c.pipeline.unbegun != nil {
		c.shared.runs.unbegun -= c.pipeline.unbegun.InRun()
		for j := c.pipeline.unbegun; j != nil; j = j.Behind() {
			c.pipeline.followed -= uint16(len(j.Frame))
		}
		c.shared.DropRun(c.pipeline.unbegun)
		c.pipeline.unbegun = nil
	}
}

// DropRun forgets the requests of a run that nobody will begin.
func (sh *Shared) DropRun(r *reqchan.Job) {
	sh.endRun(r, func(r *reqchan.Job) {
		sh.Followed(nil, r)
		sh.recordUnsent(r)
	})
}

// withHandlers is how many requests of the connection are with handlers, or on their way:
// of a run it is one at a time.
func (c *Conn) withHandlers() int {
	if c.pipeline.order == nil {
		return min(c.pipeline.inFlight, 1)
	}
	return c.pipeline.inFlight
}
