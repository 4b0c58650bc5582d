package embedded

import (
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const groupEmpty = "Empty"

// The states and types of groups as kfake writes them.
var (
	groupStates = []string{"PreparingRebalance", "CompletingRebalance", "Stable", "Dead", groupEmpty, "Assigning", "Reconciling"}
	groupTypes  = []string{classicType, "consumer", shareType}
)

const classicType, shareType = "classic", "share"

// The protocol of KIP-848's groups, and the assignor of those that named none.
const (
	consumerProtocol = "consumer"
	defaultAssignor  = "uniform"
)

// listGroups writes the filters of ListGroups as kfake does: Apache Kafka passes
// over case and the blanks around a word. And it names the protocol of KIP-848's
// groups.
func listGroups(x *exchange, req *kmsg.ListGroupsRequest) kmsg.Response {
	respell(req.StatesFilter, groupStates)
	respell(req.TypesFilter, groupTypes)
	x.changed = true
	then(x, func(resp *kmsg.ListGroupsResponse) {
		resp.Groups = slices.DeleteFunc(resp.Groups, func(g kmsg.ListGroupsResponseGroup) bool { return isKeeper(g.Group) })
		for i := range resp.Groups {
			if g := &resp.Groups[i]; g.ProtocolType == "" && g.GroupType == consumerProtocol {
				g.ProtocolType = consumerProtocol
			}
		}
	})
	return nil
}

// describeConsumers fills in the names of the topics that members are assigned,
// by which tools show them, and what else is never null in Apache Kafka.
func describeConsumers(x *exchange, _ *kmsg.ConsumerGroupDescribeRequest) kmsg.Response {
	then(x, func(resp *kmsg.ConsumerGroupDescribeResponse) {
		for i := range resp.Groups {
			g := &resp.Groups[i]
			if g.ErrorCode == 0 && g.AssignorName == "" {
				g.AssignorName = defaultAssignor
			}
			for j := range g.Members {
				m := &g.Members[j]
				if m.SubscribedTopicRegex == nil {
					m.SubscribedTopicRegex = kmsg.StringPtr("")
				}
				x.nameTopics(m.Assignment.TopicPartitions)
				x.nameTopics(m.TargetAssignment.TopicPartitions)
			}
		}
	})
	return nil
}

// nameTopics names topics by their ids.
func (x *exchange) nameTopics(topics []kmsg.AssignmentTopicPartition) {
	for i := range topics {
		if t := &topics[i]; t.Topic == "" {
			t.Topic = x.cluster().topicName(t.TopicID)
		}
	}
}

// respell writes words as they are written in known, as far as they are there.
func respell(words, known []string) {
	for i, w := range words {
		w = strings.TrimSpace(w)
		if at := slices.IndexFunc(known, func(k string) bool { return strings.EqualFold(k, w) }); at >= 0 {
			words[i] = known[at]
		}
	}
}

// nobodysHeartbeat and nobodysSync say of a group that is not there
// what clients wait for: that the member is not known. GROUP_ID_NOT_FOUND is not
// an error of these APIs; a consumer that is answered with it ends, where it would
// have joined again.
func nobodysHeartbeat(x *exchange, _ *kmsg.HeartbeatRequest) kmsg.Response {
	then(x, func(resp *kmsg.HeartbeatResponse) { unknownMember(&resp.ErrorCode) })
	return nil
}

func nobodysSync(x *exchange, _ *kmsg.SyncGroupRequest) kmsg.Response {
	then(x, func(resp *kmsg.SyncGroupResponse) { unknownMember(&resp.ErrorCode) })
	return nil
}

// joinOfAnother says of a group that is there, but is no consumer's, that the
// member's protocols are not its own; see nobodysHeartbeat.
func joinOfAnother(x *exchange, _ *kmsg.JoinGroupRequest) kmsg.Response {
	then(x, func(resp *kmsg.JoinGroupResponse) {
		if resp.ErrorCode == kerr.GroupIDNotFound.Code {
			resp.ErrorCode = kerr.InconsistentGroupProtocol.Code
		}
	})
	return nil
}

func unknownMember(code *int16) bool {
	if *code != kerr.GroupIDNotFound.Code {
		return false
	}
	*code = kerr.UnknownMemberID.Code
	return true
}

// The first version of OffsetFetch that has an error of the group, and the first
// that asks for several groups.
const (
	fetchGroupError = 2
	groupsFetch     = 8
)

// nobodysOffsets says of a group that is not there that it has committed nothing:
// GROUP_ID_NOT_FOUND is not an error of OffsetFetch.
func nobodysOffsets(x *exchange, req *kmsg.OffsetFetchRequest) kmsg.Response {
	then(x, func(resp *kmsg.OffsetFetchResponse) {
		if req.Version < groupsFetch {
			if resp.ErrorCode == kerr.GroupIDNotFound.Code || req.Version < fetchGroupError && len(resp.Topics) == 0 {
				resp.ErrorCode, resp.Topics = 0, nothingCommitted(req.Topics)
			}
			return
		}
		asked := make(map[string][]kmsg.OffsetFetchRequestGroupTopic, len(req.Groups))
		for i := range req.Groups {
			asked[req.Groups[i].Group] = req.Groups[i].Topics
		}
		for i := range resp.Groups {
			if g := &resp.Groups[i]; g.ErrorCode == kerr.GroupIDNotFound.Code {
				g.ErrorCode, g.Topics = 0, nothingCommittedBy(asked[g.Group])
			}
		}
	})
	return nil
}

func nothingCommitted(asked []kmsg.OffsetFetchRequestTopic) (topics []kmsg.OffsetFetchResponseTopic) {
	for i := range asked {
		t := kmsg.NewOffsetFetchResponseTopic()
		t.Topic = asked[i].Topic
		for _, partition := range asked[i].Partitions {
			p := kmsg.NewOffsetFetchResponseTopicPartition()
			p.Partition, p.Offset, p.Metadata = partition, -1, kmsg.StringPtr("")
			t.Partitions = append(t.Partitions, p)
		}
		topics = append(topics, t)
	}
	return topics
}

func nothingCommittedBy(asked []kmsg.OffsetFetchRequestGroupTopic) (topics []kmsg.OffsetFetchResponseGroupTopic) {
	for i := range asked {
		t := kmsg.NewOffsetFetchResponseGroupTopic()
		t.Topic, t.TopicID = asked[i].Topic, asked[i].TopicID
		for _, partition := range asked[i].Partitions {
			p := kmsg.NewOffsetFetchResponseGroupTopicPartition()
			p.Partition, p.Offset, p.Metadata = partition, -1, kmsg.StringPtr("")
			t.Partitions = append(t.Partitions, p)
		}
		topics = append(topics, t)
	}
	return topics
}
