package embedded

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// beating is a heartbeat of a static member of a KIP-848 group.
func beating(t *testing.T, c *Cluster, instance, member string, epoch int32, owned ...int32) *kmsg.ConsumerGroupHeartbeatResponse {
	t.Helper()
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Group, req.MemberID, req.MemberEpoch, req.InstanceID, req.RebalanceTimeoutMillis = "group", member, epoch, &instance, 30_000
	req.SubscribedTopicNames, req.Topics = []string{"read"}, []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	if len(owned) > 0 {
		of := kmsg.NewConsumerGroupHeartbeatRequestTopic()
		of.TopicID, of.Partitions = c.topicInfo("read").TopicID, owned
		req.Topics = append(req.Topics, of)
	}
	return answer[*kmsg.ConsumerGroupHeartbeatResponse](t, c, 1, req)
}

func given(resp *kmsg.ConsumerGroupHeartbeatResponse) (partitions []int32) {
	if resp.Assignment != nil {
		for _, of := range resp.Assignment.Topics {
			partitions = append(partitions, of.Partitions...)
		}
	}
	return partitions
}

// A static member that comes back while partitions move joins with an epoch that
// it can go on with: epoch 0 is a join, and with partitions librdkafka takes the
// refusal of it for fatal.
func TestAStaticMemberThatComesBackHasAnEpoch(t *testing.T) {
	c := open(t, Config{Seed: []Topic{{"read", 4}}})
	first := beating(t, c, "a", "a-1", 0)
	if got := given(first); len(got) != 4 || first.MemberEpoch < 1 {
		t.Fatalf("%+v", first)
	}
	other := beating(t, c, "b", "b-1", 0)
	if other.ErrorCode != 0 || other.MemberEpoch < 1 {
		t.Fatalf("%+v", other)
	}
	if got := beating(t, c, "a", "a-1", -2); got.ErrorCode != 0 {
		t.Fatalf("leave: error %d", got.ErrorCode)
	}
	back := beating(t, c, "a", "a-2", 0)
	if back.ErrorCode != 0 || back.MemberEpoch < 1 {
		t.Fatalf("back: error %d, epoch %d, %v", back.ErrorCode, back.MemberEpoch, given(back))
	}
	// Both go on until each has its half.
	a, b, ea, eb := given(back), given(other), back.MemberEpoch, other.MemberEpoch
	for range 10 {
		for _, m := range []struct {
			instance, member string
			owned            *[]int32
			epoch            *int32
		}{{"a", "a-2", &a, &ea}, {"b", "b-1", &b, &eb}} {
			resp := beating(t, c, m.instance, m.member, *m.epoch, *m.owned...)
			if resp.ErrorCode != 0 {
				t.Fatalf("%s: error %d", m.member, resp.ErrorCode)
			}
			if *m.epoch = resp.MemberEpoch; resp.Assignment != nil {
				*m.owned = given(resp)
			}
		}
	}
	if len(a) != 2 || len(b) != 2 {
		t.Errorf("a has %v, b %v", a, b)
	}
}
