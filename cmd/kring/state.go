package main

import (
	"log/slog"
	"net/netip"
	"os"
	"runtime"
	"runtime/debug"

	"kring"
)

// nextStop waits for a signal to stop, or for over. Meanwhile it answers signals that
// ask for the state.
func nextStop(p process, log *slog.Logger, server *kring.Server, over <-chan error) (os.Signal, error) {
	for {
		select {
		case s := <-p.signals:
			return s, nil
		case <-p.asks:
			logState(log, server.Stats())
		case err := <-over:
			return nil, err
		}
	}
}

// logState logs what the server holds now, after a garbage collection that gives memory
// back to the system.
func logState(log *slog.Logger, st kring.Stats) {
	debug.FreeOSMemory()
	log.Info("state",
		"open", st.Open, "accepted", st.Accepted, "requests", st.Total.Requests, "responses", st.Total.Responses,
		"queued_requests", st.QueuedRequests, "request_bytes", st.RequestBytes, "mapped_bytes", st.MemoryMapped, "pieces_lent", st.MemoryLent,
		"response_bytes", st.Responses.Used, "responses_waiting", st.Responses.Waiting, "responses_waited", st.Responses.Waited,
		"buffers_lent", st.Engines.BuffersLent, "lent_bytes", st.Engines.LentBytes, "buffers_ready", st.Engines.BuffersReady,
		"goroutines", runtime.NumGoroutine(), "kernel_threads", kring.KernelThreads(),
		"waiting", st.Waiting, "waited", st.Waited, "parked", st.ThrottledConns,
		"refused", st.Refused+st.Unassigned, slog.Any("refused_by", counts(st.RefusedBy())),
		"busiest_address", addressOf(st.BusiestAddress), "its_connections", st.BusiestConns,
		slog.Any("closed", counts(st.ClosedBy())))
}

// addressOf formats an address for a log line; a Unix domain socket's client has none.
func addressOf(ip netip.Addr) string {
	if !ip.IsValid() {
		return "none"
	}
	return ip.String()
}
