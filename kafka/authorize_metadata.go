package kafka

import (
	"slices"

	"kring/acl"

	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	metadataNoneFrom    = 1 // from this version on, null means all topics; before, an empty list
	metadataCreatesFrom = 4 // from this version on, a client says whether missing topics are created
)

// metadata shows the topics that may be described, creates those that may be created,
// and says of no other whether it exists.
func metadata(s *screening) {
	req := s.req.(*kmsg.MetadataRequest)
	all := req.Topics == nil || s.header.Version < metadataNoneFrom && len(req.Topics) == 0
	var refused []kmsg.MetadataResponseTopic
	if !all {
		var kept []kmsg.MetadataRequestTopic
		kept, refused = sift(s, req.Topics, describedTopic, hiddenTopic)
		kept, more := s.uncreated(req, kept)
		if refused = append(refused, more...); len(refused) > 0 {
			req.Topics, s.cut = kept, true
		}
	}
	// Version 0 can't ask for no topic: it is shown all, and none of them is let through.
	none := !all && s.header.Version < metadataNoneFrom && len(req.Topics) == 0
	if !all && len(refused) == 0 && !req.IncludeTopicAuthorizedOperations && !req.IncludeClusterAuthorizedOperations {
		return
	}
	then(s, func(resp *kmsg.MetadataResponse) {
		topics := make([]kmsg.MetadataResponseTopic, 0, len(resp.Topics)+len(refused))
		for _, t := range resp.Topics {
			if none || all && !s.sees(acl.Describe, acl.Topic, text(t.Topic)) {
				continue
			}
			if req.IncludeTopicAuthorizedOperations && t.Topic != nil {
				t.AuthorizedOperations = s.operations(acl.Topic, *t.Topic)
			}
			topics = append(topics, t)
		}
		resp.Topics = append(topics, refused...)
		if req.IncludeClusterAuthorizedOperations {
			resp.AuthorizedOperations = s.clusterOperations()
		}
	})
}

// describedTopic is the verdict about a topic that Metadata asks for by name or id: by its id
// where it has both, as in Apache Kafka.
func describedTopic(s *screening, t *kmsg.MetadataRequestTopic) int16 {
	if t.TopicID != ([16]byte{}) || t.Topic == nil {
		if t.Topic != nil { // nobody has looked at the name, so nobody behind the Filter sees it
			t.Topic, s.cut = nil, true
		}
		return s.topicByID(acl.Describe, t.TopicID)
	}
	if s.may(acl.Describe, acl.Topic, *t.Topic) {
		return 0
	}
	return codeTopicAuthorization
}

// hiddenTopic answers what the client knows of a topic, and no more.
func hiddenTopic(t *kmsg.MetadataRequestTopic, code int16) kmsg.MetadataResponseTopic {
	r := kmsg.NewMetadataResponseTopic()
	r.ErrorCode = code
	if t.TopicID != ([16]byte{}) || t.Topic == nil {
		r.TopicID = t.TopicID
	} else {
		r.Topic = t.Topic
	}
	return r
}

// uncreated takes out the topics that are missing and that the client may not create.
func (s *screening) uncreated(req *kmsg.MetadataRequest, topics []kmsg.MetadataRequestTopic) (kept []kmsg.MetadataRequestTopic, refused []kmsg.MetadataResponseTopic) {
	saysSo := s.header.Version >= metadataCreatesFrom
	if saysSo && !req.AllowAutoTopicCreation || s.sees(acl.Create, acl.Cluster, acl.ClusterName) {
		return topics, nil
	}
	mine, others := map[string]bool{}, false
	kept = topics[:0]
	for i := range topics {
		t := &topics[i]
		if t.Topic != nil && t.TopicID == ([16]byte{}) {
			if s.sees(acl.Create, acl.Topic, *t.Topic) {
				mine[*t.Topic] = true
			} else if _, missing := s.existence(*t.Topic); missing {
				s.may(acl.Create, acl.Topic, *t.Topic) // says so
				refused = append(refused, hiddenTopic(t, codeTopicAuthorization))
				continue
			} else {
				others = true
			}
		}
		kept = append(kept, *t)
	}
	some, partial := s.topics.(PartialTopics)
	switch {
	case others && partial:
		s.createsApart(req, mine, some)
	case len(mine) == 0 && saysSo: // also if one goes meanwhile
		req.AllowAutoTopicCreation, s.cut = false, true
	}
	return kept, refused
}

