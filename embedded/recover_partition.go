package embedded

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// partition is one partition's folder, and what its scan found.
type partition struct {
	m       *recovery
	topic   string
	number  int32
	name    string // of the folder, relative to the data directory
	compact bool

	segments []*segment
	orphans  map[int64]int64 // indexes without a segment, and how many batches they have, by offset
	misread  bool            // there was a snapshot, and it is unreadable
	old      *snapshot       // nil if there is none
	fresh    bool            // old describes the segments as they are

	producers producers
	aborted   []abortedTxn
}

func (p *partition) path(name string) string { return filepath.Join(p.m.dir, p.name, name) }

// recoverData reads a partition, then changes what has to be changed. It changes
// nothing when it returns an error of checkSegments.
func (p *partition) recover(mem []byte) error {
	if err := p.list(); err != nil {
		return err
	}
	p.readSnapshot()
	if err := p.checkSegments(); err != nil {
		return err
	}
	next := int64(0)
	for i, s := range p.segments {
		s.next = max(next, s.offset)
		s.recut = slices.Contains(p.begun().files, p.fileOf(s))
		start := s.next
		if err := s.scan(mem, p.visit); err != nil {
			return fmt.Errorf("%s.dat cannot be read: %w: put it back from a backup, or move it away and accept that what it held is lost (Config.AcceptLoss; kring serve --accept-data-loss)", s.path, err)
		}
		if s.batches == 0 && len(s.cuts) == 0 {
			s.next = start
		}
		next = s.next
		if err := p.checkGap(i); err != nil {
			return err
		}
	}
	p.producers.lost = p.noteDamage()
	if err := p.begin(); err != nil {
		return err
	}
	for _, s := range p.segments {
		if err := p.rewrite(s); err != nil {
			return fmt.Errorf("%s.dat: %w", s.path, err)
		}
	}
	if err := p.split(); err != nil {
		return err
	}
	return p.abortOrphans()
}

// fileOf is the name of a segment's file, relative to the data directory.
func (p *partition) fileOf(s *segment) string {
	return filepath.Join(p.name, filepath.Base(s.path)+".dat")
}

// list finds the segments.
func (p *partition) list() error {
	if err := removeGates(p.path("") + string(filepath.Separator)); err != nil {
		return err
	}
	files, err := os.ReadDir(p.path(""))
	if err != nil {
		return err
	}
	p.orphans = make(map[int64]int64)
	for _, f := range files {
		ext := filepath.Ext(f.Name())
		base := strings.TrimSuffix(f.Name(), ext)
		offset, err := strconv.ParseInt(base, 10, 64)
		if ext != ".dat" && ext != ".idx" || err != nil || offset < 0 {
			continue
		}
		if none, err := p.noFile(f.Name(), ext); err != nil {
			return err
		} else if none {
			continue
		}
		info, err := os.Stat(p.path(f.Name())) // of what a link points to
		if err != nil {
			return err
		}
		if ext == ".idx" {
			p.orphans[offset] = info.Size() / indexEntryBytes
			continue
		}
		p.segments = append(p.segments, &segment{
			path: p.path(base), offset: offset, size: info.Size(), modified: info.ModTime(),
			limit: math.MaxInt64, dense: !p.compact, end: -1,
		})
	}
	slices.SortFunc(p.segments, func(a, b *segment) int { return int(min(max(a.offset-b.offset, -1), 1)) })
	for i, s := range p.segments {
		s.indexed = p.orphans[s.offset]
		delete(p.orphans, s.offset)
		if i > 0 {
			p.segments[i-1].limit = s.offset
		}
	}
	return nil
}

// checkSegments finds segments that are missing or empty, as far as the last
// snapshot tells.
func (p *partition) checkSegments() error {
	start, known := p.start()
	if p.old != nil && len(p.segments) == 0 && !p.m.clean && !known {
		p.noteNone()
	}
	if err := p.checkIndexed(); err != nil {
		return err
	}
	if p.old == nil || p.replaced() {
		return nil // compaction replaces every segment
	}
	here := make(map[int64]*segment)
	first := int64(math.MaxInt64)
	for _, s := range p.segments {
		here[s.offset] = s
		first = min(first, s.offset)
	}
	for i, was := range p.old.Segments {
		name := filepath.Join(p.name, strconv.FormatInt(was.BaseOffset, 10)+".dat")
		s := here[was.BaseOffset]
		if _, indexed := p.orphans[was.BaseOffset]; indexed {
			continue // checkIndexed has seen that
		}
		if was.Size > 0 && p.begun().gone(was.BaseOffset, p.snapshotEnd(i)) {
			continue
		}
		if s == nil && (p.m.clean || was.BaseOffset > first || known && p.snapshotEnd(i) > start) && was.Size > 0 {
			if err := p.m.missing(name, fmt.Sprintf("is missing; it had %d bytes", was.Size)); err != nil {
				return err
			}
		}
		if s != nil && s.size == 0 && was.Size > 0 {
			if err := p.m.missing(name, fmt.Sprintf("is empty; it had %d bytes", was.Size)); err != nil {
				return err
			}
		}
	}
	return nil
}

