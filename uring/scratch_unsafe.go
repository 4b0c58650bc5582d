//go:build linux

package uring

import (
	"net/netip"
	"structs"
	"unsafe"

	"golang.org/x/sys/unix"

	"kring/internal/slab"
	"kring/internal/sock"
)

// iovec and msghdr are the C structs with addresses as numbers: they lie in
// mapped memory, where the garbage collector must find no pointers.
type iovec struct {
	_    structs.HostLayout
	Base uintptr
	Len  uintptr
}

type msghdr struct {
	_          structs.HostLayout
	Name       uintptr
	NameLen    uint32
	Iov        uintptr
	IovLen     uintptr
	Control    uintptr
	ControlLen uintptr
	Flags      int32
}

// scratch is what the kernel reads and writes of the engine itself: the msghdr
// and iovecs of vectored sends, the word that the wake's eventfd is read into,
// and how long a timeout is. The kernel copies a msghdr and its iovecs while it takes the SQE
// (FeatureSubmitStable), so all of them are free again whenever the SQ is
// empty.
type scratch struct {
	memory              []byte
	headers             []msghdr
	vectors             []iovec
	headerNext, vecNext int
	word, timeout       []byte
}

// mapScratch has room for a header per SQE, and for vectors iovecs in all.
func mapScratch(headers, vectors int) (*scratch, error) {
	const wordBytes = 64 // a cache line of its own
	const timeoutEnd = 8 + int(unsafe.Sizeof(timespec{}))
	headersEnd := wordBytes + headers*int(unsafe.Sizeof(msghdr{}))
	n := headersEnd + vectors*int(unsafe.Sizeof(iovec{}))
	memory, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, mapError("send vectors", n, err)
	}
	slab.Register(memory)
	// Sound: page-aligned memory, and 8 bytes into it; msghdr's size is a multiple
	// of iovec's alignment; it stays until close.
	*(*timespec)(unsafe.Pointer(&memory[8])) = timespec{Nsec: int64(quietWait)}
	return &scratch{memory: memory, word: memory[:8], timeout: memory[8:timeoutEnd],
		headers: unsafe.Slice((*msghdr)(unsafe.Pointer(&memory[wordBytes])), headers),
		vectors: unsafe.Slice((*iovec)(unsafe.Pointer(&memory[headersEnd])), vectors)}, nil
}

// fits says whether n more vectors and a header have room.
func (g *scratch) fits(n int) bool {
	return g.headerNext < len(g.headers) && len(g.vectors)-g.vecNext >= n
}

// gather describes bufs up to bytesMax, cutting the last, and returns the
// msghdr's address and the bytes it covers. The caller asked fits.
func (g *scratch) gather(bufs [][]byte, bytesMax int) (header uintptr, total int) {
	h := &g.headers[g.headerNext]
	g.headerNext++
	first := g.vecNext
	for _, b := range bufs {
		n := min(len(b), bytesMax-total)
		// Sound: the owner keeps the memory until the send completed.
		g.vectors[g.vecNext] = iovec{Base: uintptr(unsafe.Pointer(unsafe.SliceData(b))), Len: uintptr(n)}
		g.vecNext++
		if total += n; total == bytesMax {
			break
		}
	}
	// Sound: both addresses are of this mapping, for the kernel only.
	*h = msghdr{Iov: uintptr(unsafe.Pointer(&g.vectors[first])), IovLen: uintptr(g.vecNext - first)}
	return uintptr(unsafe.Pointer(h)), total
}

// socketAddress writes an address for connect(2) where two iovecs would lie, and says
// where that is and how long. The caller asked fits.
func (g *scratch) socketAddress(to netip.AddrPort, zone uint32) (at uintptr, n uint32) {
	// Sound: the two are next to each other, and as long as this; the kernel reads it
	// while it takes the SQE.
	b := (*[2 * unsafe.Sizeof(iovec{})]byte)(unsafe.Pointer(&g.vectors[g.vecNext : g.vecNext+2][0]))
	g.vecNext += 2
	g.headerNext++
	return uintptr(unsafe.Pointer(b)), uint32(sock.PutAddress(b[:], to, zone))
}

// vectorsOf are the iovecs that the last gather described. Sound: addresses of
// this mapping, for the kernel only.
func (g *scratch) vectorsOf() (first uintptr, n uint32) {
	h := &g.headers[g.headerNext-1]
	return h.Iov, uint32(h.IovLen)
}

// reset frees all; the kernel has taken every SQE.
func (g *scratch) reset() { g.headerNext, g.vecNext = 0, 0 }

func (g *scratch) close() error {
	slab.Unregister(g.memory)
	return unix.Munmap(g.memory)
}

// address is what an SQE says of b. Sound: only the kernel uses it, and the
// owner of the operation keeps the memory, which is mapped and never moves.
func address(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }
