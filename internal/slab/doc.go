// Package slab is memory whose address the kernel may keep.
//
// Job: hand out byte slices that are not on the Go heap, so that an asynchronous
// system call may keep their address, whatever the garbage collector and the stacks
// do.
//
// Flow: Pool.Get, use, Pool.Put, in size classes. Arena packs many small pieces into
// one chunk and gives the chunk back when the last piece was released.
//
// Ownership: a Pool may be used by any goroutine; an Arena belongs to one. A
// slice belongs to whoever got it, until Put, which is called exactly once.
//
// Never: grow uncounted (Mapped); keep more for reuse than SetKeptMax allows; return memory
// to the system while it is lent.
//
// Kernel: mmap(2), anonymous and private; on systems without it, the Go heap
// (no engine there gives the kernel an address to keep).
package slab
