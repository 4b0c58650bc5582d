package replay

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/kafka"
)

// target is what is known of the server that is played to.
type target struct {
	cfg      *Config
	versions map[int16][2]int16
	topics   map[string]*targetTopic
	names    map[[16]byte]string
	brokers  map[int32]string // addresses
	leaders  map[part]int32   // as of the beginning

	mu   sync.Mutex
	logs map[part][2]int64 // guarded by mu; the offsets that there are: from, and the next
}

type targetTopic struct {
	id         [16]byte
	partitions int
}

type part struct {
	topic     string
	partition int32
}

// meet asks the target for what it serves, and for the topics that the recording needs.
func meet(ctx context.Context, c *Config, s *Summary) (*target, error) {
	within, cancel := context.WithTimeout(ctx, c.patience())
	defer cancel()
	conn, err := c.Dial(within, c.Target)
	if err != nil {
		return nil, fmt.Errorf("replay: the target can't be reached: %w", err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	a := &asker{Conn: conn, patience: c.patience()}
	t := &target{cfg: c, logs: map[part][2]int64{}}
	if err := a.login(c); err != nil {
		return nil, fmt.Errorf("replay: the target does not let the replay in: %w", err)
	}
	if err := t.learnVersions(a); err != nil {
		return nil, fmt.Errorf("replay: the target: %w", err)
	}
	if err := t.learnTopics(a, s.Names()); err != nil {
		return nil, fmt.Errorf("replay: the target: %w", err)
	}
	if err := t.complete(ctx, a, s); err != nil {
		return nil, fmt.Errorf("replay: the target: %w", err)
	}
	t.learnLogs(ctx, a, s)
	return t, nil
}

func (t *target) learnVersions(a *asker) error {
	resp, err := a.ask(kmsg.NewPtrApiVersionsRequest()) // version 0, which all have
	if err != nil {
		return err
	}
	r := resp.(*kmsg.ApiVersionsResponse)
	if r.ErrorCode != 0 {
		return fmt.Errorf("ApiVersions: %w", kerr.ErrorForCode(r.ErrorCode))
	}
	t.versions = map[int16][2]int16{}
	for _, k := range r.ApiKeys {
		t.versions[k.ApiKey] = [2]int16{k.MinVersion, k.MaxVersion}
	}
	return nil
}

// version is the highest version up to most that the target serves of an API.
func (t *target) version(q kmsg.Request, most int16) error {
	served, is := t.versions[q.Key()]
	v := min(most, served[1], q.MaxVersion())
	if !is || v < served[0] {
		return fmt.Errorf("%s is not served in a version up to %d", kmsg.NameForKey(q.Key()), most)
	}
	q.SetVersion(v)
	return nil
}

func (t *target) learnTopics(a *asker, names []string) error {
	t.topics, t.names = map[string]*targetTopic{}, map[[16]byte]string{}
	t.brokers, t.leaders = map[int32]string{}, map[part]int32{}
	for chunk := range slices.Chunk(names, 1000) {
		q := kmsg.NewPtrMetadataRequest()
		if err := t.version(q, 12); err != nil {
			return err
		}
		if q.Version < 4 {
			return fmt.Errorf("Metadata is served up to version %d: it would create each topic that is asked for; give a target that is newer than Kafka 0.11", q.Version)
		}
		for _, name := range chunk {
			one := kmsg.NewMetadataRequestTopic()
			one.Topic = &name
			q.Topics = append(q.Topics, one)
		}
		resp, err := a.ask(q)
		if err != nil {
			return err
		}
		for _, b := range resp.(*kmsg.MetadataResponse).Brokers {
			t.brokers[b.NodeID] = net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port)))
		}
		for _, is := range resp.(*kmsg.MetadataResponse).Topics {
			if is.Topic == nil || is.ErrorCode != 0 {
				continue
			}
			for _, p := range is.Partitions {
				t.leaders[part{*is.Topic, p.Partition}] = p.Leader
			}
			t.topics[*is.Topic] = &targetTopic{is.TopicID, len(is.Partitions)}
			if is.TopicID != [16]byte{} {
				t.names[is.TopicID] = *is.Topic
			}
		}
	}
	return nil
}

