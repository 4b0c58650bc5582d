package kafka

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestATopicWithIDAndNameIsJudgedAndServedByItsID, as in Apache Kafka: nobody behind the Filter sees
// a name that no rule was asked about.
func TestATopicWithIDAndNameIsJudgedAndServedByItsID(t *testing.T) {
	secret := "secret"
	for version := int16(10); version <= kmsg.NewPtrMetadataRequest().MaxVersion(); version++ {
		h := &recorder{}
		c := guarded(t, rulesOf(t, "allow User:* describe topic:good"), h)
		req := kmsg.NewPtrMetadataRequest()
		req.Version, req.AllowAutoTopicCreation = version, true
		req.Topics = []kmsg.MetadataRequestTopic{{TopicID: idOf("good"), Topic: &secret}}
		c.send(framePayload(req, 4711, "test"))
		if len(h.calls) != 1 {
			t.Fatalf("version %d: it did not reach the handler", version)
		}
		got := decoded(t, h.calls[0]).(*kmsg.MetadataRequest)
		if len(got.Topics) != 1 || got.Topics[0].Topic != nil || got.Topics[0].TopicID != idOf("good") {
			t.Errorf("version %d: the handler sees %+v", version, got.Topics)
		}
	}
}

// TestNullGoesByTheIDOfATopic: rules are asked about that.
func TestNullGoesByTheIDOfATopic(t *testing.T) {
	n, c := newNull(t, NullConfig{})
	metadataOf(c, "good")
	secret := "secret"
	for id, want := range map[[16]byte]int16{topicID("good"): 0, {1}: codeUnknownTopicID} {
		req := kmsg.NewPtrMetadataRequest()
		req.Topics = []kmsg.MetadataRequestTopic{{TopicID: id, Topic: &secret}}
		got := ask[*kmsg.MetadataResponse](c, req, 12).Topics
		if len(got) != 1 || got[0].ErrorCode != want || want == 0 && text(got[0].Topic) != "good" {
			t.Errorf("%+v", got)
		}
	}
	if n.TopicExists(secret) {
		t.Error("the name beside an id was created")
	}
}
