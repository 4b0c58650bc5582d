// Package fallback has the bounds on receive buffers that its folders share. These are
// the engines for systems without io_uring, or where it is forbidden.
//
// Job: epoll serves Linux without io_uring, portable serves every other system
// on Go's own net. Both keep the contract of package engine.
//
// Flow: readiness in, completions out. The layers above can't see which engine they
// run on, except by its name and its speed.
//
// Ownership: as the contract says; an engine belongs to the goroutine that
// opened it.
//
// Never: give a completion another meaning than io_uring does; know each other;
// be chosen silently (the root says which engine it took, and why).
//
// Kernel: epoll(7), and whatever Go's runtime polls with.
package fallback
