package kring

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"kring/acceptor"
	"kring/engine"
	"kring/handler"
	"kring/internal/measure"
	"kring/internal/pace"
	"kring/processor"
	"kring/reqchan"
	"kring/uring"
)

// Stats is a snapshot of what a Server has counted since its start.
type Stats struct {
	// Accepted connections, and those turned away: Refused by a limit or for want
	// of a descriptor, Unassigned when every processor's inbox was full and
	// WhenFull is refuse; see RefusedBy. AcceptFailures ended accepting for a
	// while.
	Accepted, Refused, Unassigned, AcceptFailures uint64
	// WatcherPanics counts panics of a ConnWatcher, and of Events about connections.
	WatcherPanics uint64
	// Open connections now; Waiting ones stand in line for a slot or for a
	// creation rate; ThrottledConns were over their address's rate and are held open
	// until they are closed.
	Open, Waiting, ThrottledConns int64
	// Waited connections found no free slot when they came (Conns.Max, WhenFull wait).
	// BusiestConns is how many connections the remote address has that has most,
	// BusiestAddress.
	Waited         uint64
	BusiestAddress netip.Addr
	BusiestConns   int64
	// AcceptRate is how many connections a second were let in, over the windows,
	// without those of the protected listener [broker-connection-accept-rate].
	AcceptRate float64
	// Listeners by name, also those that were removed.
	Listeners []acceptor.ListenerStats
	// Handshakes are those of the listeners that speak TLS; a listener that was removed has
	// none any more.
	Handshakes []HandshakeStats
	// QueuedRequests and RequestBytes are in the request channel (QueuedPriority of
	// them in its priority lane), and received and not answered, now.
	QueuedRequests int
	QueuedPriority int
	RequestBytes   int64
	// QueuedRequestsMax and QueuedPriorityMax are the bounds of both lanes.
	QueuedRequestsMax, QueuedPriorityMax int
	// Responses is the memory of responses over all connections (Memory.ResponseBytesMax):
	// Used of Max bytes now; Waiting requests, and files, wait for room, Waited ever did.
	Responses ResponseMemory
	// MemoryMapped is the off-heap memory taken from the system, in bytes, and
	// MemoryLent how many pieces of it are in use now; the rest is for reuse.
	MemoryMapped, MemoryLent int64
	// MemoryHeld is the memory of bytes that were received and not cut, with what
	// processors keep of Config.Memory.HeldBytesMax for more.
	MemoryHeld int64
	// MemoryRefused is how often the system refused such memory.
	MemoryRefused uint64
	// Total is the sum over Processors, and those that are no more.
	Total      processor.Stats
	Processors []processor.Stats
	// Handlers is the pool; the zero value when there is none.
	Handlers handler.Stats
	// Requests are by API, in the order of their keys.
	Requests []RequestStats
	// Software are the open connections by client software, most first;
	// Deprecated the requests that Config.Dispatch.Deprecated names.
	Software   []SoftwareCount
	Deprecated []DeprecatedCount
	// Clients are the client ids with open connections, by id, and last OtherClient, which
	// stands for those beyond Config.Measure.ClientIDsMax; none when that is 0.
	Clients []ClientCount
	// Engines is the sum of what the processors' engines count.
	Engines engine.Counts
}

// Stats reads the counts; any goroutine, at any time.
func (s *Server) Stats() Stats {
	now := s.now()
	total := now.leaving.gone.clone()
	st := Stats{
		Open:           s.admission.Open(),
		AcceptRate:     s.admission.AcceptRate(),
		QueuedRequests: s.channel.Len(),
		QueuedPriority: s.channel.PriorityLen(),
		RequestBytes:   s.channel.Bytes(),

		QueuedRequestsMax: s.channel.RequestsMax(), QueuedPriorityMax: s.channel.PriorityMax(),

		Responses:     s.responses.Stats(),
		MemoryMapped:  s.memory.Mapped(),
		MemoryRefused: s.memory.Refused(),
		MemoryHeld:    s.held.Used(),
		MemoryLent:    s.memory.Lent(),
		WatcherPanics: s.watcherPanics.Load(),
	}
	st.addListeners(s.admission)
	st.Handshakes = handshakeStats(now.listeners)
	st.BusiestAddress, st.BusiestConns = s.admission.Busiest()
	for _, p := range now.everyProcessor() {
		st.Processors = append(st.Processors, total.addProcessor(p))
	}
	st.Total, st.Engines = total.processors, total.engines
	st.Requests, st.Deprecated = total.requests, total.deprecatedCounts()
	said, known := s.census.Counts(), 0
	for _, n := range said {
		known += n
	}
	st.Software = softwareCounts(said, int(st.Total.Open())-known)
	if s.clientIDs != nil {
		st.Clients = s.clientIDs.Counts()
	}
	if s.pool != nil {
		st.Handlers = s.pool.Stats()
	}
	return st
}

