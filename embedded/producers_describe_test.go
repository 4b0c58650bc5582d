package embedded

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// at sets the time of a batch.
func (b recordBatch) at(when time.Time) []byte {
	binary.BigEndian.PutUint64(b[batchFirstTimeAt:], uint64(when.UnixMilli()))
	binary.BigEndian.PutUint64(b[batchMaxTimeAt:], uint64(when.UnixMilli()))
	b.seal()
	return b
}

type describedProducer = kmsg.DescribeProducersResponseTopicPartitionActiveProducer

// producersIn are the producers of partition 0, by id.
func producersIn(t *testing.T, c *Cluster, topic string) map[int64]describedProducer {
	t.Helper()
	req, of := kmsg.NewPtrDescribeProducersRequest(), kmsg.NewDescribeProducersRequestTopic()
	of.Topic, of.Partitions = topic, []int32{0, 9}
	req.Topics = append(req.Topics, of)
	p := answer[*kmsg.DescribeProducersResponse](t, c, 0, req).Topics[0].Partitions
	if p[0].ErrorCode != 0 || p[1].ErrorCode == 0 {
		t.Fatalf("%+v", p)
	}
	got := make(map[int64]describedProducer)
	for _, a := range p[0].ActiveProducers {
		got[a.ProducerID] = a
	}
	return got
}

// Operators look for who wrote a partition, whether its transaction is open or not.
func TestEveryProducerOfAPartitionIsDescribed(t *testing.T) {
	dir := t.TempDir()
	c := open(t, Config{Seed: []Topic{{txnTopic, 1}}, DataDir: dir})
	if got := producersIn(t, c, txnTopic); len(got) != 0 {
		t.Errorf("nobody has written: %+v", got)
	}
	now := time.Now()
	idempotent := func(id int64, sequence int32, when time.Time) {
		t.Helper()
		req := producing(nil, txnTopic, recordBatch(batchOf(id, 0, sequence, false)).at(when))
		if got := answer[*kmsg.ProduceResponse](t, c, 9, req).Topics[0].Partitions[0].ErrorCode; got != 0 {
			t.Fatalf("produce: error %d", got)
		}
	}
	in := func(p producer, sequence int32) {
		t.Helper()
		req := producing(&p.transaction, txnTopic, recordBatch(batchOf(p.id, p.epoch, sequence, true)).at(now))
		if got := answer[*kmsg.ProduceResponse](t, c, 11, req).Topics[0].Partitions[0].ErrorCode; got != 0 {
			t.Fatalf("produce: error %d", got)
		}
	}
	nobody := answer[*kmsg.InitProducerIDResponse](t, c, 4, naming(producer{"of-old", noProducer, noEpoch}, time.Minute))
	plain, old := nobody.ProducerID+1000, nobody.ProducerID+1001
	for sequence := range int32(3) {
		idempotent(plain, sequence, now)
	}
	idempotent(old, 0, now.Add(-25*time.Hour))
	over, going := initialized(t, c, "over"), initialized(t, c, "going")
	addPartition(t, c, 3, over)
	in(over, 0)
	if code := end(t, c, 4, over, true); code != 0 {
		t.Fatalf("EndTxn: error %d", code)
	}
	addPartition(t, c, 3, going) // at offset 6, behind the marker
	in(going, 0)
	in(going, 1)
	check := func(c *Cluster) {
		t.Helper()
		got := producersIn(t, c, txnTopic)
		if len(got) != 3 {
			t.Errorf("%+v", got)
		}
		for _, want := range []struct{ id, start, sequence int64 }{{plain, -1, 2}, {over.id, -1, 0}, {going.id, 6, 1}} {
			a := got[want.id]
			if a.CurrentTxnStartOffset != want.start || int64(a.LastSequence) != want.sequence || now.UnixMilli()-a.LastTimestamp > time.Hour.Milliseconds() {
				t.Errorf("%+v, want %+v", a, want)
			}
		}
		if got[over.id].CoordinatorEpoch != 0 || got[plain].CoordinatorEpoch != -1 {
			t.Errorf("epochs of coordinators: %+v", got)
		}
	}
	check(c)
	check(open(t, Config{DataDir: killed(t, dir)}))
}

// Of a large log the end is read, and where an open transaction began is known all
// the same.
func TestProducersOfALargeLogAreReadFromItsEnd(t *testing.T) {
	states, now := make(producerStates), time.Now()
	for i := range int64(3 * producersMax) {
		states.batch(&batchHead{offset: i, producer: i, sequence: 0}, now.UnixMilli())
	}
	if len(states) > producersMax || states[3*producersMax-1] == nil || states[0] != nil {
		t.Errorf("%d states", len(states))
	}
	states = make(producerStates)
	states.batch(&batchHead{offset: 70, producer: 1, sequence: 1<<31 - 2, lastDelta: 3, attributes: batchTransactional}, now.UnixMilli())
	open := []describedProducer{{ProducerID: 1, CurrentTxnStartOffset: 70}, {ProducerID: 2, CurrentTxnStartOffset: 5}, {ProducerID: 3, CurrentTxnStartOffset: -1}}
	list := states.list(open, now)
	if len(list) != 2 || list[0].CurrentTxnStartOffset != 70 || list[0].LastSequence != 1 || list[1].ProducerID != 2 {
		t.Errorf("%+v", list)
	}
}
