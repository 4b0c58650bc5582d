// Package handler runs one handler function on a pool of goroutines.
//
// Job: take requests from the request channel in batches, call the handler for
// each, bring the answers home in batches, and survive what the handler does.
//
// Flow: a handler goroutine takes as many runs (see reqchan: one request, or several of
// one connection) as are worth about 50 µs, going by how long requests took lately,
// begins them one by one, and returns the answers together. The requests of a run are
// handled one after the other, as long as nothing speaks against it; what is left goes
// home behind the last answer. A watchdog looks once a millisecond for a goroutine that is
// still at the same request; it sends the answers before that request home and gives the
// runs behind it to others.
//
// Ownership: a batch belongs to its goroutine, except for what the watchdog took
// away from it, which one word decides (batch_cursor.go). A request that Handle did
// not answer belongs to whoever will, and keeps what is behind it in its run.
//
// Never: lose a request, an answer or a place in the pool to a panic or to
// runtime.Goexit; spin; keep a goroutine awake that has nothing to do.
//
// Kernel: none. Sleeping and waking stay within the Go scheduler.
package handler
