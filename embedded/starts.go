package embedded

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// starts stores the start offsets of logs from which records were deleted. kfake writes
// them only at an orderly stop: after kill -9 deleted records were back, and a log with
// nothing left began at offset 0 again, below what groups had committed.
//
// It is written before the records are deleted, and applied at the next start.
type starts struct {
	dir    string // empty: memory
	synced func(*os.File) error

	mu sync.Mutex
	at map[string]*topicStart // guarded by mu; by topic
}

type topicStart struct {
	ID         string          `json:"id"` // of the topic, as kfake writes it
	Partitions map[int32]int64 `json:"partitions"`
}

const (
	startsName = "log_starts.json"
	// startsMax is of how many topics a start is remembered before those are
	// looked for that are no more.
	startsMax = 1024
)

func newStarts(dir string, synced func(*os.File) error) *starts {
	return &starts{dir: dir, synced: synced, at: make(map[string]*topicStart)}
}

func (s *starts) path() string { return filepath.Join(s.dir, startsName) }

// read is what the last process wrote.
func (s *starts) read() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.at)
	raw, err := os.ReadFile(s.path())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		s.at, _, err = decodeStarts(raw)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", startsName, err)
	}
	return nil
}

// decodeStarts reads a line of JSON and a line with its checksum, which older
// versions did not write.
func decodeStarts(raw []byte) (at map[string]*topicStart, summed bool, err error) {
	line, sum, summed := bytes.Cut(raw, []byte("\n"))
	if summed && string(sum) != fmt.Sprintf(manifestSum, crc32.Checksum(line, castagnoli)) {
		return nil, true, errors.New("is unreadable: its checksum is wrong")
	}
	if err := json.Unmarshal(line, &at); err != nil {
		return nil, summed, fmt.Errorf("is unreadable: %w", err)
	}
	if at == nil {
		at = make(map[string]*topicStart)
	}
	for topic, t := range at {
		if t == nil {
			delete(at, topic)
		} else if t.Partitions == nil {
			t.Partitions = make(map[int32]int64)
		}
	}
	return at, summed, nil
}

// write writes the file as a whole. The caller holds mu.
func (s *starts) write() error {
	line, err := json.Marshal(s.at)
	if err != nil {
		return err
	}
	return replaceSynced(s.path(), bytes.NewReader(fmt.Appendf(line, "\n"+manifestSum, crc32.Checksum(line, castagnoli))), s.synced)
}

