package kring

import (
	"kring/engine"
	"kring/processor"
	"kring/reqchan"
	"kring/uring"
)

// Stats is a snapshot of what a Server has counted since its start.
type Stats struct {
	// Accepted connections, and those turned away: Refused found ConnsMax open,
	// Unassigned found every processor's intake full. AcceptFailures ended
	// accepting for a pause.
	Accepted, Refused, Unassigned, AcceptFailures uint64
	// WatcherPanics counts panics of a ConnWatcher, and of Events about connections.
	WatcherPanics uint64
	// Open connections now.
	Open int64
	// QueuedRequests and RequestBytes are in the request channel, and received
	// and not answered, now.
	QueuedRequests int
	RequestBytes   int64
	// MemoryMapped is the off-heap memory taken from the system, in bytes.
	MemoryMapped int64
	// Total is the sum over Processors.
	Total      processor.Stats
	Processors []processor.Stats
	// Engines is the sum of what the processors' engines count.
	Engines engine.Counts
}

// Stats reads the counts; any goroutine, at any time.
func (s *Server) Stats() Stats {
	st := Stats{
		Open:           s.admission.Open(),
		QueuedRequests: s.channel.Len(),
		RequestBytes:   s.channel.Bytes(),
		MemoryMapped:   s.memory.Mapped(),
		WatcherPanics:  s.watcherPanics.Load(),
	}
	for _, l := range s.listeners {
		c := l.acceptor.Counters()
		st.Accepted += c.Accepted.Load()
		st.Refused += c.Refused.Load()
		st.Unassigned += c.Unassigned.Load()
		st.AcceptFailures += c.Failures.Load()
	}
	for _, p := range s.processors {
		ps := p.Stats()
		st.Processors = append(st.Processors, ps)
		st.Total.Add(&ps)
		if ps.Engine != nil {
			st.Engines.Add(ps.Engine.Snapshot())
		}
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
