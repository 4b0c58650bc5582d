// Package epoll is the engine for Linux without io_uring: completions earned
// from readiness.
//
// Job: keep the contract of package engine with epoll(7) and non-blocking
// calls. About three system calls serve a request: one receive, one send, and a
// share of an epoll_wait.
//
// Flow: an operation marks its descriptor and puts it on the ready list. Poll
// works the list off, one bounded pass per descriptor, and looks for new events
// when there is nothing left to do or the last look is two Polls old. An event
// sets flags in user space; the flags fall when a call says that there is
// nothing more.
//
// Ownership: one goroutine owns an Engine with its descriptors' state and its
// buffers. The table of descriptor uses is shared by the engines of a Network,
// so that none mistakes a reused number for the connection it knew.
//
// Never: change a registration (each descriptor is added once, edge-triggered,
// for everything); trust a short read once the peer's end, an error or urgent
// data was announced; enter the kernel outside Poll and Wake; use Go's net.
//
// Kernel: epoll_pwait2(2) since 5.11, for waits finer than a millisecond;
// without it waits are rounded up. eventfd(2), accept4(2), MSG_DONTWAIT.
package epoll
