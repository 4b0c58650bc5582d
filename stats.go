package kring

import (
	"net/netip"
	"slices"

	"kring/acceptor"
	"kring/engine"
	"kring/handler"
	"kring/processor"
	"kring/reqchan"
	"kring/uring"
)

// Stats is a snapshot of what a Server has counted since its start.
type Stats struct {
	// Accepted connections, and those turned away: Refused by a limit or for want
	// of a descriptor, Unassigned when every processor's intake was full and
	// WhenFull is refuse; see RefusedBy. AcceptFailures ended accepting for a
	// while.
	Accepted, Refused, Unassigned, AcceptFailures uint64
	// WatcherPanics counts panics of a ConnWatcher, and of Events about connections.
	WatcherPanics uint64
	// Open connections now; Waiting ones stand in line for a place or for a
	// creation rate; Parked ones were over their address's rate and are held open
	// until they are closed.
	Open, Waiting, Parked int64
	// Waited connections found no place when they came (Conns.Max, WhenFull wait).
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
	// QueuedRequests and RequestBytes are in the request channel (QueuedPriority of
	// them in its priority lane), and received and not answered, now.
	QueuedRequests int
	QueuedPriority int
	RequestBytes   int64
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
	// Engines is the sum of what the processors' engines count.
	Engines engine.Counts
}

// leaving are the parts that were taken away.
type leaving struct {
	listeners  []*listener            // whose connections still drain
	processors []*processor.Processor // that still have connections
	gone       gone
}

// Stats reads the counts; any goroutine, at any time.
func (s *Server) Stats() Stats {
	s.mu.RLock()
	defer s.mu.RUnlock()
	total := s.leaving.gone.clone()
	st := Stats{
		Open:           s.admission.Open(),
		AcceptRate:     s.admission.AcceptRate(),
		QueuedRequests: s.channel.Len(),
		QueuedPriority: s.channel.PriorityLen(),
		RequestBytes:   s.channel.Bytes(),
		Responses:      s.responses.Stats(),
		MemoryMapped:   s.memory.Mapped(),
		MemoryRefused:  s.memory.Refused(),
		MemoryHeld:     s.held.Used(),
		MemoryLent:     s.memory.Lent(),
		WatcherPanics:  s.watcherPanics.Load(),
	}
	st.addListeners(s.admission)
	st.BusiestAddress, st.BusiestConns = s.admission.Busiest()
	for _, p := range slices.Concat(s.processors, s.leaving.processors) {
		st.Processors = append(st.Processors, total.addProcessor(p))
	}
	st.Total, st.Engines = total.processors, total.engines
	st.Requests, st.Deprecated = total.requests, total.deprecatedCounts()
	said, known := s.census.Counts(), 0
	for _, n := range said {
		known += n
	}
	st.Software = softwareCounts(said, int(st.Total.Open())-known)
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
func (st *Stats) ClosedBy() map[string]uint64 {
	by := map[string]uint64{}
	for r, n := range st.Total.Closed {
		if n > 0 {
			by[reqchan.CloseReason(r).String()] = n
		}
	}
	return by
}
