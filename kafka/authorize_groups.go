package kafka

import (
	"slices"

	"kring/acl"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var createdPartitions = elements[*kmsg.CreatePartitionsRequest, *kmsg.CreatePartitionsResponse, kmsg.CreatePartitionsRequestTopic, kmsg.CreatePartitionsResponseTopic]{
	of:      func(r *kmsg.CreatePartitionsRequest) *[]kmsg.CreatePartitionsRequestTopic { return &r.Topics },
	verdict: topicNamed(acl.Alter, func(t *kmsg.CreatePartitionsRequestTopic) string { return t.Topic }),
	in:      func(r *kmsg.CreatePartitionsResponse) *[]kmsg.CreatePartitionsResponseTopic { return &r.Topics },
	denied: func(t *kmsg.CreatePartitionsRequestTopic, code int16) kmsg.CreatePartitionsResponseTopic {
		r := kmsg.NewCreatePartitionsResponseTopic()
		r.Topic, r.ErrorCode = t.Topic, code
		return r
	},
}

var deletedShareOffsets = elements[*kmsg.DeleteShareGroupOffsetsRequest, *kmsg.DeleteShareGroupOffsetsResponse, kmsg.DeleteShareGroupOffsetsRequestTopic, kmsg.DeleteShareGroupOffsetsResponseTopic]{
	of: func(r *kmsg.DeleteShareGroupOffsetsRequest) *[]kmsg.DeleteShareGroupOffsetsRequestTopic {
		return &r.Topics
	},
	verdict: topicNamed(acl.Read, func(t *kmsg.DeleteShareGroupOffsetsRequestTopic) string { return t.Topic }),
	in: func(r *kmsg.DeleteShareGroupOffsetsResponse) *[]kmsg.DeleteShareGroupOffsetsResponseTopic {
		return &r.Topics
	},
	denied: func(t *kmsg.DeleteShareGroupOffsetsRequestTopic, code int16) kmsg.DeleteShareGroupOffsetsResponseTopic {
		r := kmsg.NewDeleteShareGroupOffsetsResponseTopic()
		r.Topic, r.ErrorCode, r.ErrorMessage = t.Topic, code, kmsg.StringPtr(errorText(code))
		return r
	},
}

var deletedGroups = elements[*kmsg.DeleteGroupsRequest, *kmsg.DeleteGroupsResponse, string, kmsg.DeleteGroupsResponseGroup]{
	of:      func(r *kmsg.DeleteGroupsRequest) *[]string { return &r.Groups },
	verdict: groupNamed(acl.Delete),
	in:      func(r *kmsg.DeleteGroupsResponse) *[]kmsg.DeleteGroupsResponseGroup { return &r.Groups },
	denied: func(name *string, code int16) kmsg.DeleteGroupsResponseGroup {
		r := kmsg.NewDeleteGroupsResponseGroup()
		r.Group, r.ErrorCode = *name, code
		return r
	},
}

var describedGroups = elements[*kmsg.DescribeGroupsRequest, *kmsg.DescribeGroupsResponse, string, kmsg.DescribeGroupsResponseGroup]{
	of:      func(r *kmsg.DescribeGroupsRequest) *[]string { return &r.Groups },
	verdict: groupNamed(acl.Describe),
	in:      func(r *kmsg.DescribeGroupsResponse) *[]kmsg.DescribeGroupsResponseGroup { return &r.Groups },
	denied: func(name *string, code int16) kmsg.DescribeGroupsResponseGroup {
		r := kmsg.NewDescribeGroupsResponseGroup()
		r.Group, r.ErrorCode = *name, code
		return r
	},
}

var describedConsumers = elements[*kmsg.ConsumerGroupDescribeRequest, *kmsg.ConsumerGroupDescribeResponse, string, kmsg.ConsumerGroupDescribeResponseGroup]{
	of:      func(r *kmsg.ConsumerGroupDescribeRequest) *[]string { return &r.Groups },
	verdict: groupNamed(acl.Describe),
	in: func(r *kmsg.ConsumerGroupDescribeResponse) *[]kmsg.ConsumerGroupDescribeResponseGroup {
		return &r.Groups
	},
	denied: func(name *string, code int16) kmsg.ConsumerGroupDescribeResponseGroup {
		r := kmsg.NewConsumerGroupDescribeResponseGroup()
		r.Group, r.ErrorCode = *name, code
		return r
	},
}

var describedShares = elements[*kmsg.ShareGroupDescribeRequest, *kmsg.ShareGroupDescribeResponse, string, kmsg.ShareGroupDescribeResponseGroup]{
	of:      func(r *kmsg.ShareGroupDescribeRequest) *[]string { return &r.GroupIDs },
	verdict: groupNamed(acl.Describe),
	in:      func(r *kmsg.ShareGroupDescribeResponse) *[]kmsg.ShareGroupDescribeResponseGroup { return &r.Groups },
	denied: func(name *string, code int16) kmsg.ShareGroupDescribeResponseGroup {
		r := kmsg.NewShareGroupDescribeResponseGroup()
		r.GroupID, r.ErrorCode = *name, code
		return r
	},
}

// syncsProtocol refuses a member that does not say which protocol it takes, which Apache
// Kafka does before it asks whether it may.
func syncsProtocol(s *screening) {
	r := s.req.(*kmsg.SyncGroupRequest)
	if s.header.Version >= 5 && (r.ProtocolType == nil || r.Protocol == nil) {
		resp := s.response().(*kmsg.SyncGroupResponse)
		resp.ErrorCode, s.answer = codeInconsistentProtocol, resp
	}
}

// hiddenTopics is what Apache Kafka says instead of a group with topics that the client
// may not describe.
const hiddenTopics = "The group has described topic(s) that the client is not authorized to describe."

func describedGroupOperations(s *screening) {
	if !s.req.(*kmsg.DescribeGroupsRequest).IncludeAuthorizedOperations {
		return
	}
	then(s, func(resp *kmsg.DescribeGroupsResponse) {
		for i := range resp.Groups {
			if g := &resp.Groups[i]; g.ErrorCode == 0 {
				g.AuthorizedOperations = s.operations(acl.Group, g.Group)
			}
		}
	})
}

func consumerDetails(s *screening) {
	with := s.req.(*kmsg.ConsumerGroupDescribeRequest).IncludeAuthorizedOperations
	then(s, func(resp *kmsg.ConsumerGroupDescribeResponse) {
		for i := range resp.Groups {
			g := &resp.Groups[i]
			if g.ErrorCode == 0 && with {
				g.AuthorizedOperations = s.operations(acl.Group, g.Group)
			}
			if !s.seesConsumers(g.Members) {
				hidden := describedConsumers.denied(&g.Group, codeTopicAuthorization)
				hidden.ErrorMessage = kmsg.StringPtr(hiddenTopics)
				*g = hidden
			}
		}
	})
}

func (s *screening) seesConsumers(members []kmsg.ConsumerGroupDescribeResponseGroupMember) bool {
	for i := range members {
		for _, a := range []*kmsg.Assignment{&members[i].Assignment, &members[i].TargetAssignment} {
			for j := range a.TopicPartitions {
				if !s.sees(acl.Describe, acl.Topic, a.TopicPartitions[j].Topic) {
					return false
				}
			}
		}
	}
	return true
}

func shareDetails(s *screening) {
	with := s.req.(*kmsg.ShareGroupDescribeRequest).IncludeAuthorizedOperations
	then(s, func(resp *kmsg.ShareGroupDescribeResponse) {
		for i := range resp.Groups {
			g := &resp.Groups[i]
			if g.ErrorCode == 0 && with {
				g.AuthorizedOperations = s.operations(acl.Group, g.GroupID)
			}
			if !s.seesSharers(g.Members) {
				hidden := describedShares.denied(&g.GroupID, codeTopicAuthorization)
				hidden.ErrorMessage = kmsg.StringPtr(hiddenTopics)
				*g = hidden
			}
		}
	})
}

func (s *screening) seesSharers(members []kmsg.ShareGroupDescribeResponseGroupMember) bool {
	for i := range members {
		topics := members[i].Assignment.TopicPartitions
		for j := range topics {
			if !s.sees(acl.Describe, acl.Topic, topics[j].Topic) {
				return false
			}
		}
	}
	return true
}

var describedTransactions = elements[*kmsg.DescribeTransactionsRequest, *kmsg.DescribeTransactionsResponse, string, kmsg.DescribeTransactionsResponseTransactionState]{
	of: func(r *kmsg.DescribeTransactionsRequest) *[]string { return &r.TransactionalIDs },
	verdict: func(s *screening, id *string) int16 {
		if s.may(acl.Describe, acl.TransactionalID, *id) {
			return 0
		}
		return codeTransactionAuthorization
	},
	in: func(r *kmsg.DescribeTransactionsResponse) *[]kmsg.DescribeTransactionsResponseTransactionState {
		return &r.TransactionStates
	},
	denied: func(id *string, code int16) kmsg.DescribeTransactionsResponseTransactionState {
		r := kmsg.NewDescribeTransactionsResponseTransactionState()
		r.TransactionalID, r.ErrorCode = *id, code
		return r
	},
}

// transactionTopics leaves out the topics of transactions that may not be described.
func transactionTopics(s *screening) {
	then(s, func(resp *kmsg.DescribeTransactionsResponse) {
		for i := range resp.TransactionStates {
			t := &resp.TransactionStates[i]
			t.Topics = s.visible(t.Topics)
		}
	})
}

func (s *screening) visible(topics []kmsg.DescribeTransactionsResponseTransactionStateTopic) []kmsg.DescribeTransactionsResponseTransactionStateTopic {
	kept := topics[:0]
	for _, t := range topics {
		if s.sees(acl.Describe, acl.Topic, t.Topic) {
			kept = append(kept, t)
		}
	}
	return kept
}

// listGroups shows all groups to who may describe the cluster, and to others those
// that they may describe.
func listGroups(s *screening) {
	if s.sees(acl.Describe, acl.Cluster, acl.ClusterName) {
		return
	}
	shown(func(r *kmsg.ListGroupsResponse) *[]kmsg.ListGroupsResponseGroup { return &r.Groups },
		func(s *screening, g *kmsg.ListGroupsResponseGroup) bool {
			return s.sees(acl.Describe, acl.Group, g.Group)
		})(s)
}

// assigned leaves out of a member's assignment the topics that it may not describe. By their
// names it has none of these; but a member subscribes by a regular expression as well, and the
// handler holds that against all topics (Apache Kafka: against those that it may describe).
func assigned(s *screening) {
	then(s, func(resp *kmsg.ConsumerGroupHeartbeatResponse) {
		if resp.Assignment == nil {
			return
		}
		if !s.knowsAll() && slices.ContainsFunc(resp.Assignment.Topics, func(t kmsg.ConsumerGroupHeartbeatResponseAssignmentTopic) bool { return s.nameOf(t.TopicID) == "" }) {
			*resp = kmsg.ConsumerGroupHeartbeatResponse{Version: resp.Version, ThrottleMillis: resp.ThrottleMillis, ErrorCode: codeCoordinatorLoading} // the next one tells all again
			return
		}
		resp.Assignment.Topics = slices.DeleteFunc(resp.Assignment.Topics, func(t kmsg.ConsumerGroupHeartbeatResponseAssignmentTopic) bool {
			name := s.nameOf(t.TopicID)
			return name == "" || !s.sees(acl.Describe, acl.Topic, name)
		})
	})
}
