package frame

import (
	"encoding/binary"

	"kring/internal/invariants"
	"kring/internal/slab"
)

// SizeBytes is the length of the size in front of every frame.
const SizeBytes = 4

// growthMax: held memory is doubled while that adds less than this, and grows by a
// quarter beyond.
const growthMax = 32 << 10

// Status is what Next found.
type Status uint8

const (
	// Whole: a frame.
	Whole Status = iota
	// NeedBytes: nothing can be cut before more bytes arrive.
	NeedBytes
	// NeedMemory: the size of the next frame is known (Size), but not all of
	// it is here: give memory for it with Begin, then call Next again.
	NeedMemory
	// TooBig: the size is over the limit; Negative: it is below zero. The
	// stream can't go on after either.
	TooBig
	Negative
)

// Location says whose memory a frame lies in.
type Location uint8

const (
	// InLent: in the bytes that Feed lent.
	InLent Location = iota
	// InHeld: in memory that Settle copied to.
	InHeld
	// InOwn: in the memory of Begin, which leaves with the frame.
	InOwn
)

// Stream is the receiving side of one connection. The zero value works.
//
// Invariant: the stream's bytes in order are own[:filled], then held, then
// lent; held is not empty together with lent, unless own is whole.
type Stream struct {
	own    []byte // the frame being filled, at its full length; nil if none
	filled int
	held   []byte // slab memory, or size; the bytes from heldAt on are still to be cut
	heldAt int
	size   [SizeBytes]byte // a size, or a part of it, needs no memory
	inSize bool            // held is size
	lent   []byte          // the bytes from lentAt on are still to be cut
	lentAt int

	copied int // bytes moved since TakeCopied
}

// Feed lends b until the next Feed or Settle. Settle must have been called
// since the last Feed. false: the system refused memory, and bytes are lost: only
// Abandon may follow.
func (s *Stream) Feed(b []byte, memory *slab.Pool) (ok bool) {
	invariants.Assert(s.lent == nil, "frame: Feed before Settle")
	if s.own != nil && s.filled < len(s.own) {
		n := copy(s.own[s.filled:], b)
		s.filled += n
		s.copied += n
		b = b[n:]
	}
	if len(b) > 0 && s.Held() > 0 {
		return s.appendHeld(b, memory)
	}
	s.lent, s.lentAt = b, 0
	return true
}

// Next cuts the next frame: its bytes, size included, and where they lie.
// max is the largest payload.
func (s *Stream) Next(max int) ([]byte, Location, Status) {
	if s.own != nil {
		if s.filled < len(s.own) {
			return nil, InOwn, NeedBytes
		}
		f := s.own
		s.own, s.filled = nil, 0
		return f, InOwn, Whole
	}
	if s.Held() > 0 {
		f, st := cutFrame(s.held[s.heldAt:], max)
		s.heldAt += len(f)
		return f, InHeld, st
	}
	f, st := cutFrame(s.lent[s.lentAt:], max)
	s.lentAt += len(f)
	return f, InLent, st
}

// Unread takes back the last Next, which returned f.
func (s *Stream) Unread(f []byte, place Location) {
	switch place {
	case InOwn:
		s.own, s.filled = f, len(f)
	case InHeld:
		s.heldAt -= len(f)
	case InLent:
		s.lentAt -= len(f)
	}
}

// Size is the payload size that the next frame claims; after NeedMemory,
// TooBig or Negative.
func (s *Stream) Size() int { return int(int32(binary.BigEndian.Uint32(s.unparsed()))) }

// Missing is how many bytes of the frame that Next found incomplete are still to come.
func (s *Stream) Missing() int { return SizeBytes + s.Size() - len(s.unparsed()) }

// Begin sets the memory of the frame that Next found incomplete: exactly
// SizeBytes + Size() long. The bytes that are here are moved there.
func (s *Stream) Begin(memory []byte) {
	invariants.Assert(s.own == nil && len(memory) == SizeBytes+s.Size(), "frame: Begin with %d bytes for a frame of %d", len(memory), s.Size())
	s.own = memory
	s.filled = copy(memory, s.unparsed())
	s.copied += s.filled - SizeBytes
	s.lentAt, s.heldAt = len(s.lent), len(s.held)
}

// BeginWithoutSize is Begin in memory for the payload alone: exactly Size() long. The frame
// that Next gives is then the payload.
func (s *Stream) BeginWithoutSize(memory []byte) {
	invariants.Assert(s.own == nil && len(memory) == s.Size(), "frame: BeginWithoutSize with %d bytes for a payload of %d", len(memory), s.Size())
	s.own = memory
	s.filled = copy(memory, s.unparsed()[SizeBytes:])
	s.copied += s.filled
	s.lentAt, s.heldAt = len(s.lent), len(s.held)
}

// Peek is what is here of the frame that Next found incomplete.
func (s *Stream) Peek() []byte { return s.unparsed() }

// InPlace gives the memory of the frame that Next found incomplete, if it begins in lent
// memory whose capacity it fits into. BeginInPlace has the rest filled there.
func (s *Stream) InPlace() []byte {
	b, n := s.unparsed(), SizeBytes+s.Size()
	if s.Held() > 0 || n > cap(b) {
		return nil
	}
	return b[:n:n]
}

