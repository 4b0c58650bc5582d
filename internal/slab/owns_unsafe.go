package slab

import (
	"sync"
	"unsafe"

	"kring/internal/invariants"
)

// regions knows every mapped region while assertions are on.
var regions struct {
	mu   sync.RWMutex
	size map[uintptr]int // start to length, guarded by mu
}

// Owns says whether b lies in memory that a Pool mapped (or that Register
// named). Without assertions it says true.
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

// lies says whether b begins in whole.
func lies(b, whole []byte) bool {
	// Sound: the addresses are compared, never turned back into pointers.
	at, start := uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(unsafe.Pointer(unsafe.SliceData(whole)))
	return at >= start && at < start+uintptr(len(whole))
}

// position says whether whole lies before b (-1), b lies in it (0), or it lies
// behind b (1).
func position(whole, b []byte) int {
	// Sound: as in lies.
	at, start := uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(unsafe.Pointer(unsafe.SliceData(whole)))
	switch {
	case start > at:
		return 1
	case at >= start+uintptr(len(whole)):
		return -1
	}
	return 0
}

// Register names memory mapped elsewhere as fit for the kernel.
func Register(b []byte) { register(b) }

// Unregister takes Register back, before the memory is unmapped.
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
