// Package floors holds the C sources of the servers that mark the floor.
//
// Job: give the comparison its lower bound: what the kernel's interface costs
// with no runtime and no generality in the way.
//
// Flow: package contestant writes the sources to a folder and compiles one. floor.h is what all
// have in common, readiness.h what those on epoll have.
//
// Ownership: the sources are constant; nothing here runs.
//
// Never: be linked into kring, or used as anything but a measure.
//
// Kernel: epoll.c and tls.c need any Linux, uring.c 6.1 and its headers. tls.c is linked with
// OpenSSL 3, the others with no library.
package floors

import "embed"

// Sources are the C files, and their headers.
//
//go:embed *.c *.h
var Sources embed.FS
