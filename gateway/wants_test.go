package gateway

import (
	"net/netip"
	"testing"
)

// TestAFloodOfUnknownTopicsKeepsNobodyOut: who asks for more than there is room for makes way for
// others, whoever came first.
func TestAFloodOfUnknownTopicsKeepsNobodyOut(t *testing.T) {
	s := newTopics(func() int64 { return 1 }, func() {})
	flood, other := s.AskedBy(netip.MustParseAddr("192.0.2.1")), s.AskedBy(netip.MustParseAddr("192.0.2.2"))
	id := func(of, n int) [16]byte { return [16]byte{1, byte(of), byte(n >> 8), byte(n)} }
	for n := range 3 * topicsWantedMax {
		flood.TopicName(id(1, n))
	}
	for n := range 10 {
		other.TopicName(id(2, n))
		flood.TopicName(id(3, n))
	}
	theirs, all := 0, s.wanted(12)
	for _, topic := range all {
		if topic.TopicID[1] == 2 {
			theirs++
		}
	}
	if theirs != 10 || len(all) != topicsWantedMax {
		t.Errorf("of %d that are asked for, %d are of others", len(all), theirs)
	}
	for n := range 3 * topicsWantedMax { // as many addresses as places
		s.AskedBy(netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)})).TopicName(id(4, n))
	}
	if n := len(s.wanted(12)); n != topicsWantedMax {
		t.Errorf("%d are asked for", n)
	}
	if len(s.wantedIDs.has)+s.wantedIDs.len() > 0 {
		t.Error("something is left")
	}
}

// TestTheGatewayCreatesNoTopicByAsking: before version 4 each topic that Metadata names is created.
func TestTheGatewayCreatesNoTopicByAsking(t *testing.T) {
	for version := int16(1); version <= 12; version++ {
		known := newTopics(func() int64 { return 1 }, func() {})
		known.TopicExists("orders")
		asked := known.wanted(version)
		if asked == nil || (len(asked) == 1) != (version >= metadataAsksFrom) {
			t.Errorf("version %d asks for %v", version, asked)
		}
	}
}
