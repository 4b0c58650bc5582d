// Package processor is the event loop that owns a share of the connections.
//
// Job: what Kafka's Processor does. The loop moves things: completions to connections,
// what connections want to the engine, requests to the handlers, answers home, and time.
// What a connection does with them is internal/conn's. It never blocks on anything but
// its engine's Poll.
//
// Flow: serve is the loop. Its files: inbox (all that comes from other goroutines) · slots
// (connections by their tokens, and the lists of those that something is to be done with) ·
// loop (what connections want done) · outgoing, yield, limiter (requests to handlers) ·
// expire, alarm, hurry (time) · move · phase (its own end).
//
// Ownership: the goroutine in Run owns the engine, the connections and every
// buffer of both. Other goroutines reach it through its inbox, with one handshake.
//
// Never: wait for a handler or for room in the request channel; read ahead
// without a bound; give the kernel memory of the Go heap; answer a connection
// with another's response (tokens carry a generation).
//
// Kernel: none of its own; see engine.
package processor
