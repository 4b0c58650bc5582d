package embedded

import (
	"errors"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Retention is applied here and not by kfake, which does it once an hour, only for topics
// with retention settings of their own, deletes from topics that are compacted only, and
// deletes everything before an old record among new ones. Here a prefix of the log is
// deleted, in whole batches, while its records are too old or the log is too large, and
// never past the last stable offset.

const (
	// retentionEvery is how often logs are looked at
	// [log.retention.check.interval.ms].
	retentionEvery = 5 * time.Minute
	// retentionFirst is when they are for the first time, as in Apache Kafka.
	retentionFirst = 30 * time.Second
	// retentionFetchBytes is how much of a log is read at once to see where its
	// batches end.
	retentionFetchBytes = 1 << 20
)

// janitor applies retention until it is stopped.
type janitor struct {
	cluster *Cluster
	stop    chan struct{}
	stopped sync.WaitGroup
}

func startJanitor(c *Cluster) *janitor {
	j := &janitor{cluster: c, stop: make(chan struct{})}
	j.stopped.Go(j.run)
	return j
}

func (j *janitor) run() {
	timer := time.NewTimer(retentionFirst)
	defer timer.Stop()
	for {
		select {
		case <-j.stop:
			return
		case <-timer.C:
		}
		if err := j.cluster.retain(time.Now(), j.stop); err != nil {
			j.cluster.log.Error("embedded: retention failed; it is tried again", "in", retentionEvery, "error", err)
		}
		if err := j.cluster.describeDir(); err != nil {
			j.cluster.log.Error("embedded: "+manifestName+" is as it was; it is tried again", "in", retentionEvery, "error", err)
		}
		timer.Reset(retentionEvery)
	}
}

// close ends it, and waits.
func (j *janitor) close() {
	close(j.stop)
	j.stopped.Wait()
}

// partitionCounts is how many partitions each topic has.
func (c *Cluster) partitionCounts() (map[string]int, error) {
	req := kmsg.NewPtrMetadataRequest()
	req.Version = 4 // no topics: all of them
	resp, err := c.inside.ask(req)
	if err != nil {
		return nil, err
	}
	of := make(map[string]int)
	for _, t := range resp.(*kmsg.MetadataResponse).Topics {
		if t.Topic != nil {
			of[*t.Topic] = len(t.Partitions)
		}
	}
	return of, nil
}

// retain deletes what the settings of topics don't keep.
func (c *Cluster) retain(now time.Time, stop <-chan struct{}) error {
	topics, err := c.partitionCounts()
	if err != nil {
		return err
	}
	for topic := range topics {
		rules := c.settings.of(topic)
		if rules == nil || !rules.expires || rules.retainMillis < 0 && rules.retainBytes < 0 {
			continue
		}
		for _, p := range c.partitionInfos(topic) {
			select {
			case <-stop:
				return nil
			default:
			}
			if err := c.retainPartition(topic, rules, partitionState{
				p.Partition, p.LogStartOffset, min(p.HighWatermark, p.LastStableOffset), p.MaxTimestamp, p.NumBytes,
			}, now); err != nil {
				return err
			}
		}
	}
	return nil
}

// partitionState is what retention asks of a partition.
type partitionState struct {
	partition    int32
	start, end   int64 // of what may be deleted
	maxTimestamp int64
	bytes        int64
}

func (c *Cluster) retainPartition(topic string, rules *topicRules, p partitionState, now time.Time) error {
	if p.start >= p.end {
		return nil
	}
	from, err := c.firstKept(topic, rules, p, now.UnixMilli())
	if err != nil {
		return err
	}
	if from = min(from, p.end); from == p.start {
		return nil
	}
	err = c.deleteBefore(topic, p.partition, from)
	if errors.Is(err, kerr.UnknownTopicOrPartition) || errors.Is(err, kerr.OffsetOutOfRange) {
		return nil // it was deleted meanwhile
	}
	return err
}

// firstKept is the offset of the first batch that is to stay: neither are all its
// records too old, nor is the log too large with it. It reads no more than what
// goes and the batch behind it, and decodes no records.
func (c *Cluster) firstKept(topic string, rules *topicRules, p partitionState, now int64) (int64, error) {
	tooOld := func(maxTimestamp int64) bool {
		return rules.retainMillis >= 0 && maxTimestamp >= 0 && now-maxTimestamp > rules.retainMillis
	}
	if tooOld(p.maxTimestamp) {
		return p.end, nil
	}
	excess := int64(-1)
	if rules.retainBytes >= 0 {
		excess = p.bytes - rules.retainBytes
	}
	from, atOnce := p.start, int32(1) // which is one batch
	for last := int64(-1); last < from && from < p.end; {
		last = from
		batches, err := c.read(topic, p.partition, from, atOnce)
		if err != nil || len(batches) < batchRecordsAt {
			return from, err
		}
		atOnce = retentionFetchBytes
		for h, b := range wholeBatches(batches) {
			if excess -= h.bytes; excess < 0 && !tooOld(b.maxTimestamp()) {
				return from, nil
			}
			from = h.next()
		}
	}
	return from, nil
}

// read fetches a part of a log of about bytes, of at least one batch; nothing where
// there is none.
func (c *Cluster) read(topic string, partition int32, from int64, bytes int32) ([]byte, error) {
	return readLog(c.inside.ask, topic, partition, from, bytes)
}

func readLog(ask asker, topic string, partition int32, from int64, bytes int32) ([]byte, error) {
	t := kmsg.NewFetchRequestTopic()
	t.Topic = topic
	resp, err := ask(fetchRequest(11, t, partition, from, bytes))
	if err != nil {
		return nil, err
	}
	for _, t := range resp.(*kmsg.FetchResponse).Topics {
		for _, p := range t.Partitions {
			return p.RecordBatches, nil
		}
	}
	return nil, nil
}

// fetchRequest asks for records of one partition from an offset on, without waiting and in no
// fetch session. topic has the topic's name, or its id where the version goes by that.
func fetchRequest(version int16, topic kmsg.FetchRequestTopic, partition int32, from int64, bytes int32) *kmsg.FetchRequest {
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.PartitionMaxBytes, p.CurrentLeaderEpoch = partition, from, bytes, -1
	topic.Partitions = []kmsg.FetchRequestTopicPartition{p}
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.ReplicaID, req.MaxBytes, req.SessionEpoch = version, -1, bytes, noSession
	req.Topics = []kmsg.FetchRequestTopic{topic}
	return req
}

// keepCompacted refuses to delete records of a topic that is compacted only, as
// Apache Kafka does.
func keepCompacted(x *exchange, req *kmsg.DeleteRecordsRequest) kmsg.Response {
	var refused []kmsg.DeleteRecordsResponseTopic
	good := req.Topics[:0:0]
	for _, t := range req.Topics {
		rules := x.cluster().settings.of(t.Topic)
		if rules == nil || rules.expires {
			good = append(good, t)
			continue
		}
		bad := kmsg.NewDeleteRecordsResponseTopic()
		bad.Topic = t.Topic
		for _, p := range t.Partitions {
			answer := kmsg.NewDeleteRecordsResponseTopicPartition()
			answer.Partition, answer.ErrorCode, answer.LowWatermark = p.Partition, kerr.PolicyViolation.Code, -1
			bad.Partitions = append(bad.Partitions, answer)
		}
		refused = append(refused, bad)
	}
	if len(refused) > 0 {
		req.Topics, x.changed = good, true
	}
	then(x, func(resp *kmsg.DeleteRecordsResponse) {
		for i := range resp.Topics {
			for j := range resp.Topics[i].Partitions {
				if p := &resp.Topics[i].Partitions[j]; p.ErrorCode != 0 {
					p.LowWatermark = -1
				}
			}
		}
		resp.Topics = append(resp.Topics, refused...)
	})
	return nil
}
