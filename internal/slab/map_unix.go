//go:build unix

package slab

import "golang.org/x/sys/unix"

// Map returns n bytes of fresh zeroed memory outside the Go heap.
func Map(n int) ([]byte, error) {
	return unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
}

// Unmap gives back what Map returned, whole.
func Unmap(b []byte) error { return unix.Munmap(b) }

// discard drops the pages of b, whose content is then undefined; false: it kept them.
func discard(b []byte) bool { return unix.Madvise(b, unix.MADV_DONTNEED) == nil }
