package embedded

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"time"
)

const (
	// segmentBytesMax is where kfake begins a new segment (log.segment.bytes).
	// kfake reads a segment whole when it starts, so this bounds its memory.
	segmentBytesMax = 16 << 20
	// splitBytes is the size from which on a segment of a topic with a
	// segment.bytes of its own, or of an older version, is split at the start.
	splitBytes = 3 * segmentBytesMax
	// offsetJumpMax is a gap between offsets that no log has.
	offsetJumpMax = 1 << 40
)

// segment is one file of a partition's log, and what a scan found in it.
type segment struct {
	path     string // without .dat
	offset   int64  // in its name
	size     int64
	modified time.Time
	limit    int64 // offset of the next segment
	dense    bool  // its offsets have no gaps but those that repairs left
	indexed  int64 // how many batches its index had
	end      int64 // the log's end offset when the snapshot was written, -1: unknown
	keeps    bool  // it is empty, and is there for its offset
	recut    bool  // an interrupted start has cut it, or was about to: its index may be of what it had

	next     int64 // offset after the last batch
	epochMin int32
	epochMax int32
	batches  int64
	index    []byte
	cuts     []cut
	patches  []patch
	splits   []split
}

// cut is a range of a segment that holds no batch.
type cut struct {
	at, to int64 // bytes
	// The offsets that were there; nextOffset is -1 if nothing says.
	offset, nextOffset int64
	// unfinished: the write was interrupted and was not acknowledged.
	unfinished bool
	duplicate  bool // the next segment has these batches as well
}

// patch replaces the fields before a batch's checksum, when everything that
// the checksum covers is sound.
type patch struct {
	at    int64
	field string
	head  [batchChecksumAt]byte
}

// split is where a segment may be divided.
type split struct{ at, offset, batch int64 }

// scan reads the segment once, in bounded memory, and calls visit for its batches in
// order. It changes nothing.
func (s *segment) scan(mem []byte, visit func(s *segment, h *batchHead, w *window, at int64) error) error {
	file, err := os.Open(s.path + ".dat")
	if err != nil {
		return err
	}
	defer file.Close()
	var oldIndex []byte
	if !s.recut {
		oldIndex, _ = os.ReadFile(s.path + ".idx") // without one it is made anew
	}
	w := newWindow(file, s.size, mem)
	lastSplit := int64(0)
	for at := int64(0); at < s.size; {
		h, err := s.batchAt(w, at, oldIndex)
		if err != nil {
			return err
		}
		if h == nil { // a cut
			at = s.cuts[len(s.cuts)-1].to
			continue
		}
		if at-lastSplit >= segmentBytesMax {
			s.splits, lastSplit = append(s.splits, split{at, h.offset, s.batches}), at
		}
		if err := visit(s, h, w, at); err != nil {
			return err
		}
		s.count(h)
		at += h.bytes
	}
	return nil
}

func (s *segment) count(h *batchHead) {
	if s.batches == 0 {
		s.epochMin, s.epochMax = h.leaderEpoch, h.leaderEpoch
	}
	s.epochMin, s.epochMax = min(s.epochMin, h.leaderEpoch), max(s.epochMax, h.leaderEpoch)
	s.batches++
	s.next = h.next()
	s.index = append(s.index, indexEntry(h)...)
}

// batchAt returns the batch at a position of the file, with its header repaired; nil
// after noting a cut.
func (s *segment) batchAt(w *window, at int64, oldIndex []byte) (*batchHead, error) {
	h, sound, err := s.sound(w, at)
	if err != nil {
		return nil, err
	}
	if sound {
		s.recoverOffset(w, at, &h)
		if e, ok := indexEpoch(oldIndex[min(int64(len(oldIndex)), s.batches*indexEntryBytes):]); ok && len(s.cuts) == 0 && e != h.leaderEpoch {
			h.leaderEpoch = e
			s.patch(at, &h, "leader epoch")
		}
		return &h, nil
	}
	c, err := s.findNext(w, at)
	if err != nil {
		return nil, err
	}
	if h, ok, err := s.recoverHeader(w, c); err != nil || ok {
		return &h, err
	}
	s.cuts = append(s.cuts, c)
	return nil, nil
}

// sound reports whether a whole batch is there.
func (s *segment) sound(w *window, at int64) (h batchHead, ok bool, err error) {
	if s.size-at < batchHeaderBytes {
		return h, false, nil
	}
	b, err := w.take(at, batchHeaderBytes)
	if err != nil {
		return h, false, err
	}
	h = readHead(b)
	if !s.plausible(&h, at) {
		return h, false, nil
	}
	sum, err := w.checksum(at+batchAttributesAt, h.bytes-batchAttributesAt)
	return h, sum == h.checksum, err
}

// plausible reports whether a batch with this header may be there.
func (s *segment) plausible(h *batchHead, at int64) bool {
	return h.magic == batchMagic && h.bytes >= batchHeaderBytes && h.bytes <= s.size-at && h.lastDelta >= 0 &&
		h.offset >= s.next && h.next() <= s.limit && h.next() >= 0
}

