// Package conn is a connection: a state machine without I/O.
//
// Job: bytes become frames, frames become requests, answers become what is sent, in
// order and within all limits; a connection's life from its first byte to its close. It is
// told what completed, what time it is and what settings it has, and says what it wants
// done.
//
// Flow: in by Received, Filled, Sent, FileRead, Returned, ApplySettings, AlarmRang, Expire,
// Retry; out by the calls of Loop, and requests by Loop.Enqueue or Config.Handle. Its steps
// are the files: receive (bytes to frames) · admit (may a request start?) · start (frames to
// requests) · answer, batch, order (answers to output) · output, send, file · close.
//
// Ownership: a Conn and its Shared belong to one goroutine, that of the processor. Shared is
// what all connections of a processor have together: the clock, memory and its bounds, the
// counts.
//
// Never: call an engine, sleep, read a clock (but to time a handler that runs here), start
// a goroutine; answer a connection with another's response.
//
// Kernel: none. Memory that Loop.ReceiveInto, Send and ReadFile are given is the pool's, and
// stays as it is until the completion.
package conn
