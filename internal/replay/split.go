package replay

import (
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// itself is the node of requests that any broker may answer: they go to Config.Target.
const itself = -1

// forNode is a request, or a part of one, for a broker.
type forNode struct {
	node int32
	req  kmsg.Request
}

// split makes of a request those for the leaders of its partitions. In a cluster of one broker, and
// of requests that are not for leaders, it is the request, for the target itself.
func (t *target) split(req kmsg.Request) []forNode {
	if len(t.brokers) > 1 {
		switch q := req.(type) {
		case *kmsg.ProduceRequest:
			return parts(splitTopics(t, q.Topics, func(x *kmsg.ProduceRequestTopic) (string, *[]kmsg.ProduceRequestTopicPartition) {
				return x.Topic, &x.Partitions
			},
				func(p *kmsg.ProduceRequestTopicPartition) int32 { return p.Partition }), func(topics []kmsg.ProduceRequestTopic) kmsg.Request {
				one := *q
				one.Topics = topics
				return &one
			}, req)
		case *kmsg.FetchRequest:
			return parts(splitTopics(t, q.Topics, func(x *kmsg.FetchRequestTopic) (string, *[]kmsg.FetchRequestTopicPartition) {
				return x.Topic, &x.Partitions
			},
				func(p *kmsg.FetchRequestTopicPartition) int32 { return p.Partition }), func(topics []kmsg.FetchRequestTopic) kmsg.Request {
				one := *q
				one.Topics = topics
				return &one
			}, req)
		case *kmsg.ListOffsetsRequest:
			return parts(splitTopics(t, q.Topics, func(x *kmsg.ListOffsetsRequestTopic) (string, *[]kmsg.ListOffsetsRequestTopicPartition) {
				return x.Topic, &x.Partitions
			},
				func(p *kmsg.ListOffsetsRequestTopicPartition) int32 { return p.Partition }), func(topics []kmsg.ListOffsetsRequestTopic) kmsg.Request {
				one := *q
				one.Topics = topics
				return &one
			}, req)
		case *kmsg.OffsetForLeaderEpochRequest:
			return parts(splitTopics(t, q.Topics, func(x *kmsg.OffsetForLeaderEpochRequestTopic) (string, *[]kmsg.OffsetForLeaderEpochRequestTopicPartition) {
				return x.Topic, &x.Partitions
			}, func(p *kmsg.OffsetForLeaderEpochRequestTopicPartition) int32 { return p.Partition }), func(topics []kmsg.OffsetForLeaderEpochRequestTopic) kmsg.Request {
				one := *q
				one.Topics = topics
				return &one
			}, req)
		}
	}
	return []forNode{{itself, req}}
}

// parts are the requests of topics by node; whole without topics.
func parts[T any](by map[int32][]T, with func([]T) kmsg.Request, whole kmsg.Request) (all []forNode) {
	for _, node := range slices.Sorted(maps.Keys(by)) {
		all = append(all, forNode{node, with(by[node])})
	}
	if len(all) == 0 {
		return []forNode{{itself, whole}}
	}
	return all
}

// splitTopics sorts partitions by their leaders.
func splitTopics[T, P any](t *target, topics []T, of func(*T) (string, *[]P), number func(*P) int32) map[int32][]T {
	by := map[int32][]T{}
	for i := range topics {
		name, all := of(&topics[i])
		here := map[int32][]P{}
		for _, p := range *all {
			node := t.leader(part{name, number(&p)})
			here[node] = append(here[node], p)
		}
		for node, some := range here {
			one := topics[i]
			_, partitions := of(&one)
			*partitions = some
			by[node] = append(by[node], one)
		}
	}
	return by
}

// leader is the broker that leads a partition; itself: nobody knows.
func (t *target) leader(p part) int32 {
	node, known := t.leaders[p]
	if _, is := t.brokers[node]; !known || !is {
		return itself
	}
	return node
}

// address is where a node is reached.
func (t *target) address(node int32) string {
	if node == itself {
		return t.cfg.Target
	}
	return t.brokers[node]
}