// noteNone reports that nothing is left of a log: kfake removes a segment
// before it writes the one that compaction made of it.
func (p *partition) noteNone() {
	total := int64(0)
	for _, was := range p.old.Segments {
		total += was.Size
	}
	if total > 0 {
		p.m.note(damagedPart{File: p.name, Topic: p.topic, Partition: p.number, Lost: p.compact, Offset: p.old.LogStartOffset, NextOffset: -1,
			What: fmt.Sprintf("no segment is left of %d bytes. The version of kring that wrote them did not write down what it deleted: "+
				"they may have been deleted or expired, and they may be lost", total)})
	}
}

// checkGap finds a segment that is missing between segment i and the next.
func (p *partition) checkGap(i int) error {
	s := p.segments[i]
	if p.compact && (p.m.clean || p.replaced()) || s.limit == math.MaxInt64 || s.next >= s.limit || p.adjacent(i) {
		return nil
	}
	if n := len(s.cuts); n > 0 && s.cuts[n-1].to == s.size {
		return nil // what was cut was there
	}
	if p.begun().gone(s.next, s.limit) {
		return nil
	}
	return p.m.missing(fmt.Sprintf("%s.dat", filepath.Join(p.name, strconv.FormatInt(s.next, 10))),
		fmt.Sprintf("(or what follows it up to offset %d) is missing", s.limit-1))
}

// adjacent says that segments i and i+1 were neighbours, and i as large as it
// is, at the last start or stop.
func (p *partition) adjacent(i int) bool {
	if p.old == nil {
		return false
	}
	for j := range max(0, len(p.old.Segments)-1) {
		if was := p.old.Segments[j]; was.BaseOffset == p.segments[i].offset {
			return was.Size == p.segments[i].size && p.old.Segments[j+1].BaseOffset == p.segments[i+1].offset
		}
	}
	return false
}

// visit takes a batch into account.
func (p *partition) visit(s *segment, h *batchHead, w *window, at int64) error {
	if !h.control() {
		p.producers.batch(h, s.modified)
		return nil
	}
	commit, err := commits(w, at, h)
	if err != nil {
		return err
	}
	if first, open := p.producers.ended(h); open && !commit {
		p.aborted = append(p.aborted, abortedTxn{ProducerID: h.producer, FirstOffset: first, LastOffset: h.offset})
	}
	return nil
}

const (
	controlBytesMax = 1 << 10 // kfake's and Kafka's markers have 78
	controlCommit   = 1
)

// commits reads a control batch: whether it commits. What cannot be read
// aborts, as in kfake.
func commits(w *window, at int64, h *batchHead) (bool, error) {
	n := h.bytes - batchHeaderBytes
	if n > controlBytesMax {
		return false, nil
	}
	b, err := w.take(at+batchHeaderBytes, int(n))
	if err != nil {
		return false, err
	}
	// A record: length, attributes, timestamp and offset deltas, length of the
	// key, and the key: version and type, 16 bits each.
	for field := range 5 {
		size := 1
		if field != 1 { // the attributes are a byte
			_, size = binary.Varint(b)
		}
		if size <= 0 || size > len(b) {
			return false, nil
		}
		b = b[size:]
	}
	return len(b) >= 4 && binary.BigEndian.Uint16(b[2:]) == controlCommit, nil
}