// KernelThreads counts the threads that the kernel has started for io_uring in
// this process; serving sockets needs none. It reads /proc, so ask rarely.
func KernelThreads() int { return uring.KernelThreads() }

// ClosedBy gives the connections closed per reason, by the reason's name, those
// that happened only.
func (st Stats) ClosedBy() map[string]uint64 {
	by := map[string]uint64{}
	for r, n := range st.Total.Closed {
		if n > 0 {
			by[reqchan.CloseReason(r).String()] = n
		}
	}
	return by
}

// SoftwareCount is how many open connections say that they are of a client
// software (KIP-511). Those that have not said are "unknown"; beyond
// reqchan.LabelsMax kinds, all others are "other".
type SoftwareCount struct {
	Name, Version string
	Connections   int
}

// DeprecatedCount is how many requests of a deprecated version a client
// software has sent (KIP-896).
type DeprecatedCount struct {
	processor.DeprecatedUse
	Requests uint64
}

// unknownSoftware is Kafka's word for who has not said what it is.
const unknownSoftware = "unknown"

// gone are the counts of processors that are no more.
type gone struct {
	processors processor.Stats
	engines    engine.Counts
	requests   []RequestStats // by API
	deprecated map[processor.DeprecatedUse]uint64
}

// clone shares nothing with g.
func (g *gone) clone() gone {
	c := gone{processors: g.processors, engines: g.engines, deprecated: maps.Clone(g.deprecated)}
	for i := range g.requests {
		c.addRequests(&g.requests[i])
	}
	return c
}

// addProcessor adds what a processor has counted, and gives its own part of it.
func (g *gone) addProcessor(p *processor.Processor) processor.Stats {
	s := p.Stats()
	g.processors.Add(&s)
	if s.Engine != nil {
		g.engines.Add(s.Engine.Snapshot())
	}
	for _, r := range p.Requests() {
		g.addRequests(&r)
	}
	for use, n := range p.Deprecated() {
		if g.deprecated == nil {
			g.deprecated = map[processor.DeprecatedUse]uint64{}
		}
		g.deprecated[use] += n
	}
	return s
}

func (g *gone) addRequests(r *RequestStats) {
	i, known := slices.BinarySearchFunc(g.requests, r.API, func(s RequestStats, api int16) int { return cmp.Compare(s.API, api) })
	if !known {
		g.requests = slices.Insert(g.requests, i, RequestStats{API: r.API})
	}
	g.requests[i].Add(r)
}

func (g *gone) deprecatedCounts() (counts []DeprecatedCount) {
	for use, n := range g.deprecated {
		counts = append(counts, DeprecatedCount{use, n})
	}
	slices.SortFunc(counts, func(a, b DeprecatedCount) int {
		return cmp.Or(cmp.Compare(a.API, b.API), cmp.Compare(a.Version, b.Version),
			cmp.Compare(a.Software.Name, b.Software.Name), cmp.Compare(a.Software.Version, b.Software.Version))
	})
	return counts
}

// softwareCounts lists the connections by what they say, and those that have
// said nothing.
func softwareCounts(said map[reqchan.Software]int, silent int) (counts []SoftwareCount) {
	for software, n := range said {
		counts = append(counts, SoftwareCount{software.Name, software.Version, n})
	}
	if silent > 0 {
		counts = append(counts, SoftwareCount{unknownSoftware, unknownSoftware, silent})
	}
	slices.SortFunc(counts, func(a, b SoftwareCount) int {
		return cmp.Or(cmp.Compare(b.Connections, a.Connections), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version))
	})
	return counts
}

