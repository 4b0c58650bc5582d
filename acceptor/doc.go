// Package acceptor lets connections in.
//
// Job: what Kafka's Acceptor and ConnectionQuotas do: accept on one listening
// socket, admit, throttle or refuse, and assign each connection to a processor.
//
// Flow: one standing Accept returns descriptors. The accepting goroutine gives them
// to its AcceptQueue. A connection over its IP's connection limit is closed. Over
// its IP's rate limit it is throttled: held open, not served, and closed later. If the
// server or the listener is full, or over a creation rate, it is queued, and nothing
// more is accepted until the queue is empty. An admitted connection gets a slot and
// goes to an Assigner. If accepting ends with an error, it starts again after a
// pause that grows while the error lasts. If descriptors run out, the reserve's is
// used to accept and close one client after the other.
//
// Ownership: the goroutine in Run owns the engine, the listening socket and the
// AcceptQueue. A descriptor belongs to it until an Assigner took it. Admission and
// ListenerQuota (one listener's part of it) are counts that any goroutine may use.
//
// Never: block, for a processor or for a slot; spin on an error; keep a descriptor
// that nobody took; give a slot back twice; take a lock that all connections take.
//
// Kernel: RLIMIT_NOFILE (getrlimit(2)) bounds the connections by default; see
// engine for the rest.
package acceptor
