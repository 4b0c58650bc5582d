// Package uring is io_uring in Go: the ring, and the completion engine on it.
//
// Job: layer 1 is the kernel's interface as it is (Ring, SQE, CQE, BufRing,
// Prep…, Register…) with nothing between it and the mapped memory. Layer 2 is
// an engine.Network whose engines keep the completion contract with it.
//
// Flow: an engine takes an SQE for each operation; Poll publishes recycled
// buffers and SQEs with one io_uring_enter(2), and turns the CQEs that came
// back into completions. How it sleeps in between is one small file, wait.go.
//
// Ownership: a Ring and its engine belong to one goroutine, and with
// WaitLocked to one thread. Memory that the kernel may read or write later
// (queues, buffers, iovecs, the wake word, the time limit of a wait) is mapped
// and never on the Go heap. Only Wake and Counters may be called by others.
//
// Never: allocate for an operation or in Poll; block outside Poll; decide by a
// kernel's version what it can do (New tries it); unmap memory while an
// operation that knows its address is outstanding.
//
// Kernel: 5.19 for multishot accept and provided-buffer rings; 6.0 adds
// multishot receive and single issuer, 6.1 deferred task work, 6.6 the queue
// without an index array. Everything else is optional and found by doing.
package uring
