package slab

import (
	"sync"
	"unsafe"

	"kring/internal/invariants"
)

// regions has every mapped region while assertions are on.
var regions struct {
	mu   sync.RWMutex
	size map[uintptr]int // start to length, guarded by mu
}

// Owns reports whether b lies in memory that a Pool mapped (or that Register
// named). Without assertions it is always true.
func Owns(b []byte) bool {
	if cap(b) == 0 {
		return true
	}
	// Sound: the address is compared, never turned back into a pointer.
	return OwnsAddress(uintptr(unsafe.Pointer(unsafe.SliceData(b))), len(b))
}

// OwnsAddress is Owns for n bytes at an address.
func OwnsAddress(at uintptr, n int) bool {
	if !invariants.Enabled {
		return true
	}
	regions.mu.RLock()
	defer regions.mu.RUnlock()
	for start, size := range regions.size {
		if at >= start && at+uintptr(n) <= start+uintptr(size) {
			return true
		}
	}
	return false
}

// isWithin reports whether b begins in whole.
func isWithin(b, whole []byte) bool {
	// Sound: the addresses are compared, never turned back into pointers.
	at, start := uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(unsafe.Pointer(unsafe.SliceData(whole)))
	return at >= start && at < start+uintptr(len(whole))
}

// comparePosition returns -1 if whole lies before b, 0 if b lies in it, 1 if it lies
// behind b.
func comparePosition(whole, b []byte) int {
	// Sound: as in isWithin.
	at, start := uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(unsafe.Pointer(unsafe.SliceData(whole)))
	switch {
	case start > at:
		return 1
	case at >= start+uintptr(len(whole)):
		return -1
	}
	return 0
}

// Register adds memory mapped elsewhere to what Owns accepts.
func Register(b []byte) { register(b) }

// Unregister reverses Register, before the memory is unmapped.
func Unregister(b []byte) { unregister(b) }

func register(b []byte) {
	if !invariants.Enabled {
		return
	}
	regions.mu.Lock()
	defer regions.mu.Unlock()
	if regions.size == nil {
		regions.size = map[uintptr]int{}
	}
	regions.size[uintptr(unsafe.Pointer(unsafe.SliceData(b)))] = len(b)
}

// Regions counts what is registered now, mapped by a Pool or named by Register;
// 0 without assertions.
func Regions() int {
	regions.mu.RLock()
	defer regions.mu.RUnlock()
	return len(regions.size)
}

func unregister(b []byte) {
	if !invariants.Enabled {
		return
	}
	regions.mu.Lock()
	defer regions.mu.Unlock()
	delete(regions.size, uintptr(unsafe.Pointer(unsafe.SliceData(b))))
}