// NetworkIdle is the share of time that processors had nothing to do
// [NetworkProcessorAvgIdlePercent], 0 to 1, between an earlier snapshot and st;
// the zero Stats is the start. Under 0.3 more of them may help. On io_uring it
// says a little more than elsewhere: see processor.Stats.
func (st Stats) NetworkIdle(since Stats) float64 {
	return measure.Ratio(st.Total.IdleNanos-since.Total.IdleNanos, st.Total.AliveNanos-since.Total.AliveNanos)
}

// HandlerIdle is the share of time that the goroutines of the handler pool had nothing to
// do [RequestHandlerAvgIdlePercent], measured as NetworkIdle is; 1 when there are none.
func (st Stats) HandlerIdle(since Stats) float64 {
	return measure.Ratio(st.Handlers.IdleNanos-since.Handlers.IdleNanos, st.Handlers.AliveNanos-since.Handlers.AliveNanos)
}

// connOpened tells who wants to know. A panic there ends nothing: the connection
// is open, whoever listens.
func (s *Server) connOpened(c *Conn) {
	defer s.watcherPanicked()
	if s.watcher != nil {
		s.watcher.ConnOpened(c)
	}
	if s.events.ConnOpened != nil {
		s.events.ConnOpened(c)
	}
}

func (s *Server) connClosed(c *Conn, why CloseReason) {
	defer s.watcherPanicked()
	if s.watcher != nil {
		s.watcher.ConnClosed(c, why)
	}
	if s.events.ConnClosed != nil {
		s.events.ConnClosed(c, why)
	}
}

// connRefused tells of a connection that nobody was told of before: who its client is was
// not said, or its address is over a bound.
func (s *Server) connRefused(c *Conn, why CloseReason) {
	defer s.watcherPanicked()
	if s.events.ConnClosed != nil {
		s.events.ConnClosed(c, why)
	}
}

func (s *Server) watcherPanicked() {
	if v := recover(); v != nil {
		s.watcherPanics.Add(1)
	}
}

// Alive waits until every processor has begun a pass of its loop, and returns nil. When ctx
// ends first it says which have not: a Handler blocks them (inline), or the machine gives
// them no time. Any goroutine, at any time.
func (s *Server) Alive(ctx context.Context) error {
	processors := s.now().everyProcessor()
	passes := make([]<-chan struct{}, len(processors))
	for i, p := range processors {
		passes[i] = p.Pass()
	}
	return awaitEach(ctx, "have made no pass", passes, func(int) {})
}

// awaitEach waits for what processors were asked for, and has those that are there taken. The
// error names the processors that say nothing before ctx ends.
func awaitEach(ctx context.Context, what string, there []<-chan struct{}, take func(i int)) error {
	var silent []int
	for i := range there {
		if comesBefore(there[i], ctx.Done()) {
			take(i)
		} else {
			silent = append(silent, i)
		}
	}
	if len(silent) > 0 {
		return fmt.Errorf("kring: processors %v %s: %w; does the Handler block them?", silent, what, ctx.Err())
	}
	return nil
}

// listingPatience is how long Conns waits for a processor: it answers between
// two passes, so only a Handler that blocks it (inline) can keep it for longer.
const listingPatience = time.Second

// Conns lists the open connections, by processor and age. Each processor
// answers for its own, some hundreds in a pass; none is held up, and none is
// asked that has ended. The error names the processors that did not answer
// before ctx ended, or within a second; the list is then without theirs. Any
// goroutine, at any time.
func (s *Server) Conns(ctx context.Context) ([]ConnInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, listingPatience)
	defer cancel()
	processors := s.now().everyProcessor()
	asked, there := make([]*processor.Listing, len(processors)), make([]<-chan struct{}, len(processors))
	for i, p := range processors {
		asked[i] = p.List()
		there[i] = asked[i].Done()
	}
	var all []ConnInfo
	err := awaitEach(ctx, "did not list their connections", there, func(i int) { all = append(all, asked[i].Conns()...) })
	var p pace.Pace // there may be very many
	slices.SortFunc(all, func(a, b ConnInfo) int {
		p.SmallStep()
		return cmp.Or(cmp.Compare(a.ID.Processor, b.ID.Processor), cmp.Compare(a.ID.Index, b.ID.Index))
	})
	return all, err
}
