package kafka

import (
	"net/netip"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// askedTopics knows nothing, and counts what is asked for in nobody's name.
type askedTopics struct {
	fewTopics
	byNobody, byClient *int
}

func (a askedTopics) AskedBy(netip.Addr) PartialTopics {
	return askedTopics{a.fewTopics, a.byClient, a.byClient}
}
func (a askedTopics) TopicName([16]byte) string { *a.byNobody++; return "" }
func (a askedTopics) TopicExists(name string) bool {
	*a.byNobody++
	return a.fewTopics.TopicExists(name)
}

// TestWhatAClientAsksForIsAskedForInItsName: whoever bounds what is asked for tells its clients
// apart by that, and one that names nothing that exists would keep out all others.
func TestWhatAClientAsksForIsAskedForInItsName(t *testing.T) {
	c, d := behindAGateway(t, rulesOf(t, "allow User:* read topic:good, group:g", "allow User:* write topic:good, transactional-id:t"), &recorder{})
	byNobody, byClient := 0, 0
	d.Topics = askedTopics{d.Topics.(fewTopics), &byNobody, &byClient}
	id := [16]byte{1}
	fetch := kmsg.NewPtrFetchRequest()
	fetch.Version, fetch.Topics = 13, []kmsg.FetchRequestTopic{{TopicID: id, Partitions: []kmsg.FetchRequestTopicPartition{{}}}}
	reqs := []kmsg.Request{
		fetch,
		&kmsg.ProduceRequest{Version: 13, Acks: 1, Topics: []kmsg.ProduceRequestTopic{{TopicID: id, Partitions: []kmsg.ProduceRequestTopicPartition{{}}}}},
		&kmsg.MetadataRequest{Version: 12, Topics: []kmsg.MetadataRequestTopic{{TopicID: id}}},
		&kmsg.OffsetCommitRequest{Version: 10, Group: "g", Topics: []kmsg.OffsetCommitRequestTopic{{TopicID: id, Partitions: []kmsg.OffsetCommitRequestTopicPartition{{}}}}},
		&kmsg.ShareFetchRequest{Version: 1, GroupID: new("g"), MemberID: new("m"), Topics: []kmsg.ShareFetchRequestTopic{{TopicID: id, Partitions: []kmsg.ShareFetchRequestTopicPartition{{}}}}},
		&kmsg.AddPartitionsToTxnRequest{Version: 3, TransactionalID: "t", Topics: []kmsg.AddPartitionsToTxnRequestTopic{{Topic: "bad", Partitions: []int32{0}}, {Topic: "good", Partitions: []int32{0}}}},
	}
	for _, req := range reqs {
		byClient = 0
		c.send(framePayload(req, 1, "test"))
		if byNobody > 0 || byClient == 0 {
			t.Errorf("%s: asked for %d times in nobody's name, and %d in the client's", kmsg.NameForKey(req.Key()), byNobody, byClient)
		}
		byNobody = 0
	}
}

// TestATopicThatNobodyHasNamedIsNotMissing: beside one that is denied it is not attempted to add.
func TestATopicThatNobodyHasNamedIsNotMissing(t *testing.T) {
	c, _ := behindAGateway(t, rulesOf(t, "allow User:* write topic:good, topic:unheard, topic:gone, transactional-id:t"), &recorder{})
	req := kmsg.NewPtrAddPartitionsToTxnRequest()
	req.TransactionalID = "t"
	for _, name := range []string{"bad", "good", "unheard", "gone"} {
		req.Topics = append(req.Topics, kmsg.AddPartitionsToTxnRequestTopic{Topic: name, Partitions: []int32{0}})
	}
	want := map[string]int16{
		"bad": codeTopicAuthorization, "good": codeOperationNotAttempted, "unheard": codeOperationNotAttempted, "gone": codeUnknownTopicOrPartition,
	}
	for _, got := range ask[*kmsg.AddPartitionsToTxnResponse](c, req, 3).Topics {
		if code := got.Partitions[0].ErrorCode; code != want[got.Topic] {
			t.Errorf("%s: error %d, want %d", got.Topic, code, want[got.Topic])
		}
	}
}
