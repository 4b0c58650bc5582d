package main

import (
	"strconv"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// removing asks administrators' requests that take something away, or look at what
// would be made.
func removing() (all []question) {
	all = append(all, talks("removing a static member by its instance", 3, 5, removeStatic)...)
	all = append(all, talks("removing a member of KIP-848 by its instance", 3, 5, removeConsumer)...)
	for _, to := range []int64{1, 3, -1, 77} {
		all = append(all, question{family: "deleting records again", variant: "before " + strconv.Itoa(int(to)), talk: func(t *talk) { t.deleteAgain(to) }})
	}
	all = append(all, question{family: "deleting committed offsets", variant: "of a topic", talk: func(t *talk) { t.deleteOffsets(topic, 0) }},
		question{family: "deleting committed offsets", variant: "of partition 9", talk: func(t *talk) { t.deleteOffsets(topic, 9) }},
		question{family: "deleting committed offsets", variant: "of a topic nobody has", talk: func(t *talk) { t.deleteOffsets("nobody-has", 0) }})
	all = append(all, talks("the settings of a topic that is only tried", 5, 7, func(t *talk, v int16) {
		req := creating("judge-only-tried", "retention.ms", "77")
		req.ValidateOnly = true
		of := t.tell(req, v).(*kmsg.CreateTopicsResponse).Topics[0]
		value := "absent"
		for _, c := range of.Configs {
			if c.Name == "retention.ms" {
				value = metadataName(c.Value) + " from " + strconv.Itoa(int(c.Source))
			}
		}
		t.say("all: %v, retention.ms: %s", len(of.Configs) > 20, value)
	})...)
	for _, strict := range []bool{false, true} {
		for match := int8(0); match <= 2; match++ {
			all = append(all, question{family: "the quotas of users", variant: "match " + strconv.Itoa(int(match)) + ", strict " + strconv.FormatBool(strict),
				talk: func(t *talk) { t.quotasOfUsers(match, strict) }})
		}
	}
	return all
}

func removeStatic(t *talk, v int16) {
	group, instance := "judge-static-"+versionName(v), kmsg.StringPtr("instance")
	join := joining(func(*kmsg.JoinGroupRequest) {})(nil, 0).(*kmsg.JoinGroupRequest)
	join.Group, join.InstanceID = group, instance
	joined := t.must(join, 5).(*kmsg.JoinGroupResponse)
	sync := kmsg.NewPtrSyncGroupRequest()
	sync.Group, sync.MemberID, sync.Generation, sync.InstanceID = group, joined.MemberID, joined.Generation, instance
	t.must(sync, 3)
	leave, member := kmsg.NewPtrLeaveGroupRequest(), kmsg.NewLeaveGroupRequestMember()
	member.InstanceID = instance
	leave.Group, leave.Members = group, append(leave.Members, member)
	for _, m := range t.tell(leave, v).(*kmsg.LeaveGroupResponse).Members {
		t.say("member %q, instance %s", m.MemberID, metadataName(m.InstanceID))
	}
}

func removeConsumer(t *talk, v int16) {
	instance := kmsg.StringPtr("instance")
	beat := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	beat.Group, beat.MemberID, beat.InstanceID, beat.RebalanceTimeoutMillis = "judge-consumers-"+versionName(v), "AAAAAAAAAAAAAAAAAAAAAQ", instance, 30_000
	beat.SubscribedTopicNames, beat.Topics = []string{topic}, []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	t.must(beat, 1)
	for range 2 { // the second finds nobody
		leave, member := kmsg.NewPtrLeaveGroupRequest(), kmsg.NewLeaveGroupRequestMember()
		member.InstanceID = instance
		leave.Group, leave.Members = beat.Group, append(leave.Members, member)
		for _, m := range t.tell(leave, v).(*kmsg.LeaveGroupResponse).Members {
			t.say("member %q, instance %s", m.MemberID, metadataName(m.InstanceID))
		}
	}
}

func (t *talk) deleteAgain(to int64) {
	name := "judge-deleting-" + strconv.Itoa(int(to))
	t.create(name, "retention.ms", "-1")
	for range 5 {
		t.must(produceRequest(9, name, 1, batch()), 9)
	}
	for _, before := range []int64{3, to} {
		req, of, p := kmsg.NewPtrDeleteRecordsRequest(), kmsg.NewDeleteRecordsRequestTopic(), kmsg.NewDeleteRecordsRequestTopicPartition()
		req.TimeoutMillis, of.Topic, p.Offset = 5000, name, before
		of.Partitions = append(of.Partitions, p)
		req.Topics = append(req.Topics, of)
		t.say("low %d", t.tell(req, 2).(*kmsg.DeleteRecordsResponse).Topics[0].Partitions[0].LowWatermark)
	}
}

func (t *talk) deleteOffsets(name string, partition int32) {
	commit := offsetCommit(2)
	commit.Group = "judge-deleted-offsets"
	t.must(commit, 2)
	req, of, p := kmsg.NewPtrOffsetDeleteRequest(), kmsg.NewOffsetDeleteRequestTopic(), kmsg.NewOffsetDeleteRequestTopicPartition()
	req.Group, of.Topic, p.Partition = commit.Group, name, partition
	of.Partitions = append(of.Partitions, p)
	req.Topics = append(req.Topics, of)
	resp := t.tell(req, 0).(*kmsg.OffsetDeleteResponse)
	t.say("of all %s, %d topics", codeName(resp.ErrorCode), len(resp.Topics))
}

// quotasOfUsers limits everybody's default and one user, and asks for them.
func (t *talk) quotasOfUsers(match int8, strict bool) {
	for _, name := range []*string{nil, kmsg.StringPtr("judge-limited")} {
		req := clientQuota("producer_byte_rate")
		req.Entries[0].Entity[0].Type, req.Entries[0].Entity[0].Name = "user", name
		t.must(req, 1)
	}
	req, c := kmsg.NewPtrDescribeClientQuotasRequest(), kmsg.NewDescribeClientQuotasRequestComponent()
	req.Strict, c.EntityType, c.MatchType = strict, "user", kmsg.QuotasMatchType(match)
	if match == 0 {
		c.Match = kmsg.StringPtr("judge-limited")
	}
	req.Components = append(req.Components, c)
	want := 1 + int(match)/2 // the last finds both; Apache Kafka needs a moment
	t.until(func() bool { return len(t.must(req, 1).(*kmsg.DescribeClientQuotasResponse).Entries) == want })
	t.say("%d", want)
}