// recoverOffset corrects an offset that does not fit if everything around it does: the
// checksum does not cover it.
func (s *segment) recoverOffset(w *window, at int64, h *batchHead) {
	if !s.dense || h.offset == s.next {
		return
	}
	after := s.next + int64(h.lastDelta) + 1
	wrong := h.offset-s.next > offsetJumpMax
	switch behind := at + h.bytes; {
	case s.size-behind >= batchHeaderBytes:
		if b, err := w.take(behind, batchHeaderBytes); err == nil {
			n := readHead(b)
			wrong = wrong || n.magic == batchMagic && n.offset == after
		}
	case s.limit != math.MaxInt64:
		wrong = wrong || s.limit == after
	default:
		wrong = wrong || s.end == after
	}
	if wrong {
		h.offset = s.next
		s.patch(at, h, "offset")
	}
}

func (s *segment) patch(at int64, h *batchHead, field string) {
	p := patch{at: at, field: field}
	binary.BigEndian.PutUint64(p.head[:], uint64(h.offset))
	binary.BigEndian.PutUint32(p.head[batchLengthAt:], uint32(h.bytes-batchBodyAt))
	binary.BigEndian.PutUint32(p.head[batchLeaderEpochAt:], uint32(h.leaderEpoch))
	p.head[batchMagicAt] = batchMagic
	if n := len(s.patches); n > 0 && s.patches[n-1].at == at {
		s.patches = s.patches[:n-1]
	}
	s.patches = append(s.patches, p)
}

// findNext finds the next batch behind at, and so what has to be cut.
func (s *segment) findNext(w *window, at int64) (cut, error) {
	c := cut{at: at, to: s.size, offset: s.next, nextOffset: -1}
	if s.limit != math.MaxInt64 {
		c.nextOffset = s.limit
	}
	if err := s.judge(w, &c); err != nil || c.duplicate {
		return c, err
	}
	for from := at + 1; s.size-from >= batchHeaderBytes; {
		n := w.ahead(from)
		if n < batchHeaderBytes { // read on
			n = min(int64(len(w.mem)), s.size-from)
		}
		b, err := w.take(from, int(n))
		if err != nil {
			return c, err
		}
		i, found := s.firstPlausible(b, from)
		from += int64(i)
		if !found {
			continue
		}
		if h, ok, err := s.sound(w, from); err != nil {
			return c, err
		} else if ok && h.offset-s.next <= offsetJumpMax {
			c.to, c.nextOffset, c.unfinished = from, h.offset, false
			return c, nil
		}
		from++
	}
	return c, nil
}

// firstPlausible returns where in b, which begins at a position of the file, a header may
// begin; if none is found, where to search on.
func (s *segment) firstPlausible(b []byte, at int64) (i int, found bool) {
	for i+batchHeaderBytes <= len(b) {
		n := bytes.IndexByte(b[i+batchMagicAt:], batchMagic)
		if n < 0 {
			return len(b) - batchMagicAt, false
		}
		if i += n; i+batchHeaderBytes > len(b) {
			return i, false
		}
		if h := readHead(b[i:]); s.plausible(&h, at+int64(i)) {
			return i, true
		}
		i++
	}
	return i, false
}

// judge says what the bytes to the end of the file are, if no batch follows.
func (s *segment) judge(w *window, c *cut) error {
	rest := s.size - c.at
	last := s.limit == math.MaxInt64
	if rest < batchHeaderBytes {
		c.unfinished = last
		return nil
	}
	b, err := w.take(c.at, batchHeaderBytes)
	if err != nil {
		return err
	}
	h := readHead(b)
	// Zeros are nothing that a process wrote: a file system leaves them where it
	// lost what it had taken.
	c.unfinished = last && h.magic == batchMagic && h.offset == s.next && h.bytes > rest
	if !last && h.magic == batchMagic && h.offset >= s.limit && h.bytes <= rest {
		sum, err := w.checksum(c.at+batchAttributesAt, h.bytes-batchAttributesAt)
		c.duplicate = err == nil && sum == h.checksum && h.offset-s.limit < offsetJumpMax && s.next == s.limit
		return err
	}
	return nil
}

// recoverHeader tries the bytes of a cut as one batch with a wrong length, magic or offset;
// the checksum tells whether they are.
func (s *segment) recoverHeader(w *window, c cut) (h batchHead, ok bool, err error) {
	size := c.to - c.at
	if size < batchHeaderBytes || size-batchBodyAt > math.MaxInt32 || c.duplicate {
		return h, false, nil
	}
	b, err := w.take(c.at, batchHeaderBytes)
	if err != nil {
		return h, false, err
	}
	h = readHead(b)
	sum, err := w.checksum(c.at+batchAttributesAt, size-batchAttributesAt)
	if err != nil || sum != h.checksum || h.lastDelta < 0 {
		return h, false, err
	}
	field := "length or magic"
	h.bytes, h.magic = size, batchMagic
	limit := s.limit
	if c.nextOffset >= 0 {
		limit = c.nextOffset
	}
	if h.offset < s.next || h.next() > limit || h.next() < 0 || s.dense && h.next() != limit {
		if h.offset != s.next {
			h.offset, field = s.next, "offset"
		}
	}
	if h.next() > limit {
		return h, false, nil
	}
	s.patch(c.at, &h, field)
	return h, true, nil
}
