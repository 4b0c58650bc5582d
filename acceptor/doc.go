// Package acceptor lets connections in.
//
// Job: what Kafka's Acceptor does: accept on one listening socket, admit or
// refuse, and assign each connection to a processor, round-robin.
//
// Flow: one standing Accept gives descriptors; each is admitted (Admission),
// offered to the processors in turn, and discarded if none takes it. When
// accepting ends with an error (out of descriptors), it starts again after a
// pause that grows while the error lasts.
//
// Ownership: the goroutine in Run owns the engine and the listening socket. A
// descriptor belongs to the acceptor until an Assigner took it.
//
// Never: block on a processor; spin on an error; keep a descriptor that nobody
// took.
//
// Kernel: none of its own; see engine.
package acceptor
