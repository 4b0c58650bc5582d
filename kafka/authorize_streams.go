package kafka

import (
	"kring/acl"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// topology is asked about what a Kafka Streams application reads and writes: it may describe all
// of it. The broker creates the internal topics that are missing, by its own right: so who may
// not create them must not name such. (Apache Kafka leaves these out, and says so in the status.)
func topology(s *screening) {
	req := s.req.(*kmsg.StreamsGroupHeartbeatRequest)
	if req.Topology == nil {
		return
	}
	creates := s.sees(acl.Create, acl.Cluster, acl.ClusterName)
	for i := range req.Topology.Subtopologies {
		sub := &req.Topology.Subtopologies[i]
		for _, name := range append(append([]string(nil), sub.SourceTopics...), sub.RepartitionSinkTopics...) {
			if !s.may(acl.Describe, acl.Topic, name) {
				s.refuse(codeTopicAuthorization)
				return
			}
		}
		for _, t := range append(append([]kmsg.TopicInfo(nil), sub.RepartitionSourceTopics...), sub.StateChangelogTopics...) {
			if code := s.internalTopic(t.Topic, creates); code != 0 {
				s.refuse(code)
				return
			}
		}
	}
}

// internalTopic is the verdict about an internal topic of a Kafka Streams application. Of one that
// may exist or not, soon it is known: the client comes again.
func (s *screening) internalTopic(name string, creates bool) int16 {
	if !s.may(acl.Describe, acl.Topic, name) {
		return codeTopicAuthorization
	}
	if creates || s.sees(acl.Create, acl.Topic, name) {
		return 0
	}
	switch exists, missing := s.existence(name); {
	case exists && s.sure(name):
		return 0
	case !missing:
		return codeCoordinatorLoading
	}
	s.may(acl.Create, acl.Topic, name) // says so
	return codeTopicAuthorization
}

var describedStreams = elements[*kmsg.StreamsGroupDescribeRequest, *kmsg.StreamsGroupDescribeResponse, string, kmsg.StreamsGroupDescribeResponseGroup]{
	of:      func(r *kmsg.StreamsGroupDescribeRequest) *[]string { return &r.Groups },
	verdict: groupNamed(acl.Describe),
	in:      func(r *kmsg.StreamsGroupDescribeResponse) *[]kmsg.StreamsGroupDescribeResponseGroup { return &r.Groups },
	denied: func(name *string, code int16) kmsg.StreamsGroupDescribeResponseGroup {
		r := kmsg.NewStreamsGroupDescribeResponseGroup()
		r.Group, r.ErrorCode = *name, code
		return r
	},
}

// streamsDetails hides groups with topics that the client may not describe.
func streamsDetails(s *screening) {
	with := s.req.(*kmsg.StreamsGroupDescribeRequest).IncludeAuthorizedOperations
	then(s, func(resp *kmsg.StreamsGroupDescribeResponse) {
		for i := range resp.Groups {
			g := &resp.Groups[i]
			if g.ErrorCode == 0 && with {
				g.AuthorizedOperations = s.operations(acl.Group, g.Group)
			}
			if !s.seesTopology(g.Topology) {
				hidden := describedStreams.denied(&g.Group, codeTopicAuthorization)
				hidden.ErrorMessage = kmsg.StringPtr(hiddenTopics)
				*g = hidden
			}
		}
	})
}

func (s *screening) seesTopology(t *kmsg.StreamsGroupDescribeResponseGroupTopology) bool {
	if t == nil {
		return true
	}
	for i := range t.Subtopologies {
		sub := &t.Subtopologies[i]
		names := append(append([]string(nil), sub.SourceTopics...), sub.RepartitionSinkTopics...)
		for _, internal := range append(append([]kmsg.TopicInfo(nil), sub.RepartitionSourceTopics...), sub.StateChangelogTopics...) {
			names = append(names, internal.Topic)
		}
		for _, name := range names {
			if !s.sees(acl.Describe, acl.Topic, name) {
				return false
			}
		}
	}
	return true
}
