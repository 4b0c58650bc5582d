package tlsconn

import (
	"encoding/binary"

	"kring/internal/slab"
)

const (
	headBytes = 5
	// recordBytesMax is the largest record of TLS 1.2, its head included; those of TLS 1.3
	// are smaller. crypto/tls refuses what says that it is larger.
	recordBytesMax = headBytes + 1<<14 + 2048
	alertRecord    = 21
)

// records are bytes off the wire, cut into whole records, and kept where they are not
// whole yet.
//
// Invariant: the bytes in order are held[at:], then wire.
type records struct {
	wire []byte // lent, until keep
	held []byte // of memory, of the heap, or small
	at   int
	heap bool // held is memory of the Go heap: what came during the handshake
	in   bool // held is small
	// small holds the beginning of a head, so that an idle connection whose peer sends a
	// byte holds nothing else.
	small [headBytes]byte
}

// lengthOf is the length of the record that b begins with; false: its head is not whole. It
// is that of the head alone for what can be no record: crypto/tls refuses that by its head.
func lengthOf(b []byte) (n int, ok bool) {
	if len(b) < headBytes {
		return 0, false
	}
	if n = headBytes + int(binary.BigEndian.Uint16(b[3:])); n > recordBytesMax || b[1] != 3 {
		n = headBytes
	}
	return n, true
}

// next is the next whole record, in memory that may be written to and is valid until the
// next call, or keep. ok is false when the system refused memory.
func (r *records) next(memory *slab.Pool) (record []byte, ok bool) {
	if r.at == len(r.held) {
		r.free(memory)
		n, whole := lengthOf(r.wire)
		if whole && n <= len(r.wire) {
			record, r.wire = r.wire[:n:n], r.wire[n:]
			return record, true
		}
		return nil, true
	}
	for {
		rest := r.held[r.at:]
		n, whole := lengthOf(rest)
		if !whole {
			n = headBytes
		}
		if whole && len(rest) >= n {
			r.at += n
			return rest[:n:n], true
		}
		if len(r.wire) == 0 {
			return nil, true
		}
		more := min(n-len(rest), len(r.wire))
		if !r.append(r.wire[:more], n, memory) {
			return nil, false
		}
		r.wire = r.wire[more:]
	}
}

// keep moves what is left of wire to memory; without memory all is forgotten. What is held
// lies in no more memory than it needs.
func (r *records) keep(memory *slab.Pool) bool {
	rest := r.wire
	r.wire = nil
	kept := len(r.held) - r.at
	if kept == 0 {
		r.free(memory)
	}
	if kept+len(rest) == 0 {
		return true
	}
	need := kept + len(rest)
	if kept == 0 {
		if n, whole := lengthOf(rest); whole {
			need = max(need, n)
		}
	} else if r.heap || r.at > 0 && cap(r.held) > 2*max(need, recordBytesMax) {
		return r.move(rest, need, memory)
	}
	return r.append(rest, need, memory)
}

// append appends b to what is held, in memory that is enough for n bytes together.
func (r *records) append(b []byte, n int, memory *slab.Pool) bool {
	kept := r.held[r.at:]
	if len(r.held) == 0 && n <= headBytes {
		r.in, r.at = true, 0
		r.held = append(r.small[:0], b...)
		return true
	}
	if !r.heap && cap(r.held)-len(r.held) >= len(b) {
		r.held = append(r.held, b...)
		return true
	}
	return r.move(b, max(n, len(kept)+len(b)), memory)
}

// move moves what is held and b to other memory, of n bytes.
func (r *records) move(b []byte, n int, memory *slab.Pool) bool {
	larger, err := memory.TryGet(n)
	if err != nil {
		return false
	}
	m := copy(larger, r.held[r.at:])
	m += copy(larger[m:], b)
	r.free(memory)
	r.held = larger[:m]
	return true
}

// free gives the memory of held back.
func (r *records) free(memory *slab.Pool) {
	if r.held != nil && !r.heap && !r.in {
		memory.Put(r.held)
	}
	r.held, r.at, r.heap, r.in = nil, 0, false, false
}

// memory is how much held takes.
func (r *records) memory() int {
	if r.in {
		return 0
	}
	return cap(r.held)
}

// empty says that nothing is here.
func (r *records) empty() bool { return r.at == len(r.held) && len(r.wire) == 0 }
