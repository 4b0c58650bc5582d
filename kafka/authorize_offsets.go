package kafka

import (
	"slices"

	"kring/acl"

	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	offsetFetchGroupsFrom = 8  // versions that ask for several groups
	offsetFetchIDsFrom    = 10 // versions that name topics by id
	coordinatorKeysFrom   = 4  // versions of FindCoordinator that ask for several
)

// offsetFetch shows the offsets of groups and topics that may be described.
func offsetFetch(s *screening) {
	if s.header.Version >= offsetFetchGroupsFrom {
		offsetsOfGroups(s)
		return
	}
	req := s.req.(*kmsg.OffsetFetchRequest)
	if !s.may(acl.Describe, acl.Group, req.Group) {
		s.refuse(codeGroupAuthorization)
		if resp := s.answer.(*kmsg.OffsetFetchResponse); s.header.Version >= 2 { // which has an error of its own
			resp.Topics = []kmsg.OffsetFetchResponseTopic{}
		} else {
			unknownOffsets(resp.Topics)
		}
		return
	}
	if req.Topics == nil {
		shown(func(r *kmsg.OffsetFetchResponse) *[]kmsg.OffsetFetchResponseTopic { return &r.Topics },
			func(s *screening, t *kmsg.OffsetFetchResponseTopic) bool {
				return s.sees(acl.Describe, acl.Topic, t.Topic)
			})(s)
		return
	}
	each(fetchedOffsets)(s)
}

func unknownOffsets(topics []kmsg.OffsetFetchResponseTopic) {
	for i := range topics {
		for j := range topics[i].Partitions {
			p := &topics[i].Partitions[j]
			p.Offset, p.LeaderEpoch, p.Metadata = -1, -1, kmsg.StringPtr("")
		}
	}
}

var fetchedOffsets = elements[*kmsg.OffsetFetchRequest, *kmsg.OffsetFetchResponse, kmsg.OffsetFetchRequestTopic, kmsg.OffsetFetchResponseTopic]{
	of:      func(r *kmsg.OffsetFetchRequest) *[]kmsg.OffsetFetchRequestTopic { return &r.Topics },
	verdict: topicNamed(acl.Describe, func(t *kmsg.OffsetFetchRequestTopic) string { return t.Topic }),
	in:      func(r *kmsg.OffsetFetchResponse) *[]kmsg.OffsetFetchResponseTopic { return &r.Topics },
	denied: func(t *kmsg.OffsetFetchRequestTopic, code int16) kmsg.OffsetFetchResponseTopic {
		r := kmsg.NewOffsetFetchResponseTopic()
		r.Topic = t.Topic
		for _, partition := range t.Partitions {
			p := kmsg.NewOffsetFetchResponseTopicPartition()
			p.Partition, p.Offset, p.LeaderEpoch, p.Metadata, p.ErrorCode = partition, -1, -1, kmsg.StringPtr(""), code
			r.Partitions = append(r.Partitions, p)
		}
		return r
	},
}

// offsetsOfGroups is offsetFetch for several groups.
func offsetsOfGroups(s *screening) {
	each(fetchedGroups)(s)
	if s.answer != nil {
		return
	}
	req := s.req.(*kmsg.OffsetFetchRequest)
	refused := map[string][]kmsg.OffsetFetchResponseGroupTopic{}
	all := map[string]bool{}
	byID := s.header.Version >= offsetFetchIDsFrom
	verdict := topicFrom(offsetFetchIDsFrom, acl.Describe, func(t *kmsg.OffsetFetchRequestGroupTopic) string { return t.Topic },
		func(t *kmsg.OffsetFetchRequestGroupTopic) [16]byte { return t.TopicID })
	for i := range req.Groups {
		g := &req.Groups[i]
		if g.Topics == nil {
			all[g.Group] = true
			continue
		}
		kept, denied := sift(s, g.Topics, verdict, unfetched)
		if len(denied) > 0 {
			g.Topics, s.cut = kept, true
			refused[g.Group] = append(refused[g.Group], denied...)
		}
	}
	if len(refused)+len(all) == 0 {
		return
	}
	then(s, func(resp *kmsg.OffsetFetchResponse) {
		for i := range resp.Groups {
			g := &resp.Groups[i]
			if all[g.Group] {
				g.Topics = s.describable(g.Topics, byID)
			}
			if g.ErrorCode == 0 {
				g.Topics = append(g.Topics, onlyOnce(refused, g.Group)...)
			}
		}
	})
}

