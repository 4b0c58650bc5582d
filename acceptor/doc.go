// Package acceptor lets connections in.
//
// Job: what Kafka's Acceptor and ConnectionQuotas do: accept on one listening
// socket, admit, park or refuse, and assign each connection to a processor.
//
// Flow: one standing Accept gives descriptors. The goroutine that accepts gives
// them to its Line: over its address's count a connection is closed, over its
// address's rate parked and closed later, without a place for it, or over a
// creation rate, it waits in line, and accepting stops until the line is empty.
// Who may enter gets a place and goes to an Assigner. When accepting ends with
// an error, it starts again after a pause that grows while the error lasts;
// without descriptors, the reserve's serves to close one client after the other.
//
// Ownership: the goroutine in Run owns the engine, the listening socket and the
// Line. A descriptor belongs to it until an Assigner took it. Admission and
// Gate, which all listeners share, are counts that any goroutine may use.
//
// Never: block, for a processor or for a place; spin on an error; keep a
// descriptor that nobody took; give a place back twice; lock anything that all
// connections pass.
//
// Kernel: RLIMIT_NOFILE (getrlimit(2)) bounds the connections by default; see
// engine for the rest.
package acceptor
