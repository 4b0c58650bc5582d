package embedded

import "github.com/twmb/franz-go/pkg/kmsg"

// A name takes few bytes of a request, and what is answered to it may take many: a group
// has the offsets of all its partitions, a partition the producers that wrote to it. So
// what a request names again is answered once, wherever an answer is longer than a name.

// once keeps the first of all that have one name. again is told of those that go, unless
// it is nil.
func once[E any, K comparable](all *[]E, name func(*E) K, again func(first, more *E)) (changed bool) {
	if len(*all) < 2 {
		return false
	}
	seen := make(map[K]int, len(*all))
	kept := (*all)[:0]
	for i := range *all {
		e := &(*all)[i]
		at, twice := seen[name(e)]
		if !twice {
			seen[name(e)] = len(kept)
			kept = append(kept, *e)
		} else if again != nil {
			again(&kept[at], e)
		}
	}
	changed = len(kept) < len(*all)
	clear((*all)[len(kept):])
	*all = kept
	return changed
}

func itself[E comparable](e *E) E { return *e }

// answerOnce takes a name that a request has twice for one.
func answerOnce[Req kmsg.Request, E any](names func(Req) *[]E, name func(*E) string) func(*exchange) kmsg.Response {
	return func(x *exchange) kmsg.Response {
		if once(names(x.req.(Req)), name, nil) {
			x.changed = true
		}
		return nil
	}
}

// partitionsOnce is once for partitions, which mostly come in their order.
func partitionsOnce(all *[]int32) (changed bool) {
	rises := true
	for i := 1; i < len(*all); i++ {
		rises = rises && (*all)[i-1] < (*all)[i]
	}
	return !rises && once(all, itself[int32], nil)
}

// topicsOnce puts together what is said of one topic, and of one partition.
func topicsOnce[T any, K comparable](topics *[]T, name func(*T) K, partitions func(*T) *[]int32) (changed bool) {
	changed = once(topics, name, func(first, more *T) {
		*partitions(first) = append(*partitions(first), *partitions(more)...)
	})
	for i := range *topics {
		changed = partitionsOnce(partitions(&(*topics)[i])) || changed
	}
	return changed
}

// fetchOffsetsOnce is topicsOnce for each group of an OffsetFetch. Whoever asks for all
// topics of a group has asked for the others, too.
func fetchOffsetsOnce(x *exchange, req *kmsg.OffsetFetchRequest) kmsg.Response {
	type group = kmsg.OffsetFetchRequestGroup
	type topic = kmsg.OffsetFetchRequestGroupTopic
	changed := topicsOnce(&req.Topics, func(t *kmsg.OffsetFetchRequestTopic) string { return t.Topic },
		func(t *kmsg.OffsetFetchRequestTopic) *[]int32 { return &t.Partitions })
	changed = once(&req.Groups, func(g *group) string { return g.Group }, func(first, more *group) {
		if first.Topics == nil || more.Topics == nil {
			first.Topics = nil
			return
		}
		first.Topics = append(first.Topics, more.Topics...)
	}) || changed
	type named struct {
		name string
		id   [16]byte
	}
	for i := range req.Groups {
		changed = topicsOnce(&req.Groups[i].Topics, func(t *topic) named { return named{t.Topic, t.TopicID} },
			func(t *topic) *[]int32 { return &t.Partitions }) || changed
	}
	x.changed = x.changed || changed
	return nil
}

// describeShareOffsetsOnce is fetchOffsetsOnce for share groups.
func describeShareOffsetsOnce(x *exchange, req *kmsg.DescribeShareGroupOffsetsRequest) kmsg.Response {
	type group = kmsg.DescribeShareGroupOffsetsRequestGroup
	type topic = kmsg.DescribeShareGroupOffsetsRequestGroupTopic
	changed := once(&req.Groups, func(g *group) string { return g.GroupID }, func(first, more *group) {
		if first.Topics == nil || more.Topics == nil {
			first.Topics = nil
			return
		}
		first.Topics = append(first.Topics, more.Topics...)
	})
	for i := range req.Groups {
		changed = topicsOnce(&req.Groups[i].Topics, func(t *topic) string { return t.Topic }, func(t *topic) *[]int32 { return &t.Partitions }) || changed
	}
	x.changed = x.changed || changed
	return nil
}

// describeProducersOnce has no partition's log read twice.
func describeProducersOnce(x *exchange, req *kmsg.DescribeProducersRequest) kmsg.Response {
	type topic = kmsg.DescribeProducersRequestTopic
	if topicsOnce(&req.Topics, func(t *topic) string { return t.Topic }, func(t *topic) *[]int32 { return &t.Partitions }) {
		x.changed = true
	}
	return nil
}