// noteDamage reports every cut and patch, with a copy of what is to be cut;
// true if the log's end was lost.
func (p *partition) noteDamage() (endLost bool) {
	endLost = p.begun().EndLost
	for i, s := range p.segments {
		name := p.fileOf(s)
		for _, c := range s.patches {
			p.m.note(damagedPart{File: name, Topic: p.topic, Partition: p.number, At: c.at,
				What: "a batch's " + c.field + " was wrong and was set right; its checksum holds", Offset: int64(binary.BigEndian.Uint64(c.head[:])), NextOffset: -1})
		}
		for j := range s.cuts {
			c := &s.cuts[j]
			if s.end > s.next || s.indexed > s.batches {
				c.unfinished = false // it was whole at an orderly stop, or when its index was written
			}
			d := damagedPart{File: name, What: "unreadable bytes, cut out", Topic: p.topic, Partition: p.number,
				Offset: c.offset, NextOffset: c.nextOffset, At: c.at, Bytes: c.to - c.at, Lost: !c.unfinished && !c.duplicate}
			if d.NextOffset < 0 && s.end > s.next {
				d.NextOffset = s.end
			}
			d.What = c.what()
			d.Copy = p.m.keep(name, c.at, c.to)
			p.m.note(d)
			endLost = endLost || d.Lost && i == len(p.segments)-1 && c.to == s.size
		}
		if n := len(s.cuts); s.end > s.next && (n == 0 || s.cuts[n-1].to < s.size) {
			p.m.note(damagedPart{File: name, What: "the segment ends before the log did", Topic: p.topic, Partition: p.number,
				Offset: s.next, NextOffset: s.end, Lost: true})
			endLost = true
		}
		if s.recut {
			continue // it is shorter, and its index longer, by what an interrupted start has cut
		}
		endLost = p.noteShorter(i, name) || endLost
		if i == len(p.segments)-1 && len(s.cuts) == 0 && !endLost && s.indexed > s.batches {
			p.m.note(damagedPart{File: name, What: fmt.Sprintf("its index has %d batches more", s.indexed-s.batches), Topic: p.topic,
				Partition: p.number, Offset: s.next, NextOffset: -1, Lost: true})
			endLost = true
		}
	}
	return endLost
}

// interrupted is what is said of a write without its end.
const interrupted = "the last write has no end and was cut off: that of a killed process nobody was told of; " +
	"after a loss of power it may have been acknowledged"

// noteShorter reports a segment that has fewer bytes than at the last start or
// stop.
func (p *partition) noteShorter(i int, name string) bool {
	if p.old == nil || p.replaced() {
		return false
	}
	s := p.segments[i]
	for _, was := range p.old.Segments {
		if was.BaseOffset != s.offset || was.Size <= s.size {
			continue
		}
		d := damagedPart{File: name, What: fmt.Sprintf("has %d bytes and had %d", s.size, was.Size), Topic: p.topic,
			Partition: p.number, Offset: s.next, NextOffset: -1, Lost: true}
		switch last := i == len(p.segments)-1; {
		case !last:
			d.NextOffset = s.limit
		case p.old.HighWatermark > s.next:
			d.NextOffset = p.old.HighWatermark
		}
		p.m.note(d)
		return i == len(p.segments)-1
	}
	return false
}

func (c *cut) what() string {
	switch {
	case c.duplicate:
		return "batches that the next segment has as well, cut off"
	case c.unfinished:
		return interrupted
	}
	return "unreadable bytes, cut out"
}

// rewrite applies a segment's patches and cuts, and brings its index in line.
func (p *partition) rewrite(s *segment) error {
	if len(s.patches) > 0 {
		if err := p.m.change(func() error { return applyPatches(s) }); err != nil {
			return err
		}
	}
	if len(s.cuts) > 0 {
		if err := p.m.change(func() error { return applyCuts(s) }); err != nil {
			return err
		}
	}
	old, err := os.ReadFile(s.path + ".idx")
	if err == nil && sameIndex(old, s.index) {
		return nil
	}
	return p.m.change(func() error { return replaceFile(s.path+".idx", bytes.NewReader(s.index)) })
}

