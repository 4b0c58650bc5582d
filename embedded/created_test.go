package embedded

import (
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/reqchan"
)

func newSetting(name, value string) kmsg.CreateTopicsRequestTopicConfig {
	c := kmsg.NewCreateTopicsRequestTopicConfig()
	c.Name, c.Value = name, kmsg.StringPtr(value)
	return c
}

// Null settings end Java's admin client, so CreateTopics had been served up to
// version 4 alone, and clients that have only version 7 could create nothing.
func TestCreateTopicsAnswersWithTheSettingsOfTheTopic(t *testing.T) {
	c := open(t, Config{})
	versions := versionsFrom(t, c, kmsg.CreateTopics, configsFrom)
	if last := versions[len(versions)-1]; last != 7 {
		t.Errorf("CreateTopics is served up to version %d", last)
	}
	for _, version := range versions {
		name := "created-" + string('0'+rune(version))
		topic := topicOf(name, -1)
		topic.ReplicationFactor, topic.Configs = -1, append(topic.Configs, newSetting("retention.ms", "1000"))
		resp := answer[*kmsg.CreateTopicsResponse](t, c, version, creating(topic, topicOf("no name", 1)))
		for _, got := range resp.Topics {
			if got.Topic == name {
				checkCreated(t, c, &got, version)
			} else if got.ErrorCode != kerr.InvalidTopicException.Code || got.Configs == nil || got.NumPartitions != -1 {
				t.Errorf("v%d: refused with %+v", version, got)
			}
		}
		resp = answer[*kmsg.CreateTopicsResponse](t, c, version, creating(topic, topicOf(name+"-more", 1)))
		if got := resp.Topics[0]; got.ErrorCode != kerr.TopicAlreadyExists.Code || got.Configs == nil {
			t.Errorf("v%d: a second time: %+v", version, got)
		}
		resp = answer[*kmsg.CreateTopicsResponse](t, c, version, creating(topicOf("no name", 1)))
		if resp.Topics[0].Configs == nil {
			t.Errorf("v%d: nothing but a refused topic: null settings", version)
		}
	}
}

func checkCreated(t *testing.T, c *Cluster, got *kmsg.CreateTopicsResponseTopic, version int16) {
	t.Helper()
	if got.ErrorCode != 0 || got.NumPartitions != 1 || got.ReplicationFactor != 1 {
		t.Errorf("v%d: %+v", version, got)
	}
	if version >= 7 && got.TopicID != c.kfake.TopicInfo(got.Topic).TopicID {
		t.Errorf("v%d: id %x", version, got.TopicID)
	}
	byName := func(a, b kmsg.CreateTopicsResponseTopicConfig) int {
		return slices.Compare([]byte(a.Name), []byte(b.Name))
	}
	if len(got.Configs) < 5 || !slices.IsSortedFunc(got.Configs, byName) {
		t.Errorf("v%d: settings %v", version, got.Configs)
	}
	for _, s := range got.Configs {
		set := s.Name == "retention.ms"
		if set != (s.Source == int8(kmsg.ConfigSourceDynamicTopicConfig)) || s.Value == nil || set && *s.Value != "1000" {
			t.Errorf("v%d: setting %+v", version, s)
		}
	}
}

// A topic that is only tried is described as it would be: with all its settings.
func TestATopicThatIsOnlyLookedAtHasItsSettings(t *testing.T) {
	c := open(t, Config{})
	topic := topicOf("looked-at", 3)
	topic.Configs = append(topic.Configs, newSetting("retention.ms", "1000"))
	req := creating(topic)
	req.ValidateOnly = true
	got := answer[*kmsg.CreateTopicsResponse](t, c, 7, req).Topics[0]
	if got.ErrorCode != 0 || got.NumPartitions != 3 || len(got.Configs) != len(topicSettings) {
		t.Errorf("error %d, %d partitions, %d settings", got.ErrorCode, got.NumPartitions, len(got.Configs))
	}
	for _, s := range got.Configs {
		set := s.Name == "retention.ms"
		if set != (s.Source == int8(kmsg.ConfigSourceDynamicTopicConfig)) || s.Value == nil || set && *s.Value != "1000" {
			t.Errorf("setting %+v", s)
		}
	}
	if c.kfake.TopicInfo("looked-at") != nil {
		t.Error("the topic is there")
	}
}

func describing(limit int32, topics ...string) *kmsg.DescribeTopicPartitionsRequest {
	req := kmsg.NewPtrDescribeTopicPartitionsRequest()
	req.ResponsePartitionLimit = limit
	for _, name := range topics {
		topic := kmsg.NewDescribeTopicPartitionsRequestTopic()
		topic.Topic = name
		req.Topics = append(req.Topics, topic)
	}
	return req
}

