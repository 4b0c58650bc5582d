// Package slab is the memory that the kernel may be told about.
//
// Job: hand out byte slices that do not live on the Go heap, so that an
// asynchronous system call may keep their address while the garbage collector
// and the stacks do as they like.
//
// Flow: Pool.Get, use, Pool.Put, in size classes. Arena packs
// many small pieces into one chunk and gives the chunk back when the last piece
// was released.
//
// Ownership: a Pool may be used by any goroutine; an Arena belongs to one. A
// slice belongs to whoever got it until Put, exactly once.
//
// Never: grow without a count (Mapped); keep more for reuse than Keep says; return memory to the system while
// somebody holds it.
//
// Kernel: mmap(2), anonymous and private; on systems without it, the Go heap
// (no engine there gives the kernel an address to keep).
package slab
