package load

import (
	"bytes"
	"encoding/binary"
)

// template is one request as it is sent again and again, and what its response
// must look like. Both have a fixed size, which is why neither side of a
// connection needs memory of its own.
//
// A tag makes each request differ: it names the connection and the request's
// place on it, the server returns it, and so a response that is lost, repeated,
// cut wrong or sent to another connection is found.
type template struct {
	frame    []byte // as sent, tags zero
	requests int    // how many requests that is
	tagBytes int    // 0 (no room), 4 or 8
	tagAt    []int  // where the tags go in frame

	replyBytes int    // the response with its size
	replySize  uint32 // what its size says
	replyTagAt []int  // where the tags come back
	errorAt    int    // where two zero bytes must be; -1: nowhere
	reply      []byte // the whole response but for its tags; nil when unknown
}

// frameTemplate is a frame of payload bytes for a server that echoes.
func frameTemplate(payload int) *template {
	t := &template{frame: make([]byte, 4+payload), requests: 1, errorAt: -1}
	binary.BigEndian.PutUint32(t.frame, uint32(payload))
	// Bytes that differ from their neighbours, so that a shift by any small
	// number is seen.
	for i := 4; i < len(t.frame); i++ {
		t.frame[i] = byte(i*131 + i>>8)
	}
	switch {
	case payload >= 16:
		t.tagBytes, t.tagAt = 8, []int{4, len(t.frame) - 8}
	case payload >= 8:
		t.tagBytes, t.tagAt = 8, []int{4}
	case payload >= 4:
		t.tagBytes, t.tagAt = 4, []int{4}
	}
	for _, at := range t.tagAt {
		clear(t.frame[at : at+t.tagBytes])
	}
	t.reply, t.replyBytes, t.replyTagAt = t.frame, len(t.frame), t.tagAt
	t.replySize = uint32(payload)
	return t
}

// tag is what request seq of connection id carries. Four bytes keep the sign
// bit clear: Kafka's correlation ids are signed.
func (t *template) tag(id uint32, seq uint64) uint64 {
	if t.tagBytes == 4 {
		return (uint64(id)*0x9E3779B1 + seq) & 0x7FFFFFFF
	}
	return uint64(id)<<32 | seq&0xFFFFFFFF
}

// stamp writes a request's tag into a copy of the frame.
func (t *template) stamp(frame []byte, tag uint64) {
	for _, at := range t.tagAt {
		if t.tagBytes == 8 {
			binary.BigEndian.PutUint64(frame[at:], tag)
		} else {
			binary.BigEndian.PutUint32(frame[at:], uint32(tag))
		}
	}
}

// whole checks a response that lies in one piece.
func (t *template) whole(b []byte, tag uint64) bool {
	if binary.BigEndian.Uint32(b) != t.replySize {
		return false
	}
	for _, at := range t.replyTagAt {
		if t.tagBytes == 8 {
			if binary.BigEndian.Uint64(b[at:]) != tag {
				return false
			}
		} else if uint64(binary.BigEndian.Uint32(b[at:])) != tag {
			return false
		}
	}
	return t.errorAt < 0 || b[t.errorAt] == 0 && b[t.errorAt+1] == 0
}

// piece checks the part b of a response that starts at off.
func (t *template) piece(b []byte, off int, tag uint64) bool {
	var want [8]byte
	binary.BigEndian.PutUint32(want[:], t.replySize)
	if !overlapEqual(b, off, want[:4], 0) {
		return false
	}
	binary.BigEndian.PutUint64(want[:], tag)
	for _, at := range t.replyTagAt {
		if !overlapEqual(b, off, want[8-t.tagBytes:], at) {
			return false
		}
	}
	return t.errorAt < 0 || overlapEqual(b, off, []byte{0, 0}, t.errorAt)
}

// content checks every byte of b but those that differ from response to
// response.
func (t *template) content(b []byte, off int) bool {
	if t.reply == nil {
		return true
	}
	for _, at := range t.replyTagAt {
		if at > off {
			n := min(at-off, len(b))
			if !bytes.Equal(b[:n], t.reply[off:off+n]) {
				return false
			}
		}
		skip := min(max(at+t.tagBytes-off, 0), len(b))
		b, off = b[skip:], off+skip
	}
	return bytes.Equal(b, t.reply[off:off+len(b)])
}

// overlapEqual says whether b, which starts at off, has want at wantAt as far
// as the two overlap.
func overlapEqual(b []byte, off int, want []byte, wantAt int) bool {
	from, to := max(off, wantAt), min(off+len(b), wantAt+len(want))
	if from >= to {
		return true
	}
	return bytes.Equal(b[from-off:to-off], want[from-wantAt:to-wantAt])
}
