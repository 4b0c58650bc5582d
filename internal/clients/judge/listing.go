package main

import (
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// listing asks what administrators ask.
func listing() (all []question) {
	for _, f := range []struct{ states, types string }{
		{"Empty", ""}, {"empty", ""}, {"EMPTY", ""}, {"stable", ""}, {"Nonsense", ""},
		{"", "Classic"}, {"", "classic"}, {"", "CLASSIC"}, {"", "Consumer"}, {"", "nonsense"}, {"empty", "classic"},
	} {
		all = append(all, question{family: "listing groups by state and type", variant: f.states + "/" + f.types, talk: func(t *talk) { t.listGroups(f.states, f.types) }})
	}
	all = append(all, talks("the controllers' quorum", 0, 2, describeQuorum)...)
	all = append(all,
		aTalk("the partitions of a topic", func(t *talk) { t.describePartitions(topic) }),
		aTalk("the partitions of a topic nobody has", func(t *talk) { t.describePartitions("nobody-has") }),
		aTalk("where a member comes from", memberHost),
		aTalk("the rack of a broker", func(t *talk) {
			rack := t.must(namedMetadata(topic), 4).(*kmsg.MetadataResponse).Brokers[0].Rack
			if rack == nil {
				t.say("none")
			} else {
				t.say("%s", *rack)
			}
		}),
	)
	return all
}

// listGroups says whether the group that prepare made is among them: it is empty,
// and classic.
func (t *talk) listGroups(states, types string) {
	req := kmsg.NewPtrListGroupsRequest()
	if states != "" {
		req.StatesFilter = []string{states}
	}
	if types != "" {
		req.TypesFilter = []string{types}
	}
	resp := t.tell(req, 5).(*kmsg.ListGroupsResponse)
	for _, g := range resp.Groups {
		if g.Group == "judge" {
			t.say("%s, %s", g.GroupState, g.GroupType)
			return
		}
	}
	t.say("not listed")
}

func describeQuorum(t *talk, version int16) {
	req := kmsg.NewPtrDescribeQuorumRequest()
	topicOf := kmsg.NewDescribeQuorumRequestTopic()
	topicOf.Topic = "__cluster_metadata"
	topicOf.Partitions = append(topicOf.Partitions, kmsg.NewDescribeQuorumRequestTopicPartition())
	req.Topics = append(req.Topics, topicOf)
	resp := t.tell(req, version).(*kmsg.DescribeQuorumResponse)
	for _, of := range resp.Topics {
		for _, p := range of.Partitions {
			leads := len(p.CurrentVoters) == 1 && p.CurrentVoters[0].ReplicaID == p.LeaderID
			t.say("%s: %d voters and %d observers, the leader is the voter: %v, an end: %v", of.Topic,
				len(p.CurrentVoters), len(p.Observers), leads, p.HighWatermark >= 0)
		}
	}
}

func (t *talk) describePartitions(name string) {
	req := kmsg.NewPtrDescribeTopicPartitionsRequest()
	req.ResponsePartitionLimit = 100
	topicOf := kmsg.NewDescribeTopicPartitionsRequestTopic()
	topicOf.Topic = name
	req.Topics = append(req.Topics, topicOf)
	resp := t.once(req, 0).(*kmsg.DescribeTopicPartitionsResponse)
	t.say("%s", errorsOf(resp))
	for _, of := range resp.Topics {
		t.say("%d partitions, an id: %v, internal: %v", len(of.Partitions), of.TopicID != [16]byte{}, of.IsInternal)
		for _, p := range of.Partitions {
			t.say("of %d replicas, %d in sync, eligible leader replicas: %v", len(p.Replicas), len(p.ISR), p.EligibleLeaderReplicas != nil)
		}
	}
	t.say("more behind it: %v", resp.NextCursor != nil)
}

// memberHost joins a group and asks for the host of its member.
func memberHost(t *talk) {
	const group = "judge-host"
	join := joining(func(*kmsg.JoinGroupRequest) {})(nil, 0).(*kmsg.JoinGroupRequest)
	join.Group = group
	joined := t.must(join, 2).(*kmsg.JoinGroupResponse)
	sync := kmsg.NewPtrSyncGroupRequest()
	sync.Group, sync.MemberID, sync.Generation = group, joined.MemberID, joined.Generation
	t.must(sync, 2)
	describe := kmsg.NewPtrDescribeGroupsRequest()
	describe.Groups = []string{group}
	for _, g := range t.must(describe, 2).(*kmsg.DescribeGroupsResponse).Groups {
		for _, m := range g.Members {
			t.say("%s, a slash: %v", g.State, strings.HasPrefix(m.ClientHost, "/"))
		}
	}
	leave := kmsg.NewPtrLeaveGroupRequest()
	leave.Group, leave.MemberID = group, joined.MemberID
	t.must(leave, 2)
}
