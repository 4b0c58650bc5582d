package frame

import (
	"encoding/binary"

	"kring/internal/invariants"
	"kring/internal/slab"
)

// SizeBytes is the length of the size in front of every frame.
const SizeBytes = 4

// growthMax: what is held grows by as much again while that is less, and by a quarter
// beyond.
const growthMax = 32 << 10

// Status is what Next found.
type Status uint8

const (
	// Whole: a frame.
	Whole Status = iota
	// NeedBytes: nothing to cut before more bytes arrive.
	NeedBytes
	// NeedMemory: the size of the next frame is known (Size), but not all of
	// it is here: give memory for it with Begin, then call Next again.
	NeedMemory
	// TooBig: the size is over the limit; Negative: it is below zero. The
	// stream can't go on after either.
	TooBig
	Negative
)

// Place says whose memory a frame lies in.
type Place uint8

const (
	// InLent: in what Feed lent.
	InLent Place = iota
	// InHeld: in what Settle had copied.
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
// since the last Feed. false: the system refused memory, and bytes are lost; the
// stream can only be abandoned.
func (s *Stream) Feed(b []byte, memory *slab.Pool) (ok bool) {
	invariants.Assert(s.lent == nil, "frame: Feed before Settle")
	if s.own != nil && s.filled < len(s.own) {
		n := copy(s.own[s.filled:], b)
		s.filled += n
		s.copied += n
		b = b[n:]
	}
	if len(b) > 0 && s.Held() > 0 {
		return s.hold(b, memory)
	}
	s.lent, s.lentAt = b, 0
	return true
}

// Next cuts the next frame: its bytes, size included, and where they lie.
// max is the largest payload.
func (s *Stream) Next(max int) ([]byte, Place, Status) {
	if s.own != nil {
		if s.filled < len(s.own) {
			return nil, InOwn, NeedBytes
		}
		f := s.own
		s.own, s.filled = nil, 0
		return f, InOwn, Whole
	}
	if s.Held() > 0 {
		f, st := cut(s.held[s.heldAt:], max)
		s.heldAt += len(f)
		return f, InHeld, st
	}
	f, st := cut(s.lent[s.lentAt:], max)
	s.lentAt += len(f)
	return f, InLent, st
}

// Unread takes back the last Next, which gave f.
func (s *Stream) Unread(f []byte, place Place) {
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
func (s *Stream) Size() int { return int(int32(binary.BigEndian.Uint32(s.ahead()))) }

// Missing is how many bytes of the frame that Next found incomplete are still to come.
func (s *Stream) Missing() int { return SizeBytes + s.Size() - len(s.ahead()) }

// Begin gives the memory of the frame that Next found incomplete: exactly
// SizeBytes + Size() long. What is here of it moves there.
func (s *Stream) Begin(memory []byte) {
	invariants.Assert(s.own == nil && len(memory) == SizeBytes+s.Size(), "frame: Begin with %d bytes for a frame of %d", len(memory), s.Size())
	s.own = memory
	s.filled = copy(memory, s.ahead())
	s.copied += s.filled - SizeBytes
	s.lentAt, s.heldAt = len(s.lent), len(s.held)
}

// Begun is how long the frame is that was given memory and is not whole yet; 0: there is
// none.
func (s *Stream) Begun() int { return len(s.own) }

// Rest is the part of the frame begun that is still to be filled, nil if there
// is none; Filled says that n bytes more of it are there.
func (s *Stream) Rest() []byte {
	if s.own == nil || s.filled == len(s.own) {
		return nil
	}
	return s.own[s.filled:]
}

// Filled says that n bytes of Rest were received in place.
func (s *Stream) Filled(n int) { s.filled += n }

// TakeCopied is how many bytes were copied since the last call. The size of a
// frame that is received in place is not counted: it has to be read to know
// the place.
func (s *Stream) TakeCopied() int {
	n := s.copied
	s.copied = 0
	return n
}

// Settle copies what is left of the lent bytes, so that they can go back, and
// gives memory back that is not needed any more. false is as in Feed.
func (s *Stream) Settle(memory *slab.Pool) (ok bool) {
	rest := s.lent[s.lentAt:]
	s.lent, s.lentAt = nil, 0
	if len(rest) > 0 {
		return s.hold(rest, memory)
	}
	if s.held != nil && s.Held() == 0 {
		s.free(memory)
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

// free gives back what held lies in.
func (s *Stream) free(memory *slab.Pool) {
	if s.held != nil && !s.inSize {
		memory.Put(s.held)
	}
	s.held, s.heldAt, s.inSize = nil, 0, false
}

// Copied is called on a copy of a Stream that goes on in place of the original.
func (s *Stream) Copied() {
	if s.inSize {
		s.held = s.size[:len(s.held)]
	}
}

// Held is how many bytes wait to be cut, outside lent memory.
func (s *Stream) Held() int { return len(s.held) - s.heldAt }

// Whole says that the next frame is here as far as its size tells.
func (s *Stream) Whole() bool {
	if s.own != nil {
		return s.filled == len(s.own)
	}
	b := s.ahead()
	return len(b) >= SizeBytes && s.Size() >= 0 && len(b)-SizeBytes >= s.Size()
}

// Empty says that the stream stands between two frames.
func (s *Stream) Empty() bool { return s.own == nil && s.Held() == 0 && len(s.lent) == s.lentAt }

// Abandon ends the stream and returns the memory of Begin if a frame was being
// filled in it.
func (s *Stream) Abandon(memory *slab.Pool) (own []byte) {
	own = s.own
	s.free(memory)
	*s = Stream{}
	return own
}

// Lose gives the memory of Begin up, and returns it, if a frame was being filled in
// it.
func (s *Stream) Lose() (own []byte) {
	own, s.own, s.filled = s.own, nil, 0
	return own
}

func (s *Stream) ahead() []byte {
	if s.Held() > 0 {
		return s.held[s.heldAt:]
	}
	return s.lent[s.lentAt:]
}

// hold appends b to what is held, moving it to larger memory when it must; false
// when the system refuses that.
func (s *Stream) hold(b []byte, memory *slab.Pool) bool {
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
	s.free(memory)
	s.held = larger[:n]
	return true
}

func cut(b []byte, max int) ([]byte, Status) {
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
