package embedded

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// What a topic's settings demand of records, and kfake does not check: keys in compacted
// topics, the bounds of timestamps, and the type of timestamp (Apache Kafka:
// LogValidator).

// validateProduce refuses the batches that a topic's settings do not allow, and sets the
// time of the others.
func validateProduce(x *exchange, req *kmsg.ProduceRequest) kmsg.Response {
	s := &batchValidation{x: x, now: time.Now().UnixMilli()}
	for i := range req.Topics {
		t := &req.Topics[i]
		if rules := x.cluster().settings.of(t.Topic); rules != nil {
			s.topic(t, rules)
		}
	}
	if len(s.refused) > 0 || len(s.appended) > 0 {
		then(x, s.complete)
	}
	return nil
}

// batchValidation is the validation of the batches of one request.
type batchValidation struct {
	x        *exchange
	now      int64
	refused  []kmsg.ProduceResponseTopic
	appended map[place]bool // who asked when is told now
}

func (s *batchValidation) topic(t *kmsg.ProduceRequestTopic, rules *topicRules) {
	var refused []kmsg.ProduceResponseTopicPartition
	good := t.Partitions[:0] // in place: what is read is ahead of what is written
	for _, p := range t.Partitions {
		if bad := s.partition(t.Topic, &p, rules); bad != nil {
			refused = append(refused, *bad)
			continue
		}
		good = append(good, p)
	}
	if len(refused) == 0 {
		return
	}
	t.Partitions, s.x.changed = good, true
	answer := kmsg.NewProduceResponseTopic()
	answer.Topic, answer.TopicID, answer.Partitions = t.Topic, t.TopicID, refused
	s.refused = append(s.refused, answer)
}

// partition returns the answer to a batch that must not be stored; nil: kfake gets it,
// perhaps changed.
func (s *batchValidation) partition(topic string, p *kmsg.ProduceRequestTopicPartition, rules *topicRules) *kmsg.ProduceResponseTopicPartition {
	b := recordBatch(p.Records)
	c := s.x.cluster()
	bad := kmsg.NewProduceResponseTopicPartition()
	bad.Partition, bad.BaseOffset, bad.LogAppendTime = p.Partition, -1, -1
	if fault := rules.formatFault(b, s.x.req.GetVersion()); fault != nil && c.partitionInfo(topic, p.Partition) != nil {
		bad.ErrorCode, bad.ErrorMessage = fault.answer()
		return &bad
	}
	if !rules.concerns(b, s.now) || !b.whole() || b.attributes()&batchControl != 0 {
		return nil
	}
	c.decoding.Lock()
	changed, refused := rules.judge(b, s.now, topic, &bad)
	c.decoding.Unlock()
	if !refused && rules.appendTime {
		refused = s.stamp(topic, &bad)
	}
	if refused {
		info := c.partitionInfo(topic, p.Partition)
		if info == nil {
			return nil // kfake says so
		}
		bad.LogStartOffset = info.LogStartOffset
		return &bad
	}
	if changed != nil {
		p.Records, s.x.changed = changed, true
	}
	return nil
}

// stamp notes that a batch gets its time from us, once for all in the data
// directory; if that fails the batch is refused.
func (s *batchValidation) stamp(topic string, bad *kmsg.ProduceResponseTopicPartition) (refused bool) {
	if err := s.x.cluster().settings.stamp(s.x.ask); err != nil {
		bad.ErrorCode, bad.ErrorMessage = kerr.UnknownServerError.Code, kmsg.StringPtr("the time of the records can't be set")
		return true
	}
	if s.appended == nil {
		s.appended = make(map[place]bool)
	}
	s.appended[place{topic, bad.Partition}] = true
	return false
}

// complete adds to kfake's response what was refused before it, and tells when
// the records came that asked for it.
func (s *batchValidation) complete(resp *kmsg.ProduceResponse) {
	for i := range resp.Topics {
		t := &resp.Topics[i]
		for j := range t.Partitions {
			if p := &t.Partitions[j]; p.ErrorCode == 0 && s.appended[place{t.Topic, p.Partition}] {
				p.LogAppendTime = s.now
			}
		}
	}
	mergeProduced(resp, s.refused)
}
