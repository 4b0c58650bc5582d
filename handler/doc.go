// Package handler runs one handler function on a pool of goroutines.
//
// Job: take runs of requests from the request channel, call the handler for each
// request, bring the answers home, and survive what the handler does.
//
// Flow: a handler goroutine takes one run, which is one request or several of one
// connection (see reqchan), and handles them one after the other for about 50 µs at
// most. What it did not begin goes home with the answers. A guard looks once a
// millisecond for a goroutine that is still at the same request, and brings the
// answers before that request home.
//
// Ownership: a run belongs to its goroutine, but for answers that the guard took, which
// one word decides (claim.go). A request that Handle did not answer belongs to whoever
// will, and keeps what is behind it in its run.
//
// Never: lose a request, an answer or a place in the pool to a panic or to
// runtime.Goexit; spin; keep a goroutine awake that has nothing to do.
//
// Kernel: none. Sleeping and waking stay within the Go scheduler.
package handler
