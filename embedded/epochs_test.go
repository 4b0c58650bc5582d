package embedded

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// The end of an epoch is told in every version alike: librdkafka has version 2
// alone.
func TestTheEndOfAnEpochIsToldInEveryVersion(t *testing.T) {
	c := open(t, Config{})
	mustCreate(t, c, "orders")
	ask(t, c, producingTo("orders", 9, oneRecord("x")))
	for version := int16(2); version <= 4; version++ {
		req := kmsg.NewPtrOffsetForLeaderEpochRequest()
		req.Version, req.ReplicaID = version, consumerReplica
		of, p := kmsg.NewOffsetForLeaderEpochRequestTopic(), kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
		of.Topic, p.CurrentLeaderEpoch = "orders", -1
		of.Partitions = append(of.Partitions, p)
		req.Topics = append(req.Topics, of)
		if !c.Versions().Supported(req.Key(), version) {
			t.Errorf("version %d is not served", version)
			continue
		}
		_, resp := ask(t, c, req)
		if got := resp.(*kmsg.OffsetForLeaderEpochResponse).Topics[0].Partitions[0]; got.ErrorCode != 0 || got.EndOffset != 1 {
			t.Errorf("version %d: %+v", version, got)
		}
	}
}
