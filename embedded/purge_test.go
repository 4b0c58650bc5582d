package embedded

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// deleteTo deletes the records of partition 0 before an offset.
func deleteTo(t *testing.T, c *Cluster, version int16, topic string, offset int64) kmsg.DeleteRecordsResponseTopicPartition {
	t.Helper()
	req, of, p := kmsg.NewPtrDeleteRecordsRequest(), kmsg.NewDeleteRecordsRequestTopic(), kmsg.NewDeleteRecordsRequestTopicPartition()
	p.Offset = offset
	of.Topic, of.Partitions = topic, append(of.Partitions, p)
	req.Topics = append(req.Topics, of)
	return answer[*kmsg.DeleteRecordsResponse](t, c, version, req).Topics[0].Partitions[0]
}

// Jobs that purge topics do so again and again, also where retention was faster.
func TestRecordsThatAreGoneAreDeletedWithoutAnError(t *testing.T) {
	for name, dir := range map[string]string{"memory": "", "disk": t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			c := open(t, Config{Seed: []Topic{{"log", 1}}, DataDir: dir})
			for range 5 {
				if got := answer[*kmsg.ProduceResponse](t, c, 9, producing(nil, "log", batchOf(-1, -1, -1, false))).Topics[0].Partitions[0]; got.ErrorCode != 0 {
					t.Fatalf("produce: %+v", got)
				}
			}
			for _, v := range versionsFrom(t, c, kmsg.DeleteRecords, 0) {
				for _, try := range []struct {
					to   int64
					code int16
					low  int64
				}{{3, 0, 3}, {1, 0, 3}, {0, 0, 3}, {3, 0, 3}, {-2, kerr.OffsetOutOfRange.Code, -1}, {6, kerr.OffsetOutOfRange.Code, -1}} {
					if got := deleteTo(t, c, v, "log", try.to); got.ErrorCode != try.code || got.LowWatermark != try.low {
						t.Errorf("v%d: to %d: error %d, low watermark %d; want %d, %d", v, try.to, got.ErrorCode, got.LowWatermark, try.code, try.low)
					}
				}
			}
			if got := deleteTo(t, c, 2, "log", -1); got.ErrorCode != 0 || got.LowWatermark != 5 {
				t.Errorf("all: %+v", got)
			}
		})
	}
}
