package embedded

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// copyDir copies what a killed process would leave.
func copyDir(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

func start(c *Cluster, topic string) int64 { return c.kfake.PartitionInfo(topic, 0).LogStartOffset }

// Retention takes what is too old, by the topic's own settings or the broker's,
// and nothing behind the first record that is not.
func TestRetentionByTimeTakesWhatIsTooOld(t *testing.T) {
	c := open(t, Config{})
	const day = 24 * 3600 * 1000
	now := time.Now()
	fill := func(topic string, ages ...int64) {
		for _, age := range ages {
			if p := produced(t, c, topic, 9, batchWith(now.UnixMilli()-age, 0, rec{"a", 10, 0})); p.ErrorCode != 0 {
				t.Fatalf("%+v", p)
			}
		}
	}
	for topic, one := range map[string]struct {
		settings []string
		ages     []int64
		start    int64
	}{
		"by-default":     {nil, []int64{9 * day, 8 * day, 6 * day, 0}, 2},
		"own":            {[]string{"retention.ms=3600000"}, []int64{9 * day, day, 1000}, 2},
		"everything":     {[]string{"retention.ms=3600000"}, []int64{9 * day, day}, 2},
		"endless":        {[]string{"retention.ms=-1"}, []int64{9 * day, 0}, 0},
		"compacted":      {[]string{"cleanup.policy=compact", "retention.ms=1"}, []int64{9 * day, day}, 0},
		"both":           {[]string{"cleanup.policy=compact,delete"}, []int64{9 * day, 0}, 1},
		"neither":        {[]string{"cleanup.policy="}, []int64{9 * day}, 0},
		"old-among-new":  {nil, []int64{0, 9 * day, 0}, 0},
		"without-a-time": {nil, []int64{now.UnixMilli() + 1}, 0},
	} {
		mustCreate(t, c, topic, one.settings...)
		fill(topic, one.ages...)
		if err := c.retain(now, nil); err != nil {
			t.Fatal(err)
		}
		if got := start(c, topic); got != one.start {
			t.Errorf("%s starts at %d, want %d", topic, got, one.start)
		}
	}
	// The broker's default is what topics without their own have.
	mustAlter(t, c, ofBroker, "", fmt.Sprintf("log.retention.ms=%d", 5*day))
	if err := c.retain(now, nil); err != nil {
		t.Fatal(err)
	}
	if got := start(c, "by-default"); got != 3 {
		t.Errorf("by the broker's default it starts at %d, want 3", got)
	}
}

// Retention by size leaves at least what is asked for, in whole batches.
func TestRetentionBySizeLeavesWhatIsAskedFor(t *testing.T) {
	c := open(t, Config{})
	mustCreate(t, c, "small", "retention.bytes=250000")
	batch := batchWith(nowMillis(), 0, rec{"a", 100_000, 0}, rec{"b", 10, 0})
	for range 40 { // 4 MB, more than one read
		produced(t, c, "small", 9, batch)
	}
	for range 2 { // the second finds nothing to do
		if err := c.retain(time.Now(), nil); err != nil {
			t.Fatal(err)
		}
		if got := start(c, "small"); got != 2*(40-3) {
			t.Errorf("it starts at %d, want %d", got, 2*(40-3))
		}
	}
	mustAlter(t, c, ofTopic, "small", "-retention.bytes")
	mustAlter(t, c, ofBroker, "", "log.retention.bytes=0")
	if err := c.retain(time.Now(), nil); err != nil {
		t.Fatal(err)
	}
	if got := start(c, "small"); got != 80 {
		t.Errorf("with room for nothing it starts at %d", got)
	}
}

// What is in an open transaction stays, however old.
func TestRetentionWaitsForTransactions(t *testing.T) {
	c := open(t, Config{Seed: []Topic{{"open", 1}}})
	id := kmsg.NewPtrInitProducerIDRequest()
	id.Version, id.TransactionalID, id.TransactionTimeoutMillis = 4, kmsg.StringPtr("tx"), 60_000
	_, resp := ask(t, c, id)
	producer := resp.(*kmsg.InitProducerIDResponse)
	add := kmsg.NewPtrAddPartitionsToTxnRequest()
	add.Version, add.TransactionalID, add.ProducerID, add.ProducerEpoch = 3, "tx", producer.ProducerID, producer.ProducerEpoch
	topic := kmsg.NewAddPartitionsToTxnRequestTopic()
	topic.Topic, topic.Partitions = "open", []int32{0}
	add.Topics = append(add.Topics, topic)
	ask(t, c, add)
	produced(t, c, "open", 9, batchWith(1000, 0, rec{"a", 10, 0}))
	var b kmsg.RecordBatch
	if err := b.ReadFrom(batchWith(1000, batchTransactional, rec{"a", 10, 0})); err != nil {
		t.Fatal(err)
	}
	b.ProducerID, b.ProducerEpoch, b.FirstSequence = producer.ProducerID, producer.ProducerEpoch, 0
	req := producingTo("open", 9, sealed(b))
	req.TransactionID = kmsg.StringPtr("tx")
	if _, resp := ask(t, c, req); resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode != 0 {
		t.Fatalf("%+v", resp)
	}
	if err := c.retain(time.Now(), nil); err != nil {
		t.Fatal(err)
	}
	if got := start(c, "open"); got != 1 {
		t.Errorf("it starts at %d, want 1", got)
	}
}

// Records of a topic that is compacted only are not deleted on request.
func TestACompactedTopicKeepsItsRecords(t *testing.T) {
	c := open(t, Config{})
	mustCreate(t, c, "compacted", "cleanup.policy=compact")
	mustCreate(t, c, "plain")
	req := kmsg.NewPtrDeleteRecordsRequest()
	req.Version = 2
	for _, name := range []string{"compacted", "plain"} {
		produced(t, c, name, 9, batchWith(nowMillis(), 0, rec{"a", 1, 0}))
		topic, p := kmsg.NewDeleteRecordsRequestTopic(), kmsg.NewDeleteRecordsRequestTopicPartition()
		topic.Topic, p.Offset = name, -1
		topic.Partitions = append(topic.Partitions, p)
		req.Topics = append(req.Topics, topic)
	}
	_, resp := ask(t, c, req)
	got := map[string]int16{}
	for _, topic := range resp.(*kmsg.DeleteRecordsResponse).Topics {
		got[topic.Topic] = topic.Partitions[0].ErrorCode
	}
	if len(got) != 2 || got["compacted"] != kerr.PolicyViolation.Code || got["plain"] != 0 {
		t.Errorf("answered with %v", got)
	}
	if start(c, "compacted") != 0 || start(c, "plain") != 1 {
		t.Errorf("they start at %d and %d", start(c, "compacted"), start(c, "plain"))
	}
}
