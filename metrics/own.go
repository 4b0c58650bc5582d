package metrics

import (
	"runtime"
	"strconv"

	"kring"
	"kring/acceptor"
	"kring/reqchan"
)

// own sends what Kafka has no name for.
func (s *scrape) own() {
	s.build()
	s.connections()
	s.handshakes()
	s.limits()
	s.work()
	s.ring()
	s.handlers()
	s.clients()
	s.ownQuotas()
	s.telemetry()
	for _, r := range s.c.requests(s.now) {
		s.stages(r)
	}
}

func (s *scrape) build() {
	s.gauge("kring_build_info", "1; the labels say what runs, and why this engine.", 1,
		label{"version", s.c.options.Version}, label{"goversion", runtime.Version()},
		label{"engine", string(s.c.source.Engine())}, label{"why", s.c.source.Why()})
	s.gauge("kring_processors", "Event loops, those that still drain included.", float64(len(s.now.Processors)))
}

func (s *scrape) connections() {
	st := &s.now
	for _, l := range st.Listeners {
		of := label{"listener", l.Name}
		s.counter("kring_connections_accepted_total", "Connections that were accepted.", l.Accepted, of)
		s.gauge("kring_connections_open", "Open connections.", float64(l.Open), of)
		s.gauge("kring_connections_waiting", "Connections that wait for a slot or a creation rate.", float64(l.WaitingNow), of)
		s.gauge("kring_connections_parked", "Connections over their address's rate that are held open until they are closed.", float64(l.ThrottledNow), of)
		s.counter("kring_connections_waited_total", "Connections that found no free slot when they came.", l.Waited, of)
		s.counter("kring_accept_failures_total", "Errors that stopped accepting for a while.", l.Failures, of)
		for r := range acceptor.RefusalCount {
			s.counter("kring_connections_refused_total", "Connections that were closed unserved.", l.Refused[r], of, label{"reason", r.String()})
		}
	}
	for r, n := range st.Total.Closed {
		s.counter("kring_connections_closed_total", "Connections that ended, by why.", n, label{"reason", reqchan.CloseReason(r).String()})
	}
	s.gauge("kring_connections_busiest_address", "Connections of the address that has most.", float64(st.BusiestConns))
}

// limits sends how near the bounds are over all connections.
func (s *scrape) limits() {
	st, plan := &s.now, &s.plan
	of := func(name, help string, used, most int64) {
		s.gauge("kring_"+name, help+" now.", float64(used))
		s.gauge("kring_"+name+"_max", help+" at most.", float64(most))
	}
	of("connections", "Open connections", st.Open, int64(plan.ConnsMax))
	of("request_memory_bytes", "Bytes of requests that are not answered", st.RequestBytes, plan.Requests)
	of("held_memory_bytes", "Bytes that were received and are no requests yet", st.MemoryHeld, plan.Held)
	of("response_memory_bytes", "Bytes of responses that are not sent", st.Responses.Used, st.Responses.Max)
	s.gauge("kring_response_memory_waiting", "Requests and files that wait for response memory.", float64(st.Responses.Waiting))
	s.counter("kring_response_memory_waited_total", "Requests and files that ever waited for response memory.", st.Responses.Waited)
	s.gauge("kring_memory_mapped_bytes", "Memory outside the Go heap that was taken from the system.", float64(st.MemoryMapped))
	s.gauge("kring_memory_pieces_lent", "Pieces of that memory that are in use.", float64(st.MemoryLent))
	s.counter("kring_memory_refused_total", "How often the system refused such memory.", st.MemoryRefused)
	s.gauge("kring_memory_plan_bytes", "What the process uses at most by its plan.", float64(plan.Total()))
	s.gauge("kring_queued_requests", "Requests in the request channel.", float64(st.QueuedRequests-st.QueuedPriority), label{"lane", "ordinary"})
	s.gauge("kring_queued_requests", "Requests in the request channel.", float64(st.QueuedPriority), label{"lane", "priority"})
	s.gauge("kring_queued_requests_max", "Requests that the request channel takes.", float64(st.QueuedRequestsMax), label{"lane", "ordinary"})
	s.gauge("kring_queued_requests_max", "Requests that the request channel takes.", float64(st.QueuedPriorityMax), label{"lane", "priority"})
}