// begin writes the file where there is none, or one without a checksum: from now on it says of every log
// where it starts, and is missed when it is gone.
func (s *starts) begin() (began bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	raw, err := os.ReadFile(s.path())
	if err == nil {
		if _, summed, err := decodeStarts(raw); summed || err != nil {
			return false, err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	return true, s.write()
}

// begun is where partitions of a topic will start.
type begun struct {
	topic      string
	id         [16]byte
	partitions map[int32]int64
}

// note stores all, or nothing: what is not deleted now must not be at the next start. sync
// follows the file.
func (s *starts) note(all []begun, exists func(topic, id string) bool, sync func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := maps.Clone(s.at)
	for _, b := range all {
		s.add(b, exists)
	}
	err := s.write()
	if err == nil {
		err = sync()
	}
	if err != nil {
		s.at = before
		_ = s.write() // the file may have been replaced before it failed
	}
	return err
}

// add changes no topicStart, only which one a topic has. The caller holds mu.
func (s *starts) add(b begun, exists func(topic, id string) bool) {
	t := &topicStart{ID: base64.StdEncoding.EncodeToString(b.id[:]), Partitions: make(map[int32]int64)}
	if old := s.at[b.topic]; old != nil && old.ID == t.ID {
		maps.Copy(t.Partitions, old.Partitions)
	} else if len(s.at) >= startsMax {
		s.prune(exists)
	}
	for p, offset := range b.partitions {
		t.Partitions[p] = max(t.Partitions[p], offset)
	}
	s.at[b.topic] = t
}

// prune forgets deleted topics. The caller holds mu.
func (s *starts) prune(exists func(topic, id string) bool) {
	for topic, t := range s.at {
		if !exists(topic, t.ID) {
			delete(s.at, topic)
		}
	}
}

// keepEnds makes an empty segment where a log has none left, so that it goes on
// at its offset: kfake looks at a snapshot only beside a segment.
func (s *starts) keepEnds() error {
	if s.dir == "" {
		return nil
	}
	if err := s.read(); err != nil {
		return err
	}
	ids, err := s.topicIDs()
	if err != nil || len(ids) == 0 {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for topic, t := range s.at {
		if ids[topic] != t.ID {
			continue
		}
		for p, offset := range t.Partitions {
			if err := s.keepEnd(partitionDir(s.dir, topic, p), offset); err != nil {
				return err
			}
		}
	}
	return nil
}

// topicIDs are the topics that kfake will find; one that it can't read is its to
// complain about.
func (s *starts) topicIDs() (map[string]string, error) {
	raw, err := os.ReadFile(filepath.Join(s.dir, "topics.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var file struct {
		Topics []struct {
			Name string `json:"name"`
			ID   string `json:"id"`
		} `json:"topics"`
	}
	if err != nil || json.Unmarshal(raw, &file) != nil {
		return nil, err
	}
	ids := make(map[string]string, len(file.Topics))
	for _, t := range file.Topics {
		ids[t.Name] = t.ID
	}
	return ids, nil
}

func (s *starts) keepEnd(dir string, offset int64) error {
	empty, err := emptySegments(dir)
	if err != nil || empty == nil {
		return err
	}
	for _, path := range empty {
		base, _ := strconv.ParseInt(strings.TrimSuffix(filepath.Base(path), ".dat"), 10, 64)
		if base > offset {
			return nil // it ended later
		}
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	snapshot := fmt.Sprintf(`{"version":1,"high_watermark":%d,"last_stable_offset":%[1]d,"log_start_offset":%[1]d,`+
		`"segments":[{"base_offset":%[1]d,"size":0}]}`, offset)
	return errors.Join(
		os.WriteFile(filepath.Join(dir, strconv.FormatInt(offset, 10)+".dat"), nil, 0o644),
		replaceSynced(filepath.Join(dir, "snapshot.json"), strings.NewReader(snapshot), s.synced),
	)
}

// emptySegments are the segments of a partition that has no others; nil when one
// has something in it, or nothing was ever written.
func emptySegments(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	empty := []string{}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".dat") {
			continue
		}
		info, err := os.Stat(filepath.Join(dir, e.Name())) // of what a link points to
		if err != nil {
			return nil, err
		}
		if info.Size() > 0 {
			return nil, nil
		}
		empty = append(empty, filepath.Join(dir, e.Name()))
	}
	return empty, nil
}

// applyStarts deletes again what was deleted when kfake was killed.
func (c *Cluster) applyStarts() error {
	c.starts.mu.Lock()
	defer c.starts.mu.Unlock()
	c.starts.prune(c.topicExists)
	for topic, t := range c.starts.at {
		for p, offset := range t.Partitions {
			at := c.kfake.PartitionInfo(topic, p)
			if at == nil || offset <= at.LogStartOffset || offset > at.HighWatermark {
				continue
			}
			if err := c.kfake.DeleteRecords(topic, p, offset); err != nil {
				return fmt.Errorf("start of %s-%d: %w", topic, p, err)
			}
		}
	}
	return nil
}

// topicExists: the caller sees to it that kfake runs.
func (c *Cluster) topicExists(topic, id string) bool {
	at := c.kfake.TopicInfo(topic)
	return at != nil && base64.StdEncoding.EncodeToString(at.TopicID[:]) == id
}

// deleteBefore deletes the records of a partition before an offset, -1 being its
// end, so that they stay deleted.
func (c *Cluster) deleteBefore(topic string, partition int32, offset int64) error {
	c.live.RLock()
	defer c.live.RUnlock()
	if c.kfake == nil {
		return errWriteFailed
	}
	offsets := map[int32]int64{partition: offset}
	if err := c.noteStarts(c.begins(topic, offsets)); err != nil {
		return err
	}
	return c.kfake.DeleteRecords(topic, partition, offsets[partition])
}

// begins is where partitions will start, and sets offsets to what kfake is asked for: not
// "the end", which moves meanwhile, and not an offset beyond the present end. What is
// deleted without being noted would count as missing at the next start. The caller holds
// live.
func (c *Cluster) begins(topic string, offsets map[int32]int64) begun {
	b := begun{topic: topic, partitions: make(map[int32]int64)}
	info := c.kfake.TopicInfo(topic)
	if c.starts.dir == "" || info == nil {
		return b
	}
	b.id = info.TopicID
	for p, offset := range offsets {
		at := c.kfake.PartitionInfo(topic, p)
		if at == nil {
			continue
		}
		if offset == -1 {
			offset = at.HighWatermark
		} else if offset > at.HighWatermark {
			offset = math.MaxInt64
		}
		offsets[p] = offset
		if offset > at.LogStartOffset && offset <= at.HighWatermark { // else kfake refuses, or does nothing
			b.partitions[p] = offset
		}
	}
	return b
}

// noteStarts stores what begins said, before anything is deleted.
func (c *Cluster) noteStarts(all ...begun) error {
	all = slices.DeleteFunc(all, func(b begun) bool { return len(b.partitions) == 0 })
	if len(all) == 0 {
		return nil
	}
	err := c.starts.note(all, c.topicExists, func() error {
		if !c.cfg.SyncWrites {
			return nil
		}
		return c.syncs.directory(c.cfg.DataDir)
	})
	if err != nil {
		return fmt.Errorf("write %s: %w", startsName, err) // and nothing was deleted
	}
	return nil
}

// keepDeleted writes down where logs will start before kfake deletes records.
func keepDeleted(x *exchange, req *kmsg.DeleteRecordsRequest) kmsg.Response {
	c := x.cluster()
	c.live.RLock()
	defer c.live.RUnlock()
	if c.starts.dir == "" || c.kfake == nil {
		return nil // kfake, if it runs, has nothing to keep
	}
	var all []begun
	for i := range req.Topics {
		offsets := make(map[int32]int64, len(req.Topics[i].Partitions))
		for _, p := range req.Topics[i].Partitions {
			offsets[p.Partition] = p.Offset
		}
		all = append(all, c.begins(req.Topics[i].Topic, offsets))
		for j := range req.Topics[i].Partitions {
			p := &req.Topics[i].Partitions[j]
			x.changed = x.changed || p.Offset != offsets[p.Partition]
			p.Offset = offsets[p.Partition]
		}
	}
	if err := c.noteStarts(all...); err != nil {
		return refusalOf(req, kerr.KafkaStorageError.Code, err.Error())
	}
	return nil
}
