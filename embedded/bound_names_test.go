package embedded

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// One request that names the same thing again and again would cost a file for each, or
// an answer thirty times as long.
func TestOneRequestNamesABoundedNumberOfThings(t *testing.T) {
	c := open(t, Config{Seed: []Topic{{"t", 1}}})
	describing := kmsg.NewPtrDescribeConfigsRequest()
	describing.Version = 4
	for range describedMax + 1 {
		describing.Resources = append(describing.Resources, kmsg.DescribeConfigsRequestResource{ResourceType: ofTopic, ResourceName: "t"})
	}
	altering := kmsg.NewPtrIncrementalAlterConfigsRequest()
	altering.Version = 1
	quotas := kmsg.NewPtrAlterClientQuotasRequest()
	quotas.Version = 1
	for range alteredMax + 1 {
		altering.Resources = append(altering.Resources, kmsg.IncrementalAlterConfigsRequestResource{ResourceType: ofTopic, ResourceName: "t"})
		quotas.Entries = append(quotas.Entries, kmsg.AlterClientQuotasRequestEntry{})
	}
	for _, req := range []kmsg.Request{describing, altering, quotas} {
		_, resp := ask(t, c, req)
		var code int16
		switch resp := resp.(type) {
		case *kmsg.DescribeConfigsResponse:
			code = resp.Resources[describedMax].ErrorCode
			if len(resp.Resources[0].Configs) > 0 {
				t.Error("it was described")
			}
		case *kmsg.IncrementalAlterConfigsResponse:
			code = resp.Resources[alteredMax].ErrorCode
		case *kmsg.AlterClientQuotasResponse:
			code = resp.Entries[alteredMax].ErrorCode
		}
		if code != kerr.PolicyViolation.Code {
			t.Errorf("%T: error %d", req, code)
		}
	}
}

// A group that is named twice is described once, or a short request would be answered
// with as much as there is memory.
func TestAGroupThatIsNamedTwiceIsDescribedOnce(t *testing.T) {
	c := open(t, Config{})
	names := []string{"a", "b", "a", "a"}
	old, consumers, shares := kmsg.NewPtrDescribeGroupsRequest(), kmsg.NewPtrConsumerGroupDescribeRequest(), kmsg.NewPtrShareGroupDescribeRequest()
	old.Version, old.Groups, consumers.Groups = 5, names, names
	shares.Version, shares.GroupIDs = 1, names
	for _, req := range []kmsg.Request{old, consumers, shares} {
		got := 0
		switch resp := atOnce(t, c, req).(type) {
		case *kmsg.DescribeGroupsResponse:
			got = len(resp.Groups)
		case *kmsg.ConsumerGroupDescribeResponse:
			got = len(resp.Groups)
		case *kmsg.ShareGroupDescribeResponse:
			got = len(resp.Groups)
		}
		if got != 2 {
			t.Errorf("%T: %d groups", req, got)
		}
	}
}

// A topic or partition that is named twice is one, and the last offset counts.
func TestRecordsAreDeletedOnceForATopicThatIsNamedTwice(t *testing.T) {
	for _, dir := range []string{"", t.TempDir()} {
		c := open(t, Config{DataDir: dir})
		mustCreate(t, c, "orders")
		for range 5 {
			ask(t, c, producingTo("orders", 9, oneRecord("x")))
		}
		req := kmsg.NewPtrDeleteRecordsRequest()
		req.Version = 2
		for _, before := range []int64{4, 1, 3} {
			of, p := kmsg.NewDeleteRecordsRequestTopic(), kmsg.NewDeleteRecordsRequestTopicPartition()
			of.Topic, p.Offset = "orders", before
			of.Partitions = append(of.Partitions, p)
			req.Topics = append(req.Topics, of)
		}
		_, resp := ask(t, c, req)
		topics := resp.(*kmsg.DeleteRecordsResponse).Topics
		if len(topics) != 1 || len(topics[0].Partitions) != 1 || topics[0].Partitions[0].LowWatermark != 3 {
			t.Errorf("%+v", topics)
		}
	}
}
