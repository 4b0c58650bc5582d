// Package heldfile gives tests a file system whose files are read when the test
// says so: a slow disk without a clock.
//
// Job: reads of one of its files are held until Release; those of the other are
// answered at once. Neither is ever in the page cache.
//
// Flow: Mount starts a process that serves the file system, tells it by a pipe to
// release, and hears by another how many reads it holds.
//
// Ownership: Mount ends the process and unmounts when the test ends. Files must
// be closed by then, which they are.
//
// Never: serve a file system from the process that reads it. The kernel may wait
// for an answer with that process's threads, without a limit, even while it ends.
//
// Kernel: fuse(4), and the right to mount (CAP_SYS_ADMIN); Linux only.
package heldfile
