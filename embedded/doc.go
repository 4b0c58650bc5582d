// Package embedded is a one-node Kafka cluster inside the process.
//
// Job: serve the requests of a kring server with franz-go's kfake: topics,
// consumer groups, transactions and, with a data directory, persistence. It
// needs no second TCP port: kfake listens in memory, and what it advertises is
// the address of our listener.
//
// Flow: Handle validates a frame (kafka.Filter) and queues it on its connection's
// session (session.go). The session's goroutine, which lives only while there is
// something to do, serves one request after the other (exchange): it asks store
// whether what the request writes can be kept, makes the repairs of its API, writes
// it to kfake over a connection of its own, has the repairs see the response, asks
// store whether everything was kept, and answers. Without repairs the response is
// read straight into the request's buffer. ApiVersions alone is answered at once.
//
// Repairs: whatever kfake does otherwise than Apache Kafka is in one list
// (repairs.go), with the function that puts it right; repair.go runs them.
//
// Disk: kfake writes, and does not look whether it could. store knows, by kfake's
// log (log.go) and by fsync (syncs.go). After a failed write nothing is acknowledged
// until the directory was repaired and loaded again (reopen.go). What kfake keeps in
// memory alone is written beside its files: open transactions (txnlog.go), where
// logs start (starts.go), share groups (share_kept.go).
//
// Start: Open repairs the directory before kfake reads it (recover.go). Each segment is
// read once, through a bounded buffer; kfake's logs and the segments' indexes are
// held whole, as kfake does. What is damaged is cut out and a copy kept, files that
// are missing are named, the sequences of producers are read back. Then kfake loads
// (Cluster.load), a bounded number of partitions at a time (loadgate.go), and is told
// of open transactions (txnresume.go).
//
// Locks, in the order in which they are taken: Cluster.restoring, Cluster.live, then
// any other. live is held for reading while kfake is asked through its Go interface,
// never while a session waits for an answer.
//
// Ownership: a session belongs to one client connection and ends with it, so
// that a fetch or a join that waits in kfake ends too. A request belongs to its
// session from Handle to the answer. Close ends the sessions, then kfake.
//
// Never: block a handler or a processor on kfake; show kfake a frame that was
// not validated (an unknown key crashes it, a wrong size makes it allocate);
// answer out of order; acknowledge what was not written.
//
// Kernel: files only. Without SyncWrites an acknowledged record is in the page
// cache and survives a killed process; with it, it was fsynced (see Config).
package embedded
