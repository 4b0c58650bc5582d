// Package processor is the event loop that owns a share of the connections.
//
// Job: what Kafka's Processor does: receive, cut frames, hand requests to the
// request channel (or to the handler itself), bring responses back in order,
// send them, close connections, and measure. It never blocks on anything but
// its engine's Poll.
//
// Flow: Run is the loop, and its steps are the files: adopt (a socket gets a
// slot) · receive (bytes to frames) · dispatch (frames to requests) · respond
// (answers to ordered output) · send · close · expire.
//
// Ownership: the goroutine in Run owns the engine, the connections and every
// buffer of both. Other goroutines reach it through queues with one doorbell:
// Intake, the response queue, the request channel's promise of room, Drain.
//
// Never: wait for a handler or for room in the request channel; read ahead
// without a bound; give the kernel memory of the Go heap; answer a connection
// with another's response (tokens carry a generation).
//
// Kernel: none of its own; see engine.
package processor