// onlyOnce takes what was refused under a name: the first element of a response that has the name
// is given all of it. A request may name one group as often as it likes, and a handler answer each
// time: what each were given would grow with the square of the request.
func onlyOnce[T any](refused map[string][]T, name string) []T {
	all := refused[name]
	delete(refused, name)
	return all
}

func (s *screening) describable(topics []kmsg.OffsetFetchResponseGroupTopic, byID bool) []kmsg.OffsetFetchResponseGroupTopic {
	kept := topics[:0]
	for _, t := range topics {
		name := t.Topic
		if byID {
			name = s.nameOf(t.TopicID)
		}
		if name != "" && s.sees(acl.Describe, acl.Topic, name) {
			kept = append(kept, t)
		}
	}
	return kept
}

func unfetched(t *kmsg.OffsetFetchRequestGroupTopic, code int16) kmsg.OffsetFetchResponseGroupTopic {
	r := kmsg.NewOffsetFetchResponseGroupTopic()
	r.Topic, r.TopicID = t.Topic, t.TopicID
	for _, partition := range t.Partitions {
		p := kmsg.NewOffsetFetchResponseGroupTopicPartition()
		p.Partition, p.Offset, p.LeaderEpoch, p.Metadata, p.ErrorCode = partition, -1, -1, kmsg.StringPtr(""), code
		r.Partitions = append(r.Partitions, p)
	}
	return r
}

var fetchedGroups = elements[*kmsg.OffsetFetchRequest, *kmsg.OffsetFetchResponse, kmsg.OffsetFetchRequestGroup, kmsg.OffsetFetchResponseGroup]{
	of: func(r *kmsg.OffsetFetchRequest) *[]kmsg.OffsetFetchRequestGroup { return &r.Groups },
	verdict: func(s *screening, g *kmsg.OffsetFetchRequestGroup) int16 {
		return groupNamed(acl.Describe)(s, &g.Group)
	},
	in: func(r *kmsg.OffsetFetchResponse) *[]kmsg.OffsetFetchResponseGroup { return &r.Groups },
	denied: func(g *kmsg.OffsetFetchRequestGroup, code int16) kmsg.OffsetFetchResponseGroup {
		r := kmsg.NewOffsetFetchResponseGroup()
		r.Group, r.ErrorCode = g.Group, code
		return r
	},
}

// coordinator is for who may describe the group or the transactional id. Kafka asks
// for the cluster's action where brokers look for each other.
func coordinator(s *screening) {
	if s.header.Version >= coordinatorKeysFrom {
		each(coordinators)(s)
		return
	}
	req := s.req.(*kmsg.FindCoordinatorRequest)
	if code := s.coordinates(req.CoordinatorType, req.CoordinatorKey); code != 0 {
		s.refuse(code)
	}
}

// coordinates is the verdict about a key of a type.
func (s *screening) coordinates(kind int8, key string) int16 {
	switch {
	case kind == 0 && !s.may(acl.Describe, acl.Group, key):
		return codeGroupAuthorization
	case kind == 1 && !s.may(acl.Describe, acl.TransactionalID, key):
		return codeTransactionAuthorization
	case kind != 0 && kind != 1 && !s.cluster(acl.ClusterAction):
		return codeClusterAuthorization
	}
	return 0
}

