// Package embedded is a one-node Kafka cluster inside the process.
//
// Job: serve the requests of a kring server with franz-go's kfake: topics,
// consumer groups, transactions and, with a data directory, persistence. It
// needs no second TCP port: kfake listens in memory, and what it advertises is
// the address of our listener.
//
// Flow: Handle screens a frame (kafka.Door) and queues it on its connection's
// session; the session's goroutine, which lives only while there is something
// to do, writes the frame to kfake over a connection of its own, reads the
// response straight into the request's buffer and answers. Topics are created
// when a Metadata request asks for them, through the path that kfake persists.
//
// Open mends a data directory before kfake reads it, in one pass and bounded
// memory: it cuts out what is damaged and keeps a copy, names files that are
// missing, reads back the sequences of producers, and goes on with open
// transactions (see mender, txnLog).
//
// Ownership: a session belongs to one client connection and ends with it, so
// that a fetch or a join that waits in kfake ends too. A request belongs to its
// session from Handle to the answer. Close ends the sessions, then kfake.
//
// Never: block a handler or a processor on kfake; show kfake a frame that was
// not screened (an unknown key crashes it, a bogus size makes it allocate);
// answer out of order; acknowledge what was not written.
//
// Kernel: files only. Without SyncWrites an acknowledged record is in the page
// cache and survives a killed process; with it, it was fsynced (see Config).
package embedded