// complete creates the topics that are missing, or says that they are.
func (t *target) complete(ctx context.Context, a *asker, s *Summary) error {
	missing := t.missing(s)
	if len(missing) > 0 && t.cfg.CreateTopics {
		if err := t.create(ctx, a, s, missing); err != nil {
			return err
		}
		missing = t.missing(s)
	}
	if len(missing) > 0 {
		t.cfg.notice("%d topics of the recording are not there (%s): requests that name them are left out; --create-topics creates them", len(missing), some(missing))
	}
	var narrow []string
	for _, name := range s.Names() {
		if is := t.topics[name]; is != nil && is.partitions < s.Topics[name].Partitions {
			narrow = append(narrow, fmt.Sprintf("%s has %d of %d", name, is.partitions, s.Topics[name].Partitions))
		}
	}
	if len(narrow) > 0 {
		t.cfg.notice("topics have fewer partitions than in the recording (%s): requests for the others get errors; create them with as many", some(narrow))
	}
	return nil
}

// some are the first of many.
func some(all []string) string {
	const most = 5
	if len(all) > most {
		return strings.Join(all[:most], ", ") + ", …"
	}
	return strings.Join(all, ", ")
}

func (t *target) missing(s *Summary) (all []string) {
	for _, name := range s.Names() {
		if t.topics[name] == nil {
			all = append(all, name)
		}
	}
	return all
}

