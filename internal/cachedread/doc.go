// Package cachedread reads what of a file is in memory, and waits for no disk.
//
// Job: one call, At.
//
// Flow: a processor whose engine reads no files itself asks here first, and has a goroutine wait
// for the disk only when this says no.
//
// Ownership: the caller's; the file is not closed meanwhile.
//
// Never: wait for a disk.
//
// Kernel: preadv2(2) with RWF_NOWAIT, Linux 4.14; a file system that can't tell (tmpfs, FUSE, /proc)
// answers EOPNOTSUPP. Other systems always say no.
package cachedread
