package processor

import (
	"sync/atomic"

	"kring/engine"
	"kring/internal/conn"
	"kring/internal/measure"
	"kring/reqchan"
)

// Stats of a Processor, totals since its start, as of its last pass.
type Stats struct {
	// ID is the processor's, as in the ids of its connections; 0 in a sum.
	ID uint32
	// Opened and Closed count connections; Closed is by reason.
	Opened uint64
	Closed [reqchan.ReasonCount]uint64
	// MovedIn and MovedOut count open connections that came from another
	// processor, and went to one.
	MovedIn, MovedOut uint64
	// Requests were cut; Responses were queued on their connection; Late ones
	// found it gone; Dropped were in flight when the server cut it.
	Requests, Responses, Late, Dropped uint64
	// ExtraAnswers came to requests that had been answered, and were dropped: a
	// handler answered twice, or a timeout and the work that it was for both did.
	ExtraAnswers uint64
	// Panics of handlers on the processor.
	Panics uint64
	// Sends counts gathered sends; Responses / Sends is the batching.
	Sends uint64
	// Held counts requests that found the request channel full (or too many with
	// the handlers for a latency target), Mutes receives
	// cancelled for too many uncut bytes, Waits connections that waited for
	// memory or for a receive buffer.
	Held, Mutes, Waits uint64
	// HeldScarce counts how often the memory for bytes that are not cut became scarce, so
	// that frames were received one at a time.
	HeldScarce uint64
	// Throttles counts connections that were muted by Request.Throttle (or as slow
	// readers), Parks those that were held by CloseConnectionAfter, SlowReaders how
	// often a connection was found to leave more unread than it may.
	Throttles, Parks, SlowReaders uint64
	// BytesIn and BytesOut count what was received and sent, sizes included.
	BytesIn, BytesOut uint64
	// BytesDirect were received straight into the memory of their frame. Of
	// the others BytesInCopied were copied in user space on their way to the
	// handler, and BytesOutCopied on their way from it to the socket: answers
	// from memory that is not the request's, and small ones packed together.
	// Bytes that are copied twice count twice.
	BytesDirect, BytesInCopied, BytesOutCopied uint64
	// Prioritized counts requests of the priority lane.
	Prioritized uint64
	// LatencyDepth is how many requests may be with the handlers now, for the sake
	// of their latency; 0 without a target.
	LatencyDepth uint64
	// BytesLost is memory that is not used again, because the kernel had not let go
	// of it when the engine was closed.
	BytesLost uint64
	// Upstreams and UpstreamsClosed count connections that this side made (those that failed
	// with them); UpstreamBytesIn and UpstreamBytesOut are received and sent on them, and are
	// not in BytesIn and BytesOut.
	Upstreams, UpstreamsClosed        uint64
	UpstreamBytesIn, UpstreamBytesOut uint64
	// Polls counts passes, FileReads the pieces of files that were read for
	// responses.
	Polls, FileReads uint64
	// ResponsesWaiting are answers that the processor has not taken yet, now.
	ResponsesWaiting int64
	// IdleNanos is how long it waited in Poll with nothing else to do,
	// AliveNanos how long it has run; their quotient over an interval is Kafka's
	// network processor idle ratio. On io_uring Poll is also where the kernel
	// works for us, so the ratio says a little more than on the others.
	IdleNanos, AliveNanos int64
	// Engine is what the engine counts itself; nil before it stands.
	Engine *engine.Counters
}

// Where counts stand among published.values: first those that change in most passes, then
// the others, then the reasons for closing.
const (
	firstSeldom = 11
	firstClosed = firstSeldom + 20
)

// published is a copy of counts for other goroutines, written once a pass.
type published struct {
	values [firstClosed + reqchan.ReasonCount]atomic.Uint64
	seldom conn.SeldomCounts // Owner: of the last publish
}

func (s *published) publish(c *conn.Counts) {
	for i, v := range [firstSeldom]uint64{c.Polls, c.Requests, c.Responses, c.Sends, c.BytesIn, c.BytesOut,
		c.BytesInCopied, c.BytesOutCopied, c.Home, c.UpstreamBytesIn, c.UpstreamBytesOut} {
		s.store(i, v)
	}
	if s.seldom != c.SeldomCounts {
		s.publishSeldom(&c.SeldomCounts)
	}
}

func (s *published) publishSeldom(c *conn.SeldomCounts) {
	for i, v := range [firstClosed - firstSeldom]uint64{c.Opened, c.Late, c.Dropped, c.Panics, c.Held, c.Mutes, c.Waits,
		c.BytesDirect, c.Throttles, c.Parks, c.Slow, c.Prioritized, c.FileReads, c.MovedIn, c.MovedOut, c.Depth, c.Lost, c.HeldScarce,
		c.Upstreams, c.UpstreamsClosed} {
		s.store(firstSeldom+i, v)
	}
	for i, v := range &c.Closed {
		s.store(firstClosed+i, v)
	}
	s.seldom = *c
}

