package embedded

import (
	"slices"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// topicIndex is what an authorizer has to know of topics (kafka.Topics). It asks kfake,
// and waits for it.
type topicIndex struct{ cluster *Cluster }

// TopicName is the name of the topic that has an id, "" if there is none.
func (t topicIndex) TopicName(id [16]byte) string { return t.cluster.topicName(id) }

// TopicExists reports whether there is such a topic.
func (t topicIndex) TopicExists(name string) bool {
	return ofKfake(t.cluster, func(k *kfake.Cluster) *kfake.TopicInfo { return k.TopicInfo(name) }) != nil
}

// TopicNames are those of all topics, sorted; none if kfake can't be asked.
func (t topicIndex) TopicNames() (names []string) {
	req := kmsg.NewPtrMetadataRequest()
	req.Version, req.Topics = metadataChoosesCreation, nil // all
	resp, err := t.cluster.inside.ask(req)
	if err != nil {
		return nil
	}
	for _, topic := range resp.(*kmsg.MetadataResponse).Topics {
		if topic.Topic != nil {
			names = append(names, *topic.Topic)
		}
	}
	slices.Sort(names)
	return names
}

// currentIndex is the topicIndex of the last Cluster that was opened with the same
// kafka.Producers or kafka.TopicCounts: after an upgrade that failed another is, and views and
// metrics may be asking at that moment.
type currentIndex struct{ cluster atomic.Pointer[Cluster] }

func newIndex(c *Cluster) *currentIndex {
	i := &currentIndex{}
	i.cluster.Store(c)
	return i
}

// pointAt has index be of c, if it is a currentIndex. The field that has it is not written:
// others may be reading it.
func pointAt(index any, c *Cluster) bool {
	i, is := index.(*currentIndex)
	if is {
		i.cluster.Store(c)
	}
	return is
}

func (i *currentIndex) TopicName(id [16]byte) string {
	return topicIndex{i.cluster.Load()}.TopicName(id)
}
func (i *currentIndex) TopicExists(name string) bool {
	return topicIndex{i.cluster.Load()}.TopicExists(name)
}
func (i *currentIndex) TopicNames() []string { return topicIndex{i.cluster.Load()}.TopicNames() }