// BeginInPlace is Begin with what InPlace gave: nothing is moved.
func (s *Stream) BeginInPlace(memory []byte) {
	s.own, s.filled = memory, len(s.unparsed())
	s.lentAt = len(s.lent)
}

// MoveTo has the begun frame go on in memory, which is as long.
func (s *Stream) MoveTo(memory []byte) {
	invariants.Assert(len(memory) == len(s.own), "frame: MoveTo %d bytes with a frame of %d", len(memory), len(s.own))
	s.copied += copy(memory, s.own[:s.filled])
	s.own = memory
}

// Begun is the length of the frame that has memory and is not whole yet; 0: none.
func (s *Stream) Begun() int { return len(s.own) }

// Rest is the part of the begun frame that is still to be filled, nil if there is
// none.
func (s *Stream) Rest() []byte {
	if s.own == nil || s.filled == len(s.own) {
		return nil
	}
	return s.own[s.filled:]
}

// AddFilled records that n bytes of Rest were received in place.
func (s *Stream) AddFilled(n int) { s.filled += n }

// TakeCopied returns how many bytes were copied since the last call. The size of a
// frame that is received in place is not counted: it has to be read first.
func (s *Stream) TakeCopied() int {
	n := s.copied
	s.copied = 0
	return n
}

// Settle copies what is left of the lent bytes, so that they can be given back, and
// frees memory that is not needed any more. false is as in Feed.
func (s *Stream) Settle(memory *slab.Pool) (ok bool) {
	rest := s.lent[s.lentAt:]
	s.lent, s.lentAt = nil, 0
	if len(rest) > 0 {
		return s.appendHeld(rest, memory)
	}
	if s.held != nil && s.Held() == 0 {
		s.freeHeld(memory)
	}
	return true
}

// Memory is how much memory Held takes.
func (s *Stream) Memory() int {
	if s.inSize {
		return 0
	}
	return cap(s.held)
}

// freeHeld frees the memory of held.
func (s *Stream) freeHeld(memory *slab.Pool) {
	if s.held != nil && !s.inSize {
		memory.Put(s.held)
	}
	s.held, s.heldAt, s.inSize = nil, 0, false
}

// FixAfterCopy must be called on a copy of a Stream that replaces the original.
func (s *Stream) FixAfterCopy() {
	if s.inSize {
		s.held = s.size[:len(s.held)]
	}
}

// Held is how many bytes outside lent memory are not cut yet.
func (s *Stream) Held() int { return len(s.held) - s.heldAt }

// NextIsComplete reports whether all bytes of the next frame are here, by its size.
func (s *Stream) NextIsComplete() bool {
	if s.own != nil {
		return s.filled == len(s.own)
	}
	b := s.unparsed()
	return len(b) >= SizeBytes && s.Size() >= 0 && len(b)-SizeBytes >= s.Size()
}

// Empty reports whether the stream is between two frames.
func (s *Stream) Empty() bool { return s.own == nil && s.Held() == 0 && len(s.lent) == s.lentAt }

// Abandon ends the stream. It returns the memory of Begin if a frame was being filled
// in it.
func (s *Stream) Abandon(memory *slab.Pool) (own []byte) {
	own = s.own
	s.freeHeld(memory)
	*s = Stream{}
	return own
}

// DropFrame drops the frame that is being filled and returns the memory of Begin, if there
// is one.
func (s *Stream) DropFrame() (own []byte) {
	own, s.own, s.filled = s.own, nil, 0
	return own
}

func (s *Stream) unparsed() []byte {
	if s.Held() > 0 {
		return s.held[s.heldAt:]
	}
	return s.lent[s.lentAt:]
}

// appendHeld appends b to the held bytes, moving them to larger memory if needed; false
// if the system refuses that.
func (s *Stream) appendHeld(b []byte, memory *slab.Pool) bool {
	s.copied += len(b)
	if s.held == nil && len(b) <= SizeBytes {
		s.inSize, s.held = true, s.size[:copy(s.size[:], b)]
		return true
	}
	kept := s.held[s.heldAt:]
	if cap(s.held)-len(s.held) >= len(b) {
		s.held = append(s.held, b...)
		return true
	}
	if s.held != nil && cap(s.held)-len(kept) >= len(b) && s.heldAt >= len(kept) {
		s.copied += len(kept)
		n := copy(s.held, kept) // half of it was cut: moving is cheaper than growing
		s.held, s.heldAt = append(s.held[:n], b...), 0
		return true
	}
	n := len(kept) + len(b)
	if s.held != nil && !s.inSize { // it grows, so it may again
		n += min(n, max(n/4, growthMax))
	}
	larger, err := memory.TryGet(n)
	if err != nil {
		return false
	}
	s.copied += len(kept)
	n = copy(larger, kept)
	n += copy(larger[n:], b)
	s.freeHeld(memory)
	s.held = larger[:n]
	return true
}

func cutFrame(b []byte, max int) ([]byte, Status) {
	if len(b) < SizeBytes {
		return nil, NeedBytes
	}
	size := int(int32(binary.BigEndian.Uint32(b)))
	switch {
	case size < 0:
		return nil, Negative
	case size > max:
		return nil, TooBig
	case len(b)-SizeBytes < size:
		return nil, NeedMemory
	}
	n := SizeBytes + size
	return b[:n:n], Whole
}
