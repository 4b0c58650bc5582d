// Package contestant starts the servers that are compared, and measures them
// from outside.
//
// Job: build what needs building, start one server as a process of its own on
// its own processor, read its counters, end it; and be those of the servers
// that are written in this module (see Serve).
//
// Flow: All lists the contestants; Prepare builds one or says what it lacks;
// Start gives a Process with an address; Sample reads its counters at both ends
// of a measured window.
//
// Ownership: a Process belongs to whoever started it. A server ends when its
// standard input does, so none outlives the comparison.
//
// Never: serve one contestant other frames or socket options than the next;
// leave a process behind; take a figure from the server's own clock.
//
// Kernel: pinning, exact processor times and context switches are Linux's;
// system calls are counted by perf where it may.
package contestant
