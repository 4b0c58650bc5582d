package embedded

import (
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/internal/kmsgtest"
	"kring/kafka"
)

// Whatever a request that writes asks for, each of its elements is refused, in
// every version that is served.
func TestEveryRefusalHasAnErrorInEachElement(t *testing.T) {
	c := open(t, Config{})
	for key := range changes {
		served, ok := c.Versions().Range(int16(key))
		if !ok {
			continue
		}
		for version := served.Min; version <= served.Max; version++ {
			req := kmsg.RequestForKey(int16(key))
			req.SetVersion(version)
			kmsgtest.FillOnce(reflect.ValueOf(req).Elem())
			resp := refusalOf(req, kerr.KafkaStorageError.Code, "the disk is full")
			frame := kmsg.NewRequestFormatter().AppendRequest(nil, req, 7)[4:]
			answer := resp.AppendTo(kafka.AppendResponseHeader(nil, req.Key(), version, 7))
			if got := kafka.ErrorCode(frame, answer); got != kerr.KafkaStorageError.Code {
				t.Errorf("%s v%d: error %d in %+v", kmsg.NameForKey(int16(key)), version, got, resp)
			}
			decoded := req.ResponseKind()
			if err := decoded.ReadFrom(resp.AppendTo(nil)); err != nil {
				t.Errorf("%s v%d: %v", kmsg.NameForKey(int16(key)), version, err)
			}
		}
	}
}

func TestARefusalNamesWhatWasAsked(t *testing.T) {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Version = 8
	topic := kmsg.NewOffsetCommitRequestTopic()
	topic.Topic = "orders"
	for _, n := range []int32{3, 5} {
		p := kmsg.NewOffsetCommitRequestTopicPartition()
		p.Partition = n
		topic.Partitions = append(topic.Partitions, p)
	}
	req.Topics = append(req.Topics, topic)
	got := refusalOf(req, 56, "").(*kmsg.OffsetCommitResponse).Topics
	if len(got) != 1 || got[0].Topic != "orders" || len(got[0].Partitions) != 2 ||
		got[0].Partitions[1].Partition != 5 || got[0].Partitions[1].ErrorCode != 56 {
		t.Errorf("refused with %+v", got)
	}

	deletion := kmsg.NewPtrDeleteTopicsRequest()
	deletion.Version, deletion.TopicNames = 4, []string{"orders"}
	if got := refusalOf(deletion, 56, "").(*kmsg.DeleteTopicsResponse).Topics; len(got) != 1 || got[0].Topic == nil || *got[0].Topic != "orders" {
		t.Errorf("refused with %+v", got)
	}

	groups := kmsg.NewPtrDeleteGroupsRequest()
	groups.Groups = []string{"readers"}
	if got := refusalOf(groups, 56, "").(*kmsg.DeleteGroupsResponse).Groups; len(got) != 1 || got[0].Group != "readers" {
		t.Errorf("refused with %+v", got)
	}

	added := kmsg.NewPtrAddPartitionsToTxnRequest()
	added.Version = 3
	in := kmsg.NewAddPartitionsToTxnRequestTopic()
	in.Topic, in.Partitions = "orders", []int32{4}
	added.Topics = append(added.Topics, in)
	if got := refusalOf(added, 16, "").(*kmsg.AddPartitionsToTxnResponse).Topics; len(got) != 1 || got[0].Partitions[0].Partition != 4 || got[0].Partitions[0].ErrorCode != 16 {
		t.Errorf("refused with %+v", got)
	}

	scram := kmsg.NewPtrAlterUserSCRAMCredentialsRequest()
	user := kmsg.NewAlterUserSCRAMCredentialsRequestUpsertion()
	user.Name = "ann"
	scram.Upsertions = append(scram.Upsertions, user)
	if got := refusalOf(scram, 56, "").(*kmsg.AlterUserSCRAMCredentialsResponse).Results; len(got) != 1 || got[0].User != "ann" {
		t.Errorf("refused with %+v", got)
	}
}
