package embedded

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Where topics are named by their ids, a producer is told when its records came,
// too, of each of several topics.
func TestTheTimeOfArrivalIsToldOfTopicsByID(t *testing.T) {
	c := open(t, Config{})
	req := storing(t, "", "x")
	req.Version = produceNamesIDs
	req.Topics = append(req.Topics, storing(t, "", "y").Topics...)
	for i, topic := range []string{"arrivals", "others"} {
		mustCreate(t, c, topic, "message.timestamp.type=LogAppendTime")
		req.Topics[i].TopicID = c.topicInfo(topic).TopicID
	}
	_, resp := ask(t, c, req)
	topics := resp.(*kmsg.ProduceResponse).Topics
	if len(topics) != 2 {
		t.Fatalf("%d topics answered, want 2: %+v", len(topics), topics)
	}
	for _, topic := range topics {
		if p := topic.Partitions[0]; p.ErrorCode != 0 || p.LogAppendTime < 0 {
			t.Errorf("%x: error %d, came at %d", topic.TopicID, p.ErrorCode, p.LogAppendTime)
		}
	}
}