func TestPartitionsAreDescribedPageByPage(t *testing.T) {
	c := open(t, Config{Seed: []Topic{{"a", 2}, {"b", 3}, {"c", 1}}})
	type place struct {
		topic     string
		partition int32
	}
	var got []place
	for req := describing(2); ; {
		resp := answer[*kmsg.DescribeTopicPartitionsResponse](t, c, 0, req)
		on := 0
		for _, topic := range resp.Topics {
			for _, p := range topic.Partitions {
				if p.EligibleLeaderReplicas == nil || p.LastKnownELR == nil {
					t.Fatalf("%s-%d: null replicas end Java's admin client", *topic.Topic, p.Partition)
				}
				got = append(got, place{*topic.Topic, p.Partition})
				on++
			}
		}
		if on > 2 || on == 0 {
			t.Fatalf("a page of %d partitions", on)
		}
		if resp.NextCursor == nil {
			break
		}
		next := kmsg.NewDescribeTopicPartitionsRequestCursor()
		next.Topic, next.Partition = resp.NextCursor.Topic, resp.NextCursor.Partition
		req.Cursor = &next
	}
	if want := []place{{"a", 0}, {"a", 1}, {"b", 0}, {"b", 1}, {"b", 2}, {"c", 0}}; !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestADescriptionOfPartitionsAnswersWhatCannotBeDescribed(t *testing.T) {
	c := open(t, Config{Seed: []Topic{{"here", 1}}})
	codes := func(req *kmsg.DescribeTopicPartitionsRequest) map[string]int16 {
		got := make(map[string]int16)
		for _, topic := range answer[*kmsg.DescribeTopicPartitionsResponse](t, c, 0, req).Topics {
			got[*topic.Topic] = topic.ErrorCode
		}
		return got
	}
	for _, limit := range []int32{-1, 0, 1 << 30} {
		got := codes(describing(limit, "here", "a name", "gone"))
		if got["a name"] != kerr.InvalidTopicException.Code || got["gone"] != kerr.UnknownTopicOrPartition.Code {
			t.Errorf("limit %d: %v", limit, got)
		}
		if code, described := got["here"]; !described || code != 0 {
			t.Errorf("limit %d: %v", limit, got)
		}
	}
	for _, cursor := range []kmsg.DescribeTopicPartitionsRequestCursor{{Topic: "elsewhere"}, {Topic: "here", Partition: -1}} {
		req := describing(10, "here")
		req.Cursor = &cursor
		if got := codes(req); got["here"] != kerr.InvalidRequest.Code {
			t.Errorf("cursor %+v: %v", cursor, got)
		}
	}
}

// Two topic ids that kfake does not know, in one Produce request, would end the
// process.
func TestProduceAnswersTopicIDsThatNobodyHas(t *testing.T) {
	c := open(t, Config{Seed: []Topic{{"one", 1}, {"two", 1}}})
	id := func(name string) [16]byte { return c.kfake.TopicInfo(name).TopicID }
	batch := batchOf(-1, -1, -1, false)
	for _, version := range versionsFrom(t, c, kmsg.Produce, produceNamesIDs) {
		req := producing(nil, "", batch)
		req.Topics = []kmsg.ProduceRequestTopic{
			batchFor("", [16]byte{1}, batch), batchFor("", id("one"), batch), batchFor("", [16]byte{2}, batch),
			batchFor("", id("two"), batch), batchFor("", [16]byte{3}, batch),
		}
		got := make(map[[16]byte]int16)
		for _, topic := range answer[*kmsg.ProduceResponse](t, c, version, req).Topics {
			got[topic.TopicID] = topic.Partitions[0].ErrorCode
		}
		if len(got) != 5 || got[id("one")] != 0 || got[id("two")] != 0 || got[[16]byte{2}] != kerr.UnknownTopicID.Code {
			t.Errorf("v%d: %v", version, got)
		}
		req.Acks = 0
		if kind, _ := ask(t, c, req); kind != reqchan.AnswerClose {
			t.Errorf("v%d without acknowledgement: %v", version, kind)
		}
		req.Topics = req.Topics[3:4]
		if kind, _ := ask(t, c, req); kind != reqchan.AnswerNoResponse {
			t.Errorf("v%d without acknowledgement, topics there: %v", version, kind)
		}
	}
	if end := c.kfake.PartitionInfo("one", 0).HighWatermark; end != 2 {
		t.Errorf("topic one ends at %d", end)
	}
	if end := c.kfake.PartitionInfo("two", 0).HighWatermark; end != 3 {
		t.Errorf("topic two ends at %d", end)
	}
}