// work sends what the processors have done.
func (s *scrape) work() {
	t := &s.now.Total
	s.counters("kring_", []count{
		{"requests", "Requests that were cut.", t.Requests},
		{"responses", "Responses that were queued on their connection.", t.Responses},
		{"answers_late", "Answers that found their connection gone.", t.Late},
		{"answers_extra", "Answers to requests that had been answered; they were dropped.", t.ExtraAnswers},
		{"requests_dropped", "Requests that were in flight when the server cut their connection.", t.Dropped},
		{"requests_prioritized", "Requests of the priority lane.", t.Prioritized},
		{"requests_held", "Requests that found the request channel full.", t.Held},
		{"sends", "Gathered sends; responses over sends is the batching.", t.Sends},
		{"polls", "Passes of the event loops.", t.Polls},
		{"file_reads", "Pieces of files that were read for responses.", t.FileReads},
		{"receives_muted", "Receives that were cancelled because too much waited.", t.Mutes},
		{"memory_waits", "Connections that waited for memory or for a receive buffer.", t.Waits},
		{"held_memory_scarce", "How often the memory for received bytes became scarce.", t.HeldScarce},
		{"throttles", "Connections that were muted by a quota, or as slow readers.", t.Throttles},
		{"slow_readers", "How often a connection left more unread than it may.", t.SlowReaders},
		{"connections_moved", "Open connections that went to another processor.", t.MovedOut},
		{"bytes_received", "Bytes received.", t.BytesIn},
		{"bytes_received_direct", "Of these, received straight into the memory of their frame.", t.BytesDirect},
		{"bytes_received_copied", "Of these, copied in user space on their way to the handler.", t.BytesInCopied},
		{"bytes_sent", "Bytes sent.", t.BytesOut},
		{"bytes_sent_copied", "Of these, copied in user space on their way to the socket.", t.BytesOutCopied},
		{"upstreams", "Connections that this server began to make to others.", t.Upstreams},
		{"upstreams_closed", "Of these, that ended, or never came to be.", t.UpstreamsClosed},
		{"upstream_bytes_received", "Bytes received by these.", t.UpstreamBytesIn},
		{"upstream_bytes_sent", "Bytes sent by these.", t.UpstreamBytesOut},
		{"memory_lost_bytes", "Memory that is not used again because the kernel had not let go of it.", t.BytesLost},
		{"watcher_panics", "Panics of functions that watch connections.", s.now.WatcherPanics},
	})
}

// ring sends what the engines count. Those that are not io_uring count what they have.
func (s *scrape) ring() {
	e, b := s.now.Engines, s.since.stats.Engines
	s.counters("kring_engine_", []count{
		{"enters", "System calls that submit and wait.", e.Enters},
		{"sqes", "Submission entries, or operations begun.", e.Submitted},
		{"cqes", "Completion entries, or operations ended.", e.Completed},
		{"wakes", "Wakes of an event loop by others.", e.Wakes},
		{"wakes_suppressed", "Wakes that were not needed.", e.WakesSuppressed},
		{"rearmed", "Multishot operations that ended and were armed again.", e.Rearmed},
		{"buffers_exhausted", "Receives that ended for want of a buffer (ENOBUFS).", e.Exhausted},
		{"buffers_starved", "Receives that waited because there was no buffer.", e.Starved},
		{"cq_overflows", "Completions that found the queue full.", e.Overflows},
		{"short_sends", "Sends of which the kernel took a part.", e.ShortSends},
		{"zero_copy_sends", "Sends without a copy.", e.ZeroCopySends},
		{"zero_copy_copied", "Of these, sends that the kernel copied after all.", e.ZeroCopyCopied},
	})
	per := func(now, before, enters, entersBefore uint64) float64 {
		if enters <= entersBefore {
			return 0
		}
		return float64(now-min(now, before)) / float64(enters-entersBefore)
	}
	s.gauge("kring_engine_sqes_per_enter", "Submission entries of one system call, over a minute.", per(e.Submitted, b.Submitted, e.Enters, b.Enters))
	s.gauge("kring_engine_cqes_per_enter", "Completion entries of one system call, over a minute.", per(e.Completed, b.Completed, e.Enters, b.Enters))
	s.gauge("kring_engine_buffers_lent", "Receive buffers that hold bytes.", float64(e.BuffersLent))
	s.gauge("kring_engine_buffers_ready", "Receive buffers that the kernel may fill.", float64(e.BuffersReady))
}

func (s *scrape) handlers() {
	h := s.now.Handlers
	s.gauge("kring_handlers", "Goroutines of the handler pool.", float64(h.Handlers))
	s.gauge("kring_handlers_busy", "Of these, those that are not asleep.", float64(h.Busy))
	s.counter("kring_handler_panics_total", "Panics of the handler.", h.Panics, label{"dispatch", "pool"})
	s.counter("kring_handler_panics_total", "Panics of the handler.", s.now.Total.Panics, label{"dispatch", "inline"})
	s.counter("kring_handler_runs_freed_total", "Runs of requests taken from a goroutine that was stuck before them.", h.Freed)
}

// The classic buckets of our histograms, for scrapers that take no native ones.
var (
	secondsBounds = []float64{0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30}
	bytesBounds   = []float64{128, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20, 64 << 20}
)

// stages sends the times of one API as histograms: native ones for who asks for them. APIs
// that nobody used have none, which would be a thousand series of zeros.
func (s *scrape) stages(r kring.RequestStats) {
	if r.Total.Count == 0 {
		return
	}
	api, key := label{"api", s.c.apiName(r.API)}, label{"api_key", strconv.Itoa(int(r.API))}
	for _, st := range stages {
		s.histogram("kring_request_stage_seconds", "How long requests spent in each stage.", st.of(&r), 1e-6, secondsBounds, api, key, label{"stage", st.own})
	}
	s.histogram("kring_request_size_bytes", "Sizes of requests.", r.Bytes, 1, bytesBounds, api, key)
}
