package embedded

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// snapshot is kfake's snapshot.json. kfake reads it to the letter while the
// segments have the sizes in it, and replays the partition otherwise, with
// every record in memory at once.
type snapshot struct {
	Version          int               `json:"version"`
	HighWatermark    int64             `json:"high_watermark"`
	LastStableOffset int64             `json:"last_stable_offset"`
	LogStartOffset   int64             `json:"log_start_offset"`
	Epoch            int32             `json:"epoch"`
	LeaderNode       int32             `json:"leader_node,omitempty"`
	MaxTimestamp     int64             `json:"max_timestamp"`
	CreatedAt        time.Time         `json:"created_at"`
	AbortedTxns      []abortedTxn      `json:"aborted_txns,omitempty"`
	Segments         []snapshotSegment `json:"segments"`
}

type abortedTxn struct {
	ProducerID  int64 `json:"producer_id"`
	FirstOffset int64 `json:"first_offset"`
	LastOffset  int64 `json:"last_offset"`
}

type snapshotSegment struct {
	BaseOffset int64 `json:"base_offset"`
	Size       int64 `json:"size"`
	MinEpoch   int32 `json:"min_epoch,omitempty"`
	MaxEpoch   int32 `json:"max_epoch,omitempty"`
}

// readSnapshot reads the snapshot of a partition's folder.
func readSnapshot(dir string) (*snapshot, error) {
	raw, err := os.ReadFile(filepath.Join(dir, "snapshot.json"))
	if err != nil {
		return nil, err
	}
	s := new(snapshot)
	if err := json.Unmarshal(raw, s); err != nil {
		return nil, err
	}
	s.ungated()
	if s.Version != layoutVersion || s.LogStartOffset < 0 || s.LogStartOffset > s.HighWatermark || s.LastStableOffset > s.HighWatermark {
		return nil, errors.New("version or offsets that cannot be")
	}
	return s, nil
}

// checksum is of what the snapshot says, not of its bytes.
func (s *snapshot) checksum() uint32 {
	raw, err := json.Marshal(s)
	if err != nil {
		return 0 // a time that cannot be written down: as good as any
	}
	return crc32.Checksum(raw, castagnoli)
}

func (p *partition) readSnapshot() {
	s, err := readSnapshot(p.path(""))
	sum, known := p.m.manifest.Snapshots[filepath.Base(p.name)]
	if errors.Is(err, fs.ErrNotExist) && !known {
		return
	}
	if err == nil && known && sum != s.checksum() {
		err = errors.New("it was changed since the cluster stopped")
	}
	if err != nil {
		p.misread = true
		p.m.note(damagedPart{File: filepath.Join(p.name, "snapshot.json"), NextOffset: -1,
			What: fmt.Sprintf("unreadable (%v); it was made anew from the segments. Records that were deleted from within a segment may be back", err)})
		return
	}
	p.old = s
	p.fresh = len(s.Segments) == len(p.segments)
	for i := 0; p.fresh && i < len(p.segments); i++ {
		p.fresh = s.Segments[i].BaseOffset == p.segments[i].offset && s.Segments[i].Size == p.segments[i].size
	}
	if n := len(p.segments); p.fresh && n > 0 {
		p.segments[n-1].end = s.HighWatermark
	}
}

// writeSnapshot has kfake read the segments one by one instead of replaying
// them all in memory.
func (p *partition) writeSnapshot() error {
	end := p.nextOffset()
	if p.batches() == 0 {
		end = p.end()
		if err := p.keepEnd(end); err != nil {
			return err
		}
	}
	if err := p.dropEmpty(); err != nil {
		return err
	}
	if len(p.segments) == 0 || p.fresh && !p.changed() && p.old.HighWatermark == end {
		return nil
	}
	if err := p.m.forgetSnapshots(); err != nil {
		return err
	}
	n := snapshot{Version: layoutVersion, HighWatermark: end, LastStableOffset: end, AbortedTxns: p.aborted, CreatedAt: time.Now()}
	n.LogStartOffset = p.segments[0].offset
	if p.batches() == 0 {
		n.LogStartOffset = end
	}
	if p.old != nil {
		n.CreatedAt, n.Epoch, n.LeaderNode = p.old.CreatedAt, p.old.Epoch, p.old.LeaderNode
		if len(p.old.Segments) > 0 && p.old.Segments[0].BaseOffset == p.segments[0].offset {
			n.LogStartOffset = max(n.LogStartOffset, min(p.old.LogStartOffset, end))
		}
	} else if t := p.producers.firstTime; t > 0 {
		n.CreatedAt = time.UnixMilli(t)
	}
	for _, s := range p.segments {
		n.Segments = append(n.Segments, snapshotSegment{BaseOffset: s.offset, Size: s.size, MinEpoch: s.epochMin, MaxEpoch: s.epochMax})
		if s.batches > 0 {
			n.Epoch = s.epochMax
		}
	}
	for _, t := range p.producers.open {
		n.LastStableOffset = min(n.LastStableOffset, t.first)
	}
	slices.SortFunc(n.AbortedTxns, func(a, b abortedTxn) int { return int(min(max(a.LastOffset-b.LastOffset, -1), 1)) })
	raw, err := json.Marshal(n)
	if err != nil {
		return err
	}
	synced := unsynced // as safe as the records
	if p.m.sync {
		synced = (*os.File).Sync
	}
	return p.m.change(func() error { return replaceSynced(p.path("snapshot.json"), bytes.NewReader(raw), synced) })
}
