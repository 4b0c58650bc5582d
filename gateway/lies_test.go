package gateway

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/kafka"
)

// manyTags is a response whose last tag section claims 2^32-1 tags.
func manyTags(t *testing.T, resp kmsg.Response) []byte {
	t.Helper()
	payload := resp.AppendTo(kafka.AppendResponseHeader(nil, resp.Key(), resp.GetVersion(), 7))
	if payload[len(payload)-1] != 0 {
		t.Fatalf("no tag section: %x", payload)
	}
	return append(payload[:len(payload)-1], 0xff, 0xff, 0xff, 0xff, 0x0f)
}

// soon says that f ends.
func soon(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatalf("%s: still at it", what)
	}
}

// TestAnUpstreamThatLiesAboutCountsKeepsNobodyBusy: five bytes that claim four billion tags would keep the
// processor that they came on busy for most of a minute.
func TestAnUpstreamThatLiesAboutCountsKeepsNobodyBusy(t *testing.T) {
	versions := kmsg.NewPtrApiVersionsResponse()
	versions.Version = 3
	soon(t, "ApiVersions", func() {
		if _, err := readVersions(3, manyTags(t, versions)); err == nil {
			t.Error("ApiVersions with four billion tags is believed")
		}
	})
	told := kmsg.NewPtrMetadataResponse()
	told.Version = 12
	topic := kmsg.NewMetadataResponseTopic()
	topic.Topic = kmsg.StringPtr("orders")
	told.Topics = append(told.Topics, topic)
	known := newTopics(func() int64 { return 1 }, func() {})
	soon(t, "Metadata", func() {
		known.hear(kafka.Header{Key: keyMetadata, Version: 12}, manyTags(t, told))
	})
}

// TestWhatTheUpstreamSaysHoldsWhateverClientsWereAnswered: an older answer to a client, which names another
// address, may move a node after the gateway's own answer was learned. The next one puts it right, although it
// says nothing new.
func TestWhatTheUpstreamSaysHoldsWhateverClientsWereAnswered(t *testing.T) {
	s := newStage(t, nil)
	now, before := kafka.Address{Host: "now", Port: 1}, kafka.Address{Host: "before", Port: 1}
	said := kmsg.NewPtrMetadataResponse()
	said.Brokers = []kmsg.MetadataResponseBroker{{NodeID: 1, Host: now.Host, Port: now.Port}}
	s.g.learn(said)
	s.g.node(1).moveTo(before) // the end of hear, which is late
	s.g.learn(said)
	n := s.g.node(1)
	n.lock()
	defer n.unlock()
	if n.address != now {
		t.Errorf("broker 1 is looked for at %v, and the upstream says %v", n.address, now)
	}
}
