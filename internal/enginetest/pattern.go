package enginetest

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
)

// pattern is an endless stream of bytes: what belongs at an offset is known
// without keeping it, so a lost, doubled or moved byte shows where it happened.
type pattern uint64

// patternBytes has a prime length, so that no buffer size divides it.
var patternBytes = func() []byte {
	b := make([]byte, 65521)
	r := rand.NewChaCha8([32]byte{'k', 'r', 'i', 'n', 'g'})
	_, _ = r.Read(b)
	return b
}()

func (p pattern) at(offset int64) []byte {
	return patternBytes[(uint64(offset)+uint64(p)*7919)%uint64(len(patternBytes)):]
}

// fill writes what belongs at offset.
func (p pattern) fill(b []byte, offset int64) {
	for len(b) > 0 {
		k := copy(b, p.at(offset))
		b, offset = b[k:], offset+int64(k)
	}
}

// check says where b differs from what belongs at offset.
func (p pattern) check(b []byte, offset int64) error {
	for len(b) > 0 {
		want := p.at(offset)
		k := min(len(b), len(want))
		if !bytes.Equal(b[:k], want[:k]) {
			for i := range k {
				if b[i] != want[i] {
					return fmt.Errorf("byte %d of stream %d is %#x, want %#x", offset+int64(i), p, b[i], want[i])
				}
			}
		}
		b, offset = b[k:], offset+int64(k)
	}
	return nil
}

// writeTo writes total bytes from offset on, in pieces that size names.
func (p pattern) writeTo(w io.Writer, offset, total int64, size func() int) error {
	var b []byte
	for end := offset + total; offset < end; {
		k := int(min(int64(max(1, size())), end-offset))
		if cap(b) < k {
			b = make([]byte, k)
		}
		p.fill(b[:k], offset)
		n, err := w.Write(b[:k])
		if offset += int64(n); err != nil {
			return fmt.Errorf("peer writes at byte %d: %w", offset, err)
		}
	}
	return nil
}

// readFrom reads and checks total bytes from offset on.
func (p pattern) readFrom(r io.Reader, offset, total int64) error {
	b := make([]byte, 64<<10)
	for end := offset + total; offset < end; {
		n, err := r.Read(b[:min(int64(len(b)), end-offset)])
		if wrong := p.check(b[:n], offset); wrong != nil {
			return fmt.Errorf("peer reads: %w", wrong)
		}
		if offset += int64(n); err != nil {
			return fmt.Errorf("peer reads at byte %d of %d: %w", offset, end, err)
		}
	}
	return nil
}

// always is a size for writeTo.
func always(n int) func() int { return func() int { return n } }

// mixed draws sizes: tiny, about a buffer, and large.
func mixed(seed uint64) func() int {
	r := rand.New(rand.NewPCG(seed, 1))
	return func() int { return 1 + r.IntN([...]int{3, 200, 5000, 40_000}[r.IntN(4)]) }
}
