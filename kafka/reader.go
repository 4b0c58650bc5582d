package kafka

import "encoding/binary"

// reader reads Kafka's primitive types from bytes that a client wrote. After the first
// fault it is empty and returns zeros, so that callers check once. Every call is O(1);
// nothing allocates.
type reader struct {
	left  []byte
	fault *Fault
}

func (r *reader) fail(f *Fault) {
	if r.fault == nil {
		r.fault = f
	}
	r.left = nil
}

// take returns the next n bytes, nil if there are fewer. n < 0 is a fault.
func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.left) {
		r.fail(faultBodyShort)
		return nil
	}
	b := r.left[:n:n]
	r.left = r.left[n:]
	return b
}

func (r *reader) int16() int16 {
	if b := r.take(2); b != nil {
		return int16(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (r *reader) int32() int32 {
	if b := r.take(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

// uvarint reads a number of at most five bytes and 32 bits.
func (r *reader) uvarint() uint32 {
	var x uint32
	for i := 0; i < len(r.left) && i < 5; i++ {
		c := r.left[i]
		if i == 4 && c > 0x0f {
			break
		}
		x |= uint32(c&0x7f) << (7 * i)
		if c < 0x80 {
			r.left = r.left[i+1:]
			return x
		}
	}
	if len(r.left) < 5 {
		r.fail(faultBodyShort)
	} else {
		r.fail(faultUvarint)
	}
	return 0
}

// stringBytesMax is the longest string in either form (Apache Kafka: "string
// field had invalid length").
const stringBytesMax = 1<<15 - 1

// stringLen reads a string's length, -1 for null.
func (r *reader) stringLen(compact bool) int {
	n := 0
	if compact {
		n = int(r.uvarint()) - 1
	} else {
		n = orNull(int(r.int16()))
	}
	if n > stringBytesMax {
		r.fail(faultString)
		return 0
	}
	return n
}

// wideLen reads the length of bytes or of an array, -1 for null.
func (r *reader) wideLen(compact bool) int {
	if compact {
		return int(r.uvarint()) - 1
	}
	return orNull(int(r.int32()))
}

// orNull takes every negative length for null, as Apache Kafka does. Compact
// lengths are unsigned: there null is 0, and 2^32-1 is a length of its own, which
// Apache Kafka takes for null and kmsg does not.
func orNull(n int) int { return max(n, -1) }

// string returns a string that is not null.
func (r *reader) string(compact bool) []byte { return r.span(r.stringLen(compact), false) }

// span returns the n bytes of a field, nil for null (n == -1).
func (r *reader) span(n int, nullable bool) []byte {
	if n < 0 {
		if !nullable || n < -1 {
			r.fail(faultNull)
		}
		return nil
	}
	return r.take(n)
}

// count reads the length of an array whose elements take at least least bytes
// each, 0 for null.
func (r *reader) count(compact, nullable bool, least int) int {
	n := r.wideLen(compact)
	if n < 0 {
		if !nullable || n < -1 {
			r.fail(faultNull)
		}
		return 0
	}
	if n > len(r.left)/least {
		r.fail(faultCount)
		return 0
	}
	return n
}

// tagCount reads how many tags follow; each takes at least two bytes.
func (r *reader) tagCount() int {
	n := r.uvarint()
	if uint64(n) > uint64(len(r.left)/2) {
		r.fail(faultTags)
		return 0
	}
	return int(n)
}

// tag reads one tag: its key and its bytes.
func (r *reader) tag() (key uint32, value []byte) {
	key = r.uvarint()
	return key, r.take(int(r.uvarint()))
}
