package embedded

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kring"
)

// A member of a group subscribes by a regular expression to the topics that it may describe,
// and is told of no other.
func TestARegularExpressionShowsNoTopicThatMayNotBeDescribed(t *testing.T) {
	n := serveRules(t, kring.Config{Engine: kring.EnginePortable}, outerRules)
	topics, err := kadm.NewClient(n.super()).ListTopics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Group, req.MemberID, req.RebalanceTimeoutMillis = "open-group", "AAAAAAAAAAAAAAAAAAAAAA", 60_000
	req.SubscribedTopicRegex = kmsg.StringPtr(".*")
	req.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	resp, err := req.RequestWith(t.Context(), n.client())
	if err != nil || resp.ErrorCode != 0 || resp.Assignment == nil {
		t.Fatalf("%+v, %v", resp, err)
	}
	seen := map[[16]byte]bool{}
	for _, a := range resp.Assignment.Topics {
		seen[a.TopicID] = true
	}
	for name, shown := range map[string]bool{"open": true, "look": true, "closed": false} {
		if seen[topics[name].ID] != shown {
			t.Errorf("%s is assigned: %v, want %v", name, !shown, shown)
		}
	}
}
