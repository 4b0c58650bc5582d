// Package portable is the engine for every system that Go's net runs on.
//
// Job: keep the contract of package engine with blocking calls on goroutines.
// It is for developing and for small deployments where neither io_uring nor
// epoll is to be had; it runs on Linux too, so that it is tested like them.
//
// Flow: submitting puts an operation on a list; Poll starts a goroutine for
// each. The goroutine reads, writes or accepts, and puts completions into the
// engine's queue, which Poll empties. What ends an operation early sets a
// deadline in the past, and the end of the operation takes it back.
//
// Ownership: descriptors are indices into the Network's table; goroutines hold
// the socket itself, so a slot that is used again can't confuse them. A
// connection has a receive buffer when bytes have come: it belongs to the goroutine
// of its receive until it is lent.
//
// Never: read further ahead than one receive that waits to be polled and one
// that is in the making, per connection; drop a byte that was read when an
// operation ends first (the next receive has it); leave a goroutine behind.
//
// Kernel: whatever Go's net does. The goroutines enter it, not Poll, so kernel
// time can't be compared with the other engines'.
package portable