// store writes what has changed: to read is cheaper.
func (s *published) store(i int, v uint64) {
	if at := &s.values[i]; at.Load() != v {
		at.Store(v)
	}
}

// ID is the number that the processor's connections carry.
func (p *Processor) ID() uint32 { return p.cfg.ID }

// Stats reads the counts; any goroutine.
func (p *Processor) Stats() Stats {
	s := p.stats.read()
	s.ID, s.ExtraAnswers = p.cfg.ID, p.shared.Extra()
	s.ResponsesWaiting = max(int64(p.inbox.answers.Pushed()-p.stats.home()), 0)
	s.IdleNanos, s.AliveNanos = p.idleOf()
	if e := p.ready.Load(); e != nil {
		s.Engine = (*e).Counters()
	}
	return s
}

// read reads what was published. Any goroutine.
func (s *published) read() Stats {
	at := func(i int) uint64 { return s.values[i].Load() }
	seldom := func(i int) uint64 { return at(firstSeldom + i) }
	r := Stats{
		Polls: at(0), Requests: at(1), Responses: at(2), Sends: at(3), BytesIn: at(4), BytesOut: at(5),
		BytesInCopied: at(6), BytesOutCopied: at(7), UpstreamBytesIn: at(9), UpstreamBytesOut: at(10),
		Opened: seldom(0), Late: seldom(1), Dropped: seldom(2), Panics: seldom(3), Held: seldom(4), Mutes: seldom(5), Waits: seldom(6),
		BytesDirect: seldom(7), Throttles: seldom(8), Parks: seldom(9), SlowReaders: seldom(10), Prioritized: seldom(11),
		FileReads: seldom(12), MovedIn: seldom(13), MovedOut: seldom(14), LatencyDepth: seldom(15),
		BytesLost: seldom(16), HeldScarce: seldom(17), Upstreams: seldom(18), UpstreamsClosed: seldom(19),
	}
	for i := range r.Closed {
		r.Closed[i] = at(firstClosed + i)
	}
	return r
}

// home is how many answers were taken from the response queue.
func (s *published) home() uint64 { return s.values[8].Load() }

// uptime is how long a processor has run, and waited, in nanoseconds of measure.Now.
type uptime struct {
	started atomic.Int64 // 0 before
	stopped atomic.Int64 // likewise
	idle    measure.Idleness
}

// Requests are the stats of every API that there were requests of. Any goroutine.
func (p *Processor) Requests() []RequestStats { return p.shared.Requests() }

// Deprecated counts the requests of deprecated versions. Any goroutine.
func (p *Processor) Deprecated() map[DeprecatedUse]uint64 { return p.shared.Deprecated() }

// idleOf is how long the processor has waited, of how long it has run.
func (p *Processor) idleOf() (idle, alive int64) {
	started, now := p.uptime.started.Load(), p.uptime.stopped.Load()
	if started == 0 {
		return 0, 0
	}
	if now == 0 {
		now = measure.Now()
	}
	return p.uptime.idle.Nanos(now), now - started
}

// Open is how many connections are open.
func (s *Stats) Open() int64 {
	open := int64(s.Opened + s.MovedIn - s.MovedOut)
	for _, n := range s.Closed {
		open -= int64(n)
	}
	return max(open, 0) // a few are closed before they count as opened
}

// Add adds another's counts to s; the engines' stay with their owners.
func (s *Stats) Add(o *Stats) {
	s.Opened += o.Opened
	s.MovedIn += o.MovedIn
	s.MovedOut += o.MovedOut
	s.Requests += o.Requests
	s.Responses += o.Responses
	s.Late += o.Late
	s.Dropped += o.Dropped
	s.Panics += o.Panics
	s.ExtraAnswers += o.ExtraAnswers
	s.BytesLost += o.BytesLost
	s.Sends += o.Sends
	s.Held += o.Held
	s.Mutes += o.Mutes
	s.Waits += o.Waits
	s.HeldScarce += o.HeldScarce
	s.Upstreams += o.Upstreams
	s.UpstreamsClosed += o.UpstreamsClosed
	s.UpstreamBytesIn += o.UpstreamBytesIn
	s.UpstreamBytesOut += o.UpstreamBytesOut
	s.BytesIn += o.BytesIn
	s.BytesOut += o.BytesOut
	s.BytesDirect += o.BytesDirect
	s.BytesInCopied += o.BytesInCopied
	s.BytesOutCopied += o.BytesOutCopied
	s.Throttles += o.Throttles
	s.Parks += o.Parks
	s.SlowReaders += o.SlowReaders
	s.Polls += o.Polls
	s.Prioritized += o.Prioritized
	s.LatencyDepth += o.LatencyDepth
	s.FileReads += o.FileReads
	s.ResponsesWaiting += o.ResponsesWaiting
	s.IdleNanos += o.IdleNanos
	s.AliveNanos += o.AliveNanos
	for i := range o.Closed {
		s.Closed[i] += o.Closed[i]
	}
}
