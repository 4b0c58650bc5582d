// Package floors holds the C sources of the servers that mark the floor.
//
// Job: give the comparison its lower bound: what the kernel's interface costs
// with no runtime and no generality in the way.
//
// Flow: package contestant writes a source to a file and compiles it.
//
// Ownership: the sources are constant; nothing here runs.
//
// Never: be linked into kring, or used as anything but a measure.
//
// Kernel: epoll.c needs any Linux, uring.c 6.1 and its headers, no library.
package floors

import "embed"

// Sources are the C files.
//
//go:embed *.c
var Sources embed.FS
