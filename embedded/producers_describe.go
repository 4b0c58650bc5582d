package embedded

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	// producersReadMax is how much of the ends of logs is read for one
	// DescribeProducers, all its partitions together.
	producersReadMax = 64 << 20
	producersReadMin = 1 << 10 // of one partition
	// producerKept is how long a partition knows a producer that writes no more
	// [producer.id.expiration.ms].
	producerKept = 24 * time.Hour
)

// describeProducers lists every producer whose state a partition has, as Apache
// Kafka does: kfake lists those whose transaction is open. The others are in the
// batches at the log's end.
func describeProducers(x *exchange, req *kmsg.DescribeProducersRequest) kmsg.Response {
	partitions := 0
	for i := range req.Topics {
		partitions += len(req.Topics[i].Partitions)
	}
	then(x, func(resp *kmsg.DescribeProducersResponse) {
		for i := range resp.Topics {
			for j := range resp.Topics[i].Partitions {
				p := &resp.Topics[i].Partitions[j]
				if p.ErrorCode != 0 {
					continue
				}
				states, err := x.producersOf(resp.Topics[i].Topic, p.Partition, max(producersReadMin, producersReadMax/max(partitions, 1)))
				if err != nil {
					x.fail(err)
					return
				}
				p.ActiveProducers = states.list(p.ActiveProducers, time.Now())
			}
		}
	})
	return nil
}

// producerState is what a partition knows of a producer.
type producerState struct {
	epoch       int16
	sequence    int32 // of the last record, -1: none of this epoch
	coordinator int32 // epoch of the last marker's, -1: there was none
	timestamp   int64 // of the last batch, milliseconds
	start       int64 // of the open transaction, -1: none
	last        int64 // offset of the last batch
}

type producerStates map[int64]*producerState

// producersOf reads about the last bytes of a log.
func (x *exchange) producersOf(topic string, partition int32, bytes int) (producerStates, error) {
	states := make(producerStates)
	at := x.cluster().partitionInfo(topic, partition)
	if at == nil {
		return states, nil
	}
	from := at.LogStartOffset
	if at.NumBytes > int64(bytes) {
		from = at.HighWatermark - int64(float64(at.HighWatermark-from)*float64(bytes)/float64(at.NumBytes))
	}
	for last := int64(-1); last < from && from < at.HighWatermark; {
		last = from
		batches, err := readLog(x.ask, topic, partition, from, retentionFetchBytes)
		if err != nil {
			return nil, err
		}
		for h, b := range wholeBatches(batches) {
			states.batch(&h, b.maxTimestamp())
			from = h.next()
		}
	}
	return states, nil
}

// batch takes a batch into account as Apache Kafka does (ProducerAppendInfo).
func (p producerStates) batch(h *batchHead, timestamp int64) {
	if h.producer < 0 {
		return
	}
	s := p[h.producer]
	if s == nil {
		if len(p) == producersMax {
			p.forget()
		}
		s = &producerState{sequence: -1, coordinator: -1, start: -1}
		p[h.producer] = s
	}
	if s.epoch != h.producerEpoch {
		s.epoch, s.sequence = h.producerEpoch, -1
	}
	s.timestamp, s.last = timestamp, h.offset
	if h.control() {
		s.coordinator, s.start = 0, -1
		return
	}
	s.sequence = int32((int64(h.sequence) + int64(h.lastDelta)) & math.MaxInt32) // it goes on at 0
	if h.uncommitted() && s.start < 0 {
		s.start = h.offset
	}
}

// forget drops the half of the producers that wrote longest ago.
func (p producerStates) forget() {
	lasts := make([]int64, 0, len(p))
	for _, s := range p {
		lasts = append(lasts, s.last)
	}
	slices.Sort(lasts)
	for id, s := range p {
		if s.last < lasts[len(lasts)/2] {
			delete(p, id)
		}
	}
}

// list is the answer; open are those whose transaction is open, which kfake knows
// where it began before what was read.
func (p producerStates) list(open []kmsg.DescribeProducersResponseTopicPartitionActiveProducer, now time.Time) []kmsg.DescribeProducersResponseTopicPartitionActiveProducer {
	list := make([]kmsg.DescribeProducersResponseTopicPartitionActiveProducer, 0, len(p))
	for _, o := range open {
		if s := p[o.ProducerID]; s == nil && o.CurrentTxnStartOffset >= 0 {
			list = append(list, o)
		} else if s != nil && s.start < 0 && s.coordinator < 0 && o.CurrentTxnStartOffset >= 0 { // no end was read
			s.start = o.CurrentTxnStartOffset
		}
	}
	for id, s := range p {
		if s.start < 0 && now.UnixMilli()-s.timestamp >= producerKept.Milliseconds() {
			continue
		}
		a := kmsg.NewDescribeProducersResponseTopicPartitionActiveProducer()
		a.ProducerID, a.ProducerEpoch, a.LastSequence = id, int32(s.epoch), s.sequence
		a.LastTimestamp, a.CoordinatorEpoch, a.CurrentTxnStartOffset = s.timestamp, s.coordinator, s.start
		list = append(list, a)
	}
	slices.SortFunc(list, func(a, b kmsg.DescribeProducersResponseTopicPartitionActiveProducer) int {
		return cmp.Compare(a.ProducerID, b.ProducerID)
	})
	return list
}
