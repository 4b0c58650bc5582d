//go:build linux

package uring

import "encoding/binary"

// pollMask puts a 32-bit mask of poll events the way the kernel reads it: on
// big-endian machines with its halves exchanged, because the field began as 16
// bits.
func pollMask(mask uint32) uint32 {
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		return mask<<16 | mask>>16
	}
	return mask
}

// tailWord is the 32-bit word of a buffer ring's entry 0 that holds both its
// buffer id (first in memory) and the ring's tail (after it).
func tailWord(bid, tail uint16) uint32 {
	var b [4]byte
	binary.NativeEndian.PutUint16(b[0:], bid)
	binary.NativeEndian.PutUint16(b[2:], tail)
	return binary.NativeEndian.Uint32(b[:])
}