// createsApart has req create nothing: it names topics that the client may not create, and that may
// be missing, whatever is known of them. Before version 4 every request creates, so it is asked in
// that one. What the client may create is created once the answer has said that it is missing;
// clients ask again in any case, as creation takes a while.
func (s *screening) createsApart(req *kmsg.MetadataRequest, mine map[string]bool, topics PartialTopics) {
	req.AllowAutoTopicCreation, s.cut = false, true
	raised := s.header.Version < metadataCreatesFrom
	if raised {
		req.SetVersion(metadataCreatesFrom)
	}
	if len(mine) == 0 && !raised {
		return
	}
	then(s, func(resp *kmsg.MetadataResponse) { // which is encoded in the client's version
		var missing []string
		for _, t := range resp.Topics {
			if name := text(t.Topic); t.ErrorCode == codeUnknownTopicOrPartition && mine[name] {
				missing = append(missing, name)
			}
		}
		if len(missing) > 0 {
			topics.CreateTopics(s.conn, missing)
		}
	})
}

// describeCluster says what the client may do with the cluster, if it asks.
func describeCluster(s *screening) {
	if !s.req.(*kmsg.DescribeClusterRequest).IncludeClusterAuthorizedOperations {
		return
	}
	then(s, func(resp *kmsg.DescribeClusterResponse) {
		if resp.ErrorCode == 0 {
			resp.ClusterAuthorizedOperations = s.clusterOperations()
		}
	})
}

// topicPartitions asks the handler for the topics that may be described, by their names
// also where all are asked for: the cursor of the response names one.
func topicPartitions(s *screening) {
	req := s.req.(*kmsg.DescribeTopicPartitionsRequest)
	refused, all := []kmsg.DescribeTopicPartitionsResponseTopic{}, false
	if len(req.Topics) == 0 {
		all = s.onlyVisible(req)
	} else {
		name := func(t *kmsg.DescribeTopicPartitionsRequestTopic) string { return t.Topic }
		kept, hidden := sift(s, req.Topics, topicNamed(acl.Describe, name), func(t *kmsg.DescribeTopicPartitionsRequestTopic, code int16) kmsg.DescribeTopicPartitionsResponseTopic {
			r := kmsg.NewDescribeTopicPartitionsResponseTopic()
			r.Topic, r.ErrorCode = &t.Topic, code
			return r
		})
		if refused = hidden; len(hidden) > 0 {
			req.Topics, s.cut = kept, true
		}
	}
	if len(req.Topics) == 0 && !all { // for the handler, that would be all
		resp := s.response().(*kmsg.DescribeTopicPartitionsResponse)
		resp.Topics, s.answer = refused, resp
		return
	}
	then(s, func(resp *kmsg.DescribeTopicPartitionsResponse) {
		resp.Topics = slices.DeleteFunc(resp.Topics, func(t kmsg.DescribeTopicPartitionsResponseTopic) bool {
			return !s.sees(acl.Describe, acl.Topic, text(t.Topic)) // one that was made meanwhile
		})
		for i := range resp.Topics {
			if t := &resp.Topics[i]; t.Topic != nil {
				t.AuthorizedOperations = s.operations(acl.Topic, *t.Topic)
			}
		}
		resp.Topics = append(resp.Topics, refused...)
	})
}

// onlyVisible names the topics that the client may describe, unless these are all. Without any
// name it may be that nobody could be asked: so these are not all.
func (s *screening) onlyVisible(req *kmsg.DescribeTopicPartitionsRequest) (all bool) {
	if s.topics == nil {
		return false
	}
	names := s.topics.TopicNames()
	all = len(names) > 0 && s.knowsAll()
	for _, name := range names {
		if req.Cursor != nil && name < req.Cursor.Topic {
			continue
		}
		if !s.sees(acl.Describe, acl.Topic, name) {
			all = false
			continue
		}
		t := kmsg.NewDescribeTopicPartitionsRequestTopic()
		t.Topic = name
		req.Topics = append(req.Topics, t)
	}
	if all {
		req.Topics = nil
	}
	s.cut = !all
	return all
}