var coordinators = elements[*kmsg.FindCoordinatorRequest, *kmsg.FindCoordinatorResponse, string, kmsg.FindCoordinatorResponseCoordinator]{
	of: func(r *kmsg.FindCoordinatorRequest) *[]string { return &r.CoordinatorKeys },
	verdict: func(s *screening, key *string) int16 {
		return s.coordinates(s.req.(*kmsg.FindCoordinatorRequest).CoordinatorType, *key)
	},
	in: func(r *kmsg.FindCoordinatorResponse) *[]kmsg.FindCoordinatorResponseCoordinator {
		return &r.Coordinators
	},
	denied: func(key *string, code int16) kmsg.FindCoordinatorResponseCoordinator {
		r := kmsg.NewFindCoordinatorResponseCoordinator()
		r.Key, r.NodeID, r.Port, r.ErrorCode = *key, -1, -1, code
		return r
	},
}

// shareOffsets shows the offsets of share groups and topics that may be described.
func shareOffsets(s *screening) {
	each(shareOffsetGroups)(s)
	if s.answer != nil {
		return
	}
	req := s.req.(*kmsg.DescribeShareGroupOffsetsRequest)
	refused := map[string][]kmsg.DescribeShareGroupOffsetsResponseGroupTopic{}
	verdict := topicNamed(acl.Describe, func(t *kmsg.DescribeShareGroupOffsetsRequestGroupTopic) string { return t.Topic })
	for i := range req.Groups {
		g := &req.Groups[i]
		if g.Topics == nil {
			continue
		}
		kept, denied := sift(s, g.Topics, verdict, unshared)
		if len(denied) > 0 {
			g.Topics, s.cut = kept, true
			refused[g.GroupID] = append(refused[g.GroupID], denied...)
		}
	}
	then(s, func(resp *kmsg.DescribeShareGroupOffsetsResponse) {
		for i := range resp.Groups {
			g := &resp.Groups[i]
			g.Topics = slices.DeleteFunc(g.Topics, func(t kmsg.DescribeShareGroupOffsetsResponseGroupTopic) bool {
				return !s.sees(acl.Describe, acl.Topic, t.Topic)
			})
			if g.ErrorCode == 0 {
				g.Topics = append(g.Topics, onlyOnce(refused, g.GroupID)...)
			}
		}
	})
}

func unshared(t *kmsg.DescribeShareGroupOffsetsRequestGroupTopic, code int16) kmsg.DescribeShareGroupOffsetsResponseGroupTopic {
	r := kmsg.NewDescribeShareGroupOffsetsResponseGroupTopic()
	r.Topic = t.Topic
	for _, partition := range t.Partitions {
		p := kmsg.NewDescribeShareGroupOffsetsResponseGroupTopicPartition()
		p.Partition, p.ErrorCode, p.ErrorMessage = partition, code, kmsg.StringPtr(errorText(code))
		r.Partitions = append(r.Partitions, p)
	}
	return r
}

var shareOffsetGroups = elements[*kmsg.DescribeShareGroupOffsetsRequest, *kmsg.DescribeShareGroupOffsetsResponse, kmsg.DescribeShareGroupOffsetsRequestGroup, kmsg.DescribeShareGroupOffsetsResponseGroup]{
	of: func(r *kmsg.DescribeShareGroupOffsetsRequest) *[]kmsg.DescribeShareGroupOffsetsRequestGroup {
		return &r.Groups
	},
	verdict: func(s *screening, g *kmsg.DescribeShareGroupOffsetsRequestGroup) int16 {
		return groupNamed(acl.Describe)(s, &g.GroupID)
	},
	in: func(r *kmsg.DescribeShareGroupOffsetsResponse) *[]kmsg.DescribeShareGroupOffsetsResponseGroup {
		return &r.Groups
	},
	denied: func(g *kmsg.DescribeShareGroupOffsetsRequestGroup, code int16) kmsg.DescribeShareGroupOffsetsResponseGroup {
		r := kmsg.NewDescribeShareGroupOffsetsResponseGroup()
		r.GroupID, r.ErrorCode, r.ErrorMessage = g.GroupID, code, kmsg.StringPtr(errorText(code))
		return r
	},
}
