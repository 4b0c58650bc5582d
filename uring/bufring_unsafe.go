//go:build linux

package uring

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// BufRingEntriesMax is the kernel's limit of a buffer ring.
const BufRingEntriesMax = 1 << 15

// BufRing is a ring of buffers that the kernel takes from, first in first out,
// when an operation with SQEBufferSelect has data to put somewhere.
//
// Owner: one goroutine. The kernel only reads it, up to the published tail.
type BufRing struct {
	entries []bufEntry
	mask    uint16
	tail    uint16 // free-running: 16 bits tell 32768 entries from none
	first   uint16 // the buffer id of entry 0, whose word also holds the tail
	// word: Order: Publish stores it after the entries were filled; the kernel
	// loads its tail half with acquire before it reads an entry.
	word   *atomic.Uint32
	memory []byte
}

// MapBufRing maps an empty ring of entries, a power of two up to
// BufRingEntriesMax.
func MapBufRing(entries int) (*BufRing, error) {
	if entries < 1 || entries > BufRingEntriesMax || entries&(entries-1) != 0 {
		return nil, fmt.Errorf("uring: a buffer ring of %d entries: give a power of two up to %d", entries, BufRingEntriesMax)
	}
	n := entries * int(unsafe.Sizeof(bufEntry{}))
	memory, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, mapError("buffer ring", n, err)
	}
	// Sound: page-aligned mapped memory of n bytes that stays until Unmap.
	b := &BufRing{memory: memory, mask: uint16(entries - 1),
		entries: unsafe.Slice((*bufEntry)(unsafe.Pointer(&memory[0])), entries)}
	b.word = (*atomic.Uint32)(unsafe.Pointer(&b.entries[0].Bid))
	return b, nil
}

// Add puts buf in the ring under the id bid; the kernel sees it after Publish.
// buf is mapped memory. Adding more than there are entries overwrites buffers
// that the kernel still has: the caller counts.
func (b *BufRing) Add(buf []byte, bid uint16) {
	at := b.tail & b.mask
	e := &b.entries[at]
	// Sound: the address is only told to the kernel; the caller keeps buf mapped.
	e.Addr = uint64(uintptr(unsafe.Pointer(unsafe.SliceData(buf))))
	e.Len = uint32(len(buf))
	if at == 0 {
		b.first = bid // written by Publish: its word is also the tail
	} else {
		e.Bid = bid
	}
	b.tail++
}

// bufferAt is the id of the buffer that was added when the tail was at.
func (b *BufRing) bufferAt(tail uint16) uint16 {
	if at := tail & b.mask; at != 0 {
		return b.entries[at].Bid
	}
	return b.first
}

// Publish shows the kernel everything added so far, with one store.
func (b *BufRing) Publish() { b.word.Store(tailWord(b.first, b.tail)) }

// Unmap frees the ring; the kernel must have been told by UnregisterBufRing,
// or the io_uring instance be gone.
func (b *BufRing) Unmap() error { return unix.Munmap(b.memory) }