func applyPatches(s *segment) error {
	f, err := os.OpenFile(s.path+".dat", os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	var faults []error
	for _, c := range s.patches {
		_, err := f.WriteAt(c.head[:], c.at)
		faults = append(faults, err)
	}
	return errors.Join(append(faults, f.Sync(), f.Close())...)
}

func applyCuts(s *segment) error {
	size := s.size
	for _, c := range s.cuts {
		size -= c.to - c.at
	}
	if first := s.cuts[0]; len(s.cuts) == 1 && first.to == s.size {
		s.size = size
		return os.Truncate(s.path+".dat", size)
	}
	f, err := os.Open(s.path + ".dat")
	if err != nil {
		return err
	}
	defer f.Close()
	var kept []io.Reader
	at := int64(0)
	for _, c := range s.cuts {
		kept = append(kept, io.NewSectionReader(f, at, c.at-at))
		at = c.to
	}
	kept = append(kept, io.NewSectionReader(f, at, s.size-at))
	s.size = size
	return replaceFile(s.path+".dat", io.MultiReader(kept...))
}

// sameIndex leaves out the timestamps and what depends on them, which kfake
// does not read.
func sameIndex(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	for len(a) > 0 {
		ea, oka := indexEpoch(a)
		eb, okb := indexEpoch(b)
		if !oka || !okb || ea != eb {
			return false
		}
		a, b = a[indexEntryBytes:], b[indexEntryBytes:]
	}
	return true
}

// split parts segments that are too large to be read whole. The later part is
// written first: if that is interrupted, both have its batches, and the next
// scan cuts them off the earlier one.
func (p *partition) split() error {
	var parted []*segment
	for _, s := range p.segments {
		if s.size < splitBytes || len(s.cuts) > 0 || len(s.splits) == 0 {
			parted = append(parted, s)
			continue
		}
		parts, err := p.part(s)
		if err != nil {
			return err
		}
		parted = append(parted, parts...)
		p.fresh = false
	}
	p.segments = parted
	return nil
}

func (p *partition) part(s *segment) ([]*segment, error) {
	f, err := os.Open(s.path + ".dat")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	parts := []*segment{s}
	for i := len(s.splits) - 1; i >= 0; i-- {
		at := s.splits[i]
		n := *s
		n.path, n.offset, n.size = p.path(strconv.FormatInt(at.offset, 10)), at.offset, s.size-at.at
		n.index, n.batches = s.index[at.batch*indexEntryBytes:], s.batches-at.batch
		err := p.m.change(
			func() error { return replaceFile(n.path+".dat", io.NewSectionReader(f, at.at, n.size)) },
			func() error { return replaceFile(n.path+".idx", bytes.NewReader(n.index)) },
			func() error { return os.Truncate(s.path+".dat", at.at) },
			func() error { return os.Truncate(s.path+".idx", at.batch*indexEntryBytes) },
		)
		if err != nil {
			return nil, err
		}
		s.size, s.batches, s.next, s.limit = at.at, at.batch, at.offset, at.offset
		s.index = s.index[:at.batch*indexEntryBytes]
		parts = slices.Insert(parts, 1, &n)
	}
	return parts, nil
}

// nextOffset is the log's end.
func (p *partition) nextOffset() int64 {
	if n := len(p.segments); n > 0 {
		return p.segments[n-1].next
	}
	return 0
}

// end is nextOffset of a log without a batch: what was deleted counts.
func (p *partition) end() int64 {
	if p.old != nil {
		return max(p.nextOffset(), p.old.HighWatermark)
	}
	return p.nextOffset()
}

// dropEmpty removes segments without a batch, which kfake passes over; a
// later one would look like one behind a gap.
func (p *partition) dropEmpty() error {
	var left []*segment
	for _, s := range p.segments {
		if s.batches > 0 || s.keeps {
			left = append(left, s)
			continue
		}
		err := p.m.change(func() error { return os.Remove(s.path + ".dat") }, func() error { return os.Remove(s.path + ".idx") })
		if err != nil {
			return err
		}
	}
	p.fresh = p.fresh && len(left) == len(p.segments)
	p.segments = left
	return nil
}

// keepEnd makes an empty segment, so that a log from which everything was
// deleted goes on at its offset: kfake looks at a snapshot only if there is a
// segment. Order: before the others are removed, which alone may tell the offset.
func (p *partition) keepEnd(end int64) error {
	if end == 0 {
		return nil
	}
	for _, s := range p.segments {
		if s.offset == end {
			s.keeps, s.next = true, end
			return nil
		}
	}
	s := &segment{path: p.path(strconv.FormatInt(end, 10)), offset: end, next: end, keeps: true}
	p.segments, p.fresh = append(p.segments, s), false
	return p.m.change(
		func() error { return writeFile(s.path+".dat", bytes.NewReader(nil)) },
		func() error { return writeFile(s.path+".idx", bytes.NewReader(nil)) },
	)
}

func (p *partition) batches() int64 {
	n := int64(0)
	for _, s := range p.segments {
		n += s.batches
	}
	return n
}

func (p *partition) changed() bool {
	for _, s := range p.segments {
		if len(s.cuts) > 0 || len(s.patches) > 0 {
			return true
		}
	}
	return p.producers.aborted > 0
}
