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
	case <-time.After(5 * time.Second):
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
