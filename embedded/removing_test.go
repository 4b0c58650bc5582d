package embedded

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestOffsetsOfNoPartitionAreNotDeleted(t *testing.T) {
	c := open(t, Config{})
	mustCreate(t, c, "orders")
	ask(t, c, committingAt(1))
	req := kmsg.NewPtrOffsetDeleteRequest()
	req.Group = "readers"
	for _, name := range []string{"orders", "nobody-has"} {
		of := kmsg.NewOffsetDeleteRequestTopic()
		of.Topic = name
		for _, n := range []int32{0, 9, -1} {
			p := kmsg.NewOffsetDeleteRequestTopicPartition()
			p.Partition = n
			of.Partitions = append(of.Partitions, p)
		}
		req.Topics = append(req.Topics, of)
	}
	_, resp := ask(t, c, req)
	codes := map[int16]int{}
	for _, of := range resp.(*kmsg.OffsetDeleteResponse).Topics {
		for _, p := range of.Partitions {
			codes[p.ErrorCode]++
			if p.ErrorCode == 0 && (of.Topic != "orders" || p.Partition != 0) {
				t.Errorf("partition %d of %s is deleted", p.Partition, of.Topic)
			}
		}
	}
	if codes[0] != 1 || codes[kerr.UnknownTopicOrPartition.Code] != 5 {
		t.Errorf("answered with %v", codes)
	}
}

// Any entity of a kind is the default one, too.
func TestTheDefaultIsAmongAllThatHaveQuotas(t *testing.T) {
	c := open(t, Config{})
	alter := kmsg.NewPtrAlterClientQuotasRequest()
	alter.Version = 1
	for _, name := range []*string{nil, kmsg.StringPtr("ann")} {
		e, of, op := kmsg.NewAlterClientQuotasRequestEntry(), kmsg.NewAlterClientQuotasRequestEntryEntity(), kmsg.NewAlterClientQuotasRequestEntryOp()
		of.Type, of.Name, op.Key, op.Value = "user", name, "producer_byte_rate", 1000
		e.Entity, e.Ops = append(e.Entity, of), append(e.Ops, op)
		alter.Entries = append(alter.Entries, e)
	}
	ask(t, c, alter)
	for kind, want := range map[string]int{"user": 2, "client-id": 0} {
		for _, strict := range []bool{true, false} {
			req, of := kmsg.NewPtrDescribeClientQuotasRequest(), kmsg.NewDescribeClientQuotasRequestComponent()
			req.Version, req.Strict, of.EntityType, of.MatchType = 1, strict, kind, quotaMatchAny
			req.Components = append(req.Components, of)
			_, resp := ask(t, c, req)
			if got := resp.(*kmsg.DescribeClientQuotasResponse).Entries; len(got) != want {
				t.Errorf("%s, strict %v: %+v", kind, strict, got)
			}
		}
	}
}
