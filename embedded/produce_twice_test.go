package embedded

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Of several batches that a request has for one partition the last counts, as in Apache Kafka: it is
// stored, and what is answered is about it.
func TestOfSeveralBatchesForAPartitionTheLastIsTaken(t *testing.T) {
	c := open(t, Config{Seed: []Topic{{"orders", 1}, {"bills", 1}}})
	for i, version := range []int16{9, produceNamesIDs} {
		t.Run(fmt.Sprint("version ", version), func(t *testing.T) {
			last, other := int64(10+i), int64(20+i)
			req := kmsg.NewPtrProduceRequest()
			req.Version, req.Acks, req.TimeoutMillis = version, -1, 1000
			for sequence := range int32(3) {
				for _, topic := range []string{"orders", "bills"} {
					of := batchFor(topic, c.topicInfo(topic).TopicID, batchOf(last, 0, sequence, false))
					of.Partitions = append(of.Partitions, of.Partitions[0])
					of.Partitions[0].Records = batchOf(other, 0, 5, false)
					req.Topics = append(req.Topics, of)
				}
			}
			resp := answer[*kmsg.ProduceResponse](t, c, version, req)
			for _, topic := range resp.Topics {
				if len(topic.Partitions) != 1 || topic.Partitions[0].ErrorCode != 0 {
					t.Errorf("%+v", topic)
				}
			}
			if len(resp.Topics) != 2 {
				t.Errorf("%d topics are answered", len(resp.Topics))
			}
			if end := c.partitionInfo("orders", 0).HighWatermark; end != int64(1+i) {
				t.Errorf("%d records are stored", end)
			}
			if c.producers.has(other) {
				t.Error("a producer is known of whom nothing was taken")
			}
		})
	}
}