func (t *target) create(ctx context.Context, a *asker, s *Summary, missing []string) error {
	q := kmsg.NewPtrCreateTopicsRequest()
	if err := t.version(q, 5); err != nil {
		return err
	}
	q.TimeoutMillis = int32(min(t.cfg.patience(), time.Minute).Milliseconds())
	for _, name := range missing {
		one := kmsg.NewCreateTopicsRequestTopic()
		one.Topic, one.NumPartitions, one.ReplicationFactor = name, int32(s.Topics[name].Partitions), 1
		if q.Version >= 4 {
			one.ReplicationFactor = -1 // the target's default
		}
		q.Topics = append(q.Topics, one)
	}
	resp, err := a.ask(q)
	if err != nil {
		return err
	}
	var refused []string
	for _, is := range resp.(*kmsg.CreateTopicsResponse).Topics {
		if is.ErrorCode != 0 && is.ErrorCode != kerr.TopicAlreadyExists.Code {
			refused = append(refused, fmt.Sprintf("%q: %v", is.Topic, kerr.ErrorForCode(is.ErrorCode)))
		}
	}
	if len(refused) > 0 { // clients may have asked for names that no topic can have
		t.cfg.notice("%d topics can't be created (%s)", len(refused), some(refused))
	}
	// They are there when leaders are.
	for end := time.Now().Add(t.cfg.patience()); ; {
		if err := t.learnTopics(a, s.Names()); err != nil {
			return err
		}
		if len(t.missing(s)) <= len(refused) || time.Now().After(end) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// learnLogs asks leaders which offsets there are in what is consumed. Without an answer they are
// learned from those to the replay.
func (t *target) learnLogs(ctx context.Context, a *asker, s *Summary) {
	for _, timestamp := range []int64{firstOffset, nextOffset} {
		q := t.logsQuestion(s, timestamp)
		if q == nil {
			return
		}
		for _, one := range t.split(q) {
			if one.node == itself {
				t.askLogs(a, one.req, timestamp)
				continue
			}
			within, cancel := context.WithTimeout(ctx, t.cfg.patience())
			conn, err := t.cfg.Dial(within, t.address(one.node))
			cancel()
			if err != nil {
				continue // what is sent to it says so
			}
			of := &asker{Conn: conn, patience: t.cfg.patience()}
			ends := context.AfterFunc(ctx, func() { _ = conn.Close() })
			if of.login(t.cfg) == nil {
				t.askLogs(of, one.req, timestamp)
			}
			ends()
			_ = conn.Close()
		}
	}
}

// The timestamps of ListOffsets that are none.
const (
	nextOffset  = -1
	firstOffset = -2
)

// logsQuestion asks for an offset of each partition that is consumed; nil: there is none, or the
// target does not serve it.
func (t *target) logsQuestion(s *Summary, timestamp int64) *kmsg.ListOffsetsRequest {
	q := kmsg.NewPtrListOffsetsRequest()
	if t.version(q, 5) != nil || q.Version < 1 {
		return nil
	}
	q.ReplicaID = -1
	for _, name := range s.Names() {
		is := t.topics[name]
		if is == nil || !s.Topics[name].fetched {
			continue
		}
		one := kmsg.NewListOffsetsRequestTopic()
		one.Topic = name
		for p := range is.partitions {
			of := kmsg.NewListOffsetsRequestTopicPartition()
			of.Partition, of.CurrentLeaderEpoch, of.Timestamp = int32(p), -1, timestamp
			one.Partitions = append(one.Partitions, of)
		}
		q.Topics = append(q.Topics, one)
	}
	if len(q.Topics) == 0 {
		return nil
	}
	return q
}

func (t *target) askLogs(a *asker, q kmsg.Request, timestamp int64) {
	resp, err := a.ask(q)
	if err != nil {
		return
	}
	for _, topic := range resp.(*kmsg.ListOffsetsResponse).Topics {
		for _, p := range topic.Partitions {
			if p.ErrorCode == 0 {
				t.noteLog(part{topic.Topic, p.Partition}, timestamp == firstOffset, p.Offset)
			}
		}
	}
}

func (t *target) noteLog(p part, first bool, offset int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	is := t.logs[p]
	if first {
		is[0] = offset
	}
	is[1] = max(is[1], offset)
	t.logs[p] = is
}

// near is the offset of a partition that is nearest to one of the recording.
func (t *target) near(p part, offset int64) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	is, known := t.logs[p]
	if !known {
		return offset
	}
	return min(max(offset, is[0]), is[1])
}

// learn notes what an answer to Produce or Fetch says of the offsets that there are.
func (t *target) learn(key, version int16, answer []byte) {
	switch key {
	case int16(kmsg.Produce):
		r := kmsg.NewPtrProduceResponse()
		r.Version = version
		if kafka.DecodeResponse(bodyOf(key, version, answer), r) != nil {
			return
		}
		for i := range r.Topics {
			name := t.nameOf(r.Topics[i].Topic, r.Topics[i].TopicID)
			for _, p := range r.Topics[i].Partitions {
				if p.ErrorCode == 0 && p.BaseOffset >= 0 {
					t.noteLog(part{name, p.Partition}, false, p.BaseOffset+1)
				}
			}
		}
	case int16(kmsg.Fetch):
		r := kmsg.NewPtrFetchResponse()
		r.Version = version
		if kafka.DecodeResponse(bodyOf(key, version, answer), r) != nil {
			return
		}
		for i := range r.Topics {
			name := t.nameOf(r.Topics[i].Topic, r.Topics[i].TopicID)
			for k := range r.Topics[i].Partitions {
				p := &r.Topics[i].Partitions[k]
				if p.ErrorCode != 0 {
					continue
				}
				if version >= 5 && p.LogStartOffset >= 0 {
					t.noteLog(part{name, p.Partition}, true, p.LogStartOffset)
				}
				t.noteLog(part{name, p.Partition}, false, p.HighWatermark)
			}
		}
	}
}

func (t *target) nameOf(name string, id [16]byte) string {
	if name == "" {
		return t.names[id]
	}
	return name
}
