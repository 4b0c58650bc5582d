// Package telemetry is the broker's side of client telemetry (KIP-714): which metrics clients
// are asked for, and what they pushed.
//
// Job: answer GetTelemetrySubscriptions and PushTelemetry as Apache Kafka does, and keep the
// last values of each client, and their aggregate over all.
//
// Flow: State.Subscribe gives a client its instance id and what it is to push; State.Push
// judges a push, inflates and reads it, and keeps the values; Of and Totals show them.
// kafka.Filter calls the first two.
//
// Ownership: any goroutine may use a State. Payloads are read during Push and not kept.
//
// Never: allocate by a number that a client wrote; keep more than Config bounds, over all
// clients; do I/O; read a clock of its own (callers say what time it is).
//
// Kernel: none.
package telemetry
