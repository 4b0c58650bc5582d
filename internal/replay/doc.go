// Package replay plays a recording (package record) against a server of Kafka's protocol.
//
// Job: send what was recorded at the times that it came, on a connection for each that there was,
// with records of the same sizes, and measure how long each answer takes from when its request
// was due.
//
// Flow: Scan looks through a file; Run scans it, asks the target for its versions and topics, and
// reads the file again: each request goes into the queue of its connection, whose sender rewrites
// it for the target (rewrite) and sends it when it is due, and whose receiver notes the answer.
//
// Ownership: the goroutine of Run reads the file. A connection has a sender and a receiver. What
// is counted is behind one lock.
//
// Never: wait for an answer before the next request is sent, but at full speed; wait for ever;
// send what changes the target beyond records and --create-topics; pretend that state of the
// recording (groups, transactions, fetch sessions) is there.
//
// Kernel: none.
package replay
