package kafka

import (
	"kring/acl"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// createTopics lets those topics be made that may be, and shows the settings of those
// whose settings may be described.
func createTopics(s *screening) {
	if !s.sees(acl.Create, acl.Cluster, acl.ClusterName) {
		each(createdTopics)(s)
	}
	if s.answer != nil || s.header.Version < createdConfigsFrom {
		return
	}
	then(s, func(resp *kmsg.CreateTopicsResponse) {
		for i := range resp.Topics {
			t := &resp.Topics[i]
			if t.ErrorCode == 0 && !s.sees(acl.DescribeConfigs, acl.Topic, t.Topic) {
				t.ConfigErrorCode, t.NumPartitions, t.ReplicationFactor = codeTopicAuthorization, -1, -1
				t.Configs = []kmsg.CreateTopicsResponseTopicConfig{}
			}
		}
	})
}

// createdConfigsFrom is the first version of CreateTopics that answers with settings.
const createdConfigsFrom = 5

var createdTopics = elements[*kmsg.CreateTopicsRequest, *kmsg.CreateTopicsResponse, kmsg.CreateTopicsRequestTopic, kmsg.CreateTopicsResponseTopic]{
	of:      func(r *kmsg.CreateTopicsRequest) *[]kmsg.CreateTopicsRequestTopic { return &r.Topics },
	verdict: topicNamed(acl.Create, func(t *kmsg.CreateTopicsRequestTopic) string { return t.Topic }),
	in:      func(r *kmsg.CreateTopicsResponse) *[]kmsg.CreateTopicsResponseTopic { return &r.Topics },
	denied: func(t *kmsg.CreateTopicsRequestTopic, code int16) kmsg.CreateTopicsResponseTopic {
		r := kmsg.NewCreateTopicsResponseTopic()
		r.Topic, r.ErrorCode, r.ErrorMessage = t.Topic, code, kmsg.StringPtr("Authorization failed.")
		r.NumPartitions, r.ReplicationFactor = -1, -1
		r.Configs = []kmsg.CreateTopicsResponseTopicConfig{} // null would end Java's admin client
		return r
	},
}

// deleteTopics lets those topics be deleted that may be. A topic that the client named
// by its id is named in the response to who may describe it.
func deleteTopics(s *screening) {
	if s.sees(acl.Delete, acl.Cluster, acl.ClusterName) {
		return
	}
	req := s.req.(*kmsg.DeleteTopicsRequest)
	names, refused := sift(s, req.TopicNames, func(s *screening, name *string) int16 { return s.deletable(*name) }, func(name *string, code int16) kmsg.DeleteTopicsResponseTopic {
		return s.undeleted(name, [16]byte{}, code)
	})
	topics, more := sift(s, req.Topics, deletedTopic, func(t *kmsg.DeleteTopicsRequestTopic, code int16) kmsg.DeleteTopicsResponseTopic {
		name := t.Topic
		if name == nil {
			if of := s.nameOf(t.TopicID); of != "" && s.sees(acl.Describe, acl.Topic, of) {
				name = &of
			}
		}
		return s.undeleted(name, t.TopicID, code)
	})
	if refused = append(refused, more...); len(refused) == 0 {
		return
	}
	if len(names)+len(topics) == 0 {
		resp := s.response().(*kmsg.DeleteTopicsResponse)
		resp.Topics, s.answer = refused, resp
		return
	}
	req.TopicNames, req.Topics, s.cut = names, topics, true
	then(s, func(resp *kmsg.DeleteTopicsResponse) { resp.Topics = append(resp.Topics, refused...) })
}

func deletedTopic(s *screening, t *kmsg.DeleteTopicsRequestTopic) int16 {
	if t.Topic == nil {
		return s.topicByID(acl.Delete, t.TopicID)
	}
	return s.deletable(*t.Topic) // with an id beside the name, the handler refuses it
}

// deletable is the verdict about a topic to delete. Who may describe it is told that
// there is none.
func (s *screening) deletable(name string) int16 {
	switch _, missing := s.existence(name); {
	case s.may(acl.Delete, acl.Topic, name):
		return 0
	case s.topics != nil && missing && s.sees(acl.Describe, acl.Topic, name):
		return codeUnknownTopicOrPartition
	}
	return codeTopicAuthorization
}

func (s *screening) undeleted(name *string, id [16]byte, code int16) kmsg.DeleteTopicsResponseTopic {
	r := kmsg.NewDeleteTopicsResponseTopic()
	r.Topic, r.TopicID, r.ErrorCode = name, id, code
	if code != codeUnknownTopicOrPartition {
		r.ErrorMessage = kmsg.StringPtr(errorText(code))
	}
	return r
}

// epochEnds is for brokers, and for clients that may describe the topics (KIP-320).
func epochEnds(s *screening) {
	if !s.sees(acl.ClusterAction, acl.Cluster, acl.ClusterName) {
		each(topicEpochEnds)(s)
	}
}
