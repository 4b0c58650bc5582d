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
	for _, t := range more {
		at := slices.IndexFunc(resp.Topics, func(has kmsg.ProduceResponseTopic) bool {
			return has.Topic == t.Topic && has.TopicID == t.TopicID
		})
		if at < 0 {
			resp.Topics = append(resp.Topics, t)
			continue
		}
		resp.Topics[at].Partitions = append(resp.Topics[at].Partitions, t.Partitions...)
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

// produceByTopic shows kfake the topics of a request one at a time: two ids that
// it does not know, in one request, end its process. All but the last are asked
// for here, in their order. In the answer every topic has its id, and stands once,
// whoever said something of its partitions.
func produceByTopic(x *exchange, req *kmsg.ProduceRequest) kmsg.Response {
	if req.Version < produceNamesIDs {
		return nil
	}
	ids := make(map[string][16]byte, len(req.Topics))
	for i := range req.Topics {
		ids[req.Topics[i].Topic] = req.Topics[i].TopicID
	}
	var answers []kmsg.ProduceResponseTopic
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
		answers = append(answers, resp.(*kmsg.ProduceResponse).Topics...)
		req.Topics, x.changed = req.Topics[1:], true
	}
	then(x, func(resp *kmsg.ProduceResponse) {
		said := append(resp.Topics, answers...)
		resp.Topics = nil
		for i := range said {
			if said[i].TopicID == [16]byte{} {
				said[i].TopicID = ids[said[i].Topic]
			}
			said[i].Topic = ""
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
	defer c.topicNames.mu.Unlock()
	if name, ok := c.topicNames.of[id]; ok {
		return name
	}
	info := ofKfake(c, func(k *kfake.Cluster) *kfake.TopicInfo { return k.TopicIDInfo(id) })
	if info == nil {
		return ""
	}
	if len(c.topicNames.of) >= topicNamesKept || c.topicNames.of == nil {
		c.topicNames.of = make(map[[16]byte]string)
	}
	c.topicNames.of[id] = info.Topic
	return info.Topic
}
