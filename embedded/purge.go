package embedded

import "github.com/twmb/franz-go/pkg/kmsg"

// deleteGone has kfake delete what is gone already from the log's start on, which
// is nothing: it refuses offsets below (OFFSET_OUT_OF_RANGE), where Apache Kafka
// answers the log's start.
func deleteGone(x *exchange, req *kmsg.DeleteRecordsRequest) kmsg.Response {
	for i := range req.Topics {
		t := &req.Topics[i]
		for j := range t.Partitions {
			p := &t.Partitions[j]
			if p.Offset < 0 { // the end, or nothing at all
				continue
			}
			if at := x.cluster().partitionInfo(t.Topic, p.Partition); at != nil && p.Offset < at.LogStartOffset {
				p.Offset, x.changed = at.LogStartOffset, true
			}
		}
	}
	return nil
}
