package embedded

import (
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// mergeProduced adds what is said of partitions to a response, which names a topic
// once.
func mergeProduced(resp *kmsg.ProduceResponse, more []kmsg.ProduceResponseTopic) {
	type topic struct {
		name string
		id   [16]byte
	}
	at := make(map[topic]int, len(resp.Topics))
	for i := range resp.Topics {
		at[topic{resp.Topics[i].Topic, resp.Topics[i].TopicID}] = i
	}
	for _, t := range more {
		if i, has := at[topic{t.Topic, t.TopicID}]; has {
			resp.Topics[i].Partitions = append(resp.Topics[i].Partitions, t.Partitions...)
			continue
		}
		at[topic{t.Topic, t.TopicID}] = len(resp.Topics)
		resp.Topics = append(resp.Topics, t)
	}
}

// produceNamesIDs is the first version of Produce whose topics are ids.
const produceNamesIDs = 13

// nameProduced has every repair see the names of the topics, which the wire has
// not from version 13 on. kfake looks at the ids alone.
func nameProduced(x *exchange, req *kmsg.ProduceRequest) kmsg.Response {
	if req.Version >= produceNamesIDs {
		for i := range req.Topics {
			req.Topics[i].Topic = x.cluster().topicName(req.Topics[i].TopicID)
		}
	}
	return nil
}

// lastOfEachPartition takes the last batch that a request has for a partition, as Apache Kafka does.
// kfake stores all of them and answers for the first.
func lastOfEachPartition(x *exchange, req *kmsg.ProduceRequest) kmsg.Response {
	type part struct {
		topic     string
		id        [16]byte
		partition int32
	}
	left := make(map[part]int)
	all := 0
	for i := range req.Topics {
		t := &req.Topics[i]
		for j := range t.Partitions {
			left[part{t.Topic, t.TopicID, t.Partitions[j].Partition}]++
			all++
		}
	}
	if len(left) == all {
		return nil
	}
	x.changed = true
	for i := range req.Topics {
		t := &req.Topics[i]
		t.Partitions = slices.DeleteFunc(t.Partitions, func(p kmsg.ProduceRequestTopicPartition) bool {
			at := part{t.Topic, t.TopicID, p.Partition}
			left[at]--
			return left[at] > 0
		})
	}
	req.Topics = slices.DeleteFunc(req.Topics, func(t kmsg.ProduceRequestTopic) bool { return len(t.Partitions) == 0 })
	return nil
}

// produceByTopic shows kfake the topics of a request one at a time: two ids that
// it does not know, in one request, end its process. All but the last are asked
// for here, in their order. The repairs that asked to see the response see all of it,
// with the names of the topics beside their ids.
func produceByTopic(x *exchange, req *kmsg.ProduceRequest) kmsg.Response {
	if req.Version < produceNamesIDs {
		return nil
	}
	names := make(map[[16]byte]string, len(req.Topics))
	for i := range req.Topics {
		names[req.Topics[i].TopicID] = req.Topics[i].Topic
	}
	for len(req.Topics) > 1 {
		one := *req
		one.Topics = req.Topics[:1]
		if one.Acks == 0 {
			one.Acks = 1 // an answer is waited for; see watchSilent
		}
		resp, err := x.ask(&one)
		if err != nil {
			x.fail(err)
			return nil
		}
		for _, t := range resp.(*kmsg.ProduceResponse).Topics {
			t.Topic = names[t.TopicID]
			x.partly.Topics = append(x.partly.Topics, t)
		}
		req.Topics, x.changed = req.Topics[1:], true
	}
	first(x, func(resp *kmsg.ProduceResponse) {
		said := append(resp.Topics, x.partly.Topics...)
		resp.Topics = nil
		for i := range said {
			said[i].Topic = names[said[i].TopicID]
		}
		mergeProduced(resp, said)
	})
	return nil
}

// topicNamesKept bounds topicNames.
const topicNamesKept = 10_000

// topicNames are names of topics by their ids: an id is given once, so what is
// here stays true.
//
// Concurrency: any goroutine.
type topicNames struct {
	mu sync.Mutex
	of map[[16]byte]string // guarded by mu
}

// topicName is the name of the topic that has an id, "" if there is none.
func (c *Cluster) topicName(id [16]byte) string {
	c.topicNames.mu.Lock()
	name, known := c.topicNames.of[id]
	c.topicNames.mu.Unlock()
	if known {
		return name
	}
	info := ofKfake(c, func(k *kfake.Cluster) *kfake.TopicInfo { return k.TopicIDInfo(id) })
	if info == nil {
		return ""
	}
	c.topicNames.mu.Lock()
	defer c.topicNames.mu.Unlock()
	if len(c.topicNames.of) >= topicNamesKept || c.topicNames.of == nil {
		c.topicNames.of = make(map[[16]byte]string)
	}
	c.topicNames.of[id] = info.Topic
	return info.Topic
}
