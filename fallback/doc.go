// Package fallback has what its folders bound their receive buffers by: those are
// the engines for systems where io_uring is missing or not allowed.
//
// Job: epoll serves Linux without io_uring, portable serves every other system
// on Go's own net. Both keep the contract of package engine.
//
// Flow: readiness in, completions out. The layers above can't tell which engine
// they run on, except by its name and its speed.
//
// Ownership: as the contract says; an engine belongs to the goroutine that
// opened it.
//
// Never: mean something else than io_uring by a completion; know each other;
// be chosen silently (the root says which engine it took, and why).
//
// Kernel: epoll(7), and whatever Go's runtime polls with.
package fallback
