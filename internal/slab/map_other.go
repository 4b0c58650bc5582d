//go:build !unix

package slab

// Map returns n bytes of fresh zeroed memory.
func Map(n int) ([]byte, error) { return make([]byte, n), nil }

// Unmap gives back what Map returned, whole.
func Unmap([]byte) error { return nil }

// discard would drop the pages of b; false: this system can't.
func discard([]byte) bool { return false }
