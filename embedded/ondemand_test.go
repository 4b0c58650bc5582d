package embedded

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func named(from, to int) (names []string) {
	for i := from; i < to; i++ {
		names = append(names, fmt.Sprintf("topic-%d", i))
	}
	return names
}

func madeOf(resp kmsg.Response) (made int) {
	for _, t := range resp.(*kmsg.MetadataResponse).Topics {
		if t.ErrorCode == 0 {
			made++
		}
	}
	return made
}

func TestTopicsOnDemandAreBoundedInAll(t *testing.T) {
	c := open(t, Config{PartitionsMax: 20, Partitions: 3})
	_, resp := ask(t, c, metadataOf(named(0, 10)...))
	if got := madeOf(resp); got != 6 {
		t.Errorf("%d topics of 3 partitions were made, of 20 partitions", got)
	}
	for _, topic := range resp.(*kmsg.MetadataResponse).Topics {
		if topic.ErrorCode != 0 && topic.ErrorCode != kerr.UnknownTopicOrPartition.Code {
			t.Errorf("error %d", topic.ErrorCode)
		}
	}
	if got := code(t, c, creating(topicOf("more", 3))); got != kerr.PolicyViolation.Code {
		t.Errorf("CreateTopics beyond the bound: error %d", got)
	}
	grow := kmsg.NewPtrCreatePartitionsRequest()
	topic := kmsg.NewCreatePartitionsRequestTopic()
	topic.Topic, topic.Count = "topic-0", 6
	grow.Topics = append(grow.Topics, topic)
	if got := code(t, c, grow); got != kerr.PolicyViolation.Code {
		t.Errorf("CreatePartitions beyond the bound: error %d", got)
	}
	grow.Topics[0].Count = 5 // two more
	if got := code(t, c, grow); got != 0 {
		t.Errorf("CreatePartitions within the bound: error %d", got)
	}
	if got := code(t, c, deleting("topic-1")); got != 0 {
		t.Fatalf("error %d", got)
	}
	await(t, func() bool { return code(t, c, creating(topicOf("more", 3))) == 0 }) // it is counted again
}

func TestTopicsOnDemandAreBoundedPerClient(t *testing.T) {
	c := open(t, Config{})
	began := time.Now()
	if _, resp := ask(t, c, metadataOf(named(0, onDemandBurst)...)); madeOf(resp) != onDemandBurst {
		t.Errorf("%d topics were made at once", madeOf(resp))
	}
	_, resp := ask(t, c, metadataOf(named(0, 2*onDemandBurst)...))
	if most := onDemandBurst + 1 + onDemandPerSecond*int(time.Since(began).Seconds()+1); madeOf(resp) > most {
		t.Errorf("%d topics were made, more than %d", madeOf(resp), most)
	}
	now := time.Now()
	c.topics.mu.Lock()
	defer c.topics.mu.Unlock()
	if other := c.topics.allowanceOf(netip.MustParseAddr("192.0.2.7"), now); other.left != onDemandBurst {
		t.Errorf("another client may have %v", other.left)
	}
	if a := c.topics.allowanceOf(netip.Addr{}, now.Add(time.Minute)); a.left < onDemandPerSecond*59 {
		t.Errorf("a minute later the client may have %v", a.left)
	}
}

func TestTheDescriptorsOfADirectoryBoundItsPartitions(t *testing.T) {
	c := open(t, Config{DataDir: t.TempDir(), FilesMax: filesBesides + 5*filesPerPartition})
	if c.PartitionsMax() != 5 {
		t.Fatalf("%d partitions may be", c.PartitionsMax())
	}
	if got := code(t, c, creating(topicOf("many", 6))); got != kerr.PolicyViolation.Code {
		t.Errorf("error %d", got)
	}
	if got := code(t, c, creating(topicOf("few", 5))); got != 0 {
		t.Errorf("error %d", got)
	}
	if _, err := Open(Config{DataDir: t.TempDir(), FilesMax: 30, Seed: []Topic{{"many", 100}}}); err == nil {
		t.Error("more were seeded than there may be")
	}
}
