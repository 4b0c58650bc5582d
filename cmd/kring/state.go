package main

import (
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"

	"kring"
)

// nextStop waits for a signal that asks to stop, or for over and what it says;
// signals that ask for the state are answered meanwhile.
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

// logState says what the server holds now. After a garbage collection that gives
// memory back to the system, because what only waits for one is not held.
func logState(log *slog.Logger, st kring.Stats) {
	debug.FreeOSMemory()
	log.Info("state",
		"open", st.Open, "accepted", st.Accepted, "requests", st.Total.Requests, "responses", st.Total.Responses,
		"queued_requests", st.QueuedRequests, "request_bytes", st.RequestBytes, "mapped_bytes", st.MemoryMapped, "pieces_lent", st.MemoryLent,
		"buffers_lent", st.Engines.BuffersLent, "lent_bytes", st.Engines.LentBytes, "buffers_ready", st.Engines.BuffersReady,
		"goroutines", runtime.NumGoroutine(), "kernel_threads", kring.KernelThreads(),
		slog.Any("closed", counts(st.ClosedBy())))
}
