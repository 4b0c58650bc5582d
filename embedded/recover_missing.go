package embedded

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// What tells a file that is gone from one that never was, also after a kill: where
// logs start moves only after starts has written it down, and an index has an
// entry for each batch, written after the batch.

// describeDir has the manifest say what the directory has now, so that it is
// missed after a kill, too.
func (c *Cluster) describeDir() error {
	c.live.RLock()
	defer c.live.RUnlock()
	if c.cfg.DataDir == "" || c.kfake == nil {
		return nil
	}
	return writeManifest(c.cfg.DataDir, false)
}

// readStarts reads where logs start. Directories of older versions have no such
// file: what is missing at the front of a log may then have expired.
func (m *recovery) readStarts() error {
	raw, err := os.ReadFile(filepath.Join(m.dir, startsName))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, had := m.manifest.Files[startsName]; !had {
			return nil
		}
		m.starts = make(map[string]*topicStart)
		if err := m.missing(startsName, "is missing; records that were deleted may be back"); err != nil {
			return err
		}
		return m.changed(startsName)
	case err != nil:
		return err
	}
	summed, fault := false, error(nil)
	if m.starts, summed, fault = decodeStarts(raw); fault == nil {
		fault = m.manifest.compare(stateFile{name: startsName, json: true}, raw)
	}
	if fault != nil {
		if err := m.missing(startsName, fault.Error()+"; records that were deleted may be back"); err != nil {
			return err
		}
		m.starts = make(map[string]*topicStart)
		_, err := m.copies.moveAway(startsName)
		return errors.Join(err, m.changed(startsName))
	}
	if m.manifest.Version == 0 && summed && !m.spoiled {
		return m.missing(manifestName, "is missing; other files that are missing may not be missed")
	}
	return nil
}

// start is the offset that a partition's log may begin at, and whether that is
// known.
func (p *partition) start() (offset int64, known bool) {
	if p.m.starts == nil {
		return math.MaxInt64, false
	}
	if t := p.m.starts[p.topic]; t != nil && t.ID == p.m.topics[p.topic].ID {
		offset = t.Partitions[p.number]
	}
	if p.old != nil {
		offset = max(offset, p.old.LogStartOffset)
	}
	return offset, true
}

// checkIndexed finds segments that are missing or empty though their index is
// there, and the front of a log that is missing though nothing says that it was
// deleted.
func (p *partition) checkIndexed() error {
	start, known := p.start()
	if p.m.deleting[p.topic] || p.m.deleting[p.m.topics[p.topic].ID] {
		return p.removeOrphans()
	}
	var faults []error
	gone := func(offset int64, what string) {
		faults = append(faults, p.m.missing(filepath.Join(p.name, strconv.FormatInt(offset, 10)+".dat"), what))
	}
	for offset, n := range p.orphans {
		if end := p.endOf(offset, offset+n); known && end > start && !p.begun().gone(offset, end) {
			gone(offset, fmt.Sprintf("is missing; its index has %d batches", n))
		}
	}
	for _, s := range p.segments {
		if s.size == 0 && s.indexed > 0 && !p.had(s.offset) && !p.begun().gone(s.offset, s.limit) {
			gone(s.offset, fmt.Sprintf("is empty; its index has %d batches", s.indexed))
		}
	}
	if known && len(p.orphans) == 0 && !p.misread {
		switch was := p.m.manifest.Topics[p.topic]; {
		case p.begun().gone(start, p.firstOffset()):
		case len(p.segments) > 0 && p.segments[0].offset > start && !p.had(start) && !p.leads(p.segments[0].offset):
			gone(start, fmt.Sprintf("(or what follows it up to offset %d) is missing", p.segments[0].offset-1))
		case len(p.segments) == 0 && p.old == nil && start == 0 && was.ID == p.m.topics[p.topic].ID && was.Bytes[strconv.Itoa(int(p.number))] > 0:
			gone(start, "is missing; the partition had records")
		}
	}
	if err := errors.Join(faults...); err != nil {
		return err
	}
	if !known {
		p.noteFront()
	}
	return p.removeOrphans()
}

// firstOffset is where the log begins; behind all offsets if there is none.
func (p *partition) firstOffset() int64 {
	if len(p.segments) == 0 {
		return math.MaxInt64
	}
	return p.segments[0].offset
}

// noteFront reports that a log begins behind its last known start, in a directory
// of a version that did not write down what it deleted.
func (p *partition) noteFront() {
	was := int64(0)
	if p.old != nil {
		was = p.old.LogStartOffset
	}
	if len(p.segments) == 0 || p.segments[0].offset <= was || p.leads(p.segments[0].offset) {
		return
	}
	p.m.note(damagedPart{File: p.name, Topic: p.topic, Partition: p.number, Offset: was, NextOffset: p.segments[0].offset,
		What: "the log begins later than it is known to. The version of kring that wrote it did not write down what it deleted: " +
			"these records may have been deleted or expired, and they may be lost"})
}

// had says whether the last snapshot has a segment that ends behind an offset, and
// begins at it or before: then checkSegments looks for it.
func (p *partition) had(offset int64) bool {
	return p.old != nil && slices.ContainsFunc(p.old.Segments, func(s snapshotSegment) bool { return s.BaseOffset <= offset && s.Size > 0 })
}

// leads says that the last snapshot's log began with this segment, too: an older
// version compacted away what was before.
func (p *partition) leads(offset int64) bool {
	return p.old != nil && len(p.old.Segments) > 0 && p.old.Segments[0].BaseOffset == offset
}

// endOf is where a segment ended that is not there, as far as the others tell; at
// least at a number.
func (p *partition) endOf(offset, least int64) int64 {
	next := int64(math.MaxInt64)
	behind := func(other int64) {
		if other > offset {
			next = min(next, other)
		}
	}
	for _, s := range p.segments {
		behind(s.offset)
	}
	for other := range p.orphans {
		behind(other)
	}
	if p.old != nil {
		for _, s := range p.old.Segments {
			behind(s.BaseOffset)
		}
		least = max(least, p.old.HighWatermark)
	}
	if next < math.MaxInt64 {
		return next
	}
	return least
}

// replaced says that the gaps in a log may be those that an older version's
// compaction left, since the last snapshot or before.
func (p *partition) replaced() bool {
	if !p.compact || p.m.clean {
		return false
	}
	known := p.m.manifest.Topics[p.topic].ID == p.m.topics[p.topic].ID // at the last start
	return p.m.starts == nil || p.old == nil && known
}

// removeOrphans removes indexes without a segment: those of what was deleted, or
// of what is missing and accepted.
func (p *partition) removeOrphans() (err error) {
	for offset := range p.orphans {
		err = errors.Join(err, os.Remove(p.path(strconv.FormatInt(offset, 10)+".idx")))
	}
	return err
}

// snapshotEnd is where the n-th segment of the last snapshot ended.
func (p *partition) snapshotEnd(n int) int64 {
	if n+1 < len(p.old.Segments) {
		return p.old.Segments[n+1].BaseOffset
	}
	return p.old.HighWatermark
}
