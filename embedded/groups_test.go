package embedded

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/reqchan"
)

// joinAs has a member of each protocol join, from an address.
func joinAs(t *testing.T, c *Cluster, from netip.AddrPort) {
	t.Helper()
	conn := &reqchan.Conn{Remote: from}
	c.ConnOpened(conn)
	t.Cleanup(func() { c.ConnClosed(conn, reqchan.PeerFinished) })
	protocol := kmsg.NewJoinGroupRequestProtocol()
	protocol.Name, protocol.Metadata = "range", []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	join := kmsg.NewPtrJoinGroupRequest()
	join.Version, join.Group, join.ProtocolType = 2, "classic-group", "consumer"
	join.SessionTimeoutMillis, join.RebalanceTimeoutMillis = 30_000, 30_000
	join.Protocols = append(join.Protocols, protocol)
	beat := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	beat.Version, beat.Group, beat.MemberID, beat.RebalanceTimeoutMillis = 1, "consumer-group", "member", 30_000
	beat.SubscribedTopicNames, beat.Topics = []string{"read"}, []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	share := kmsg.NewPtrShareGroupHeartbeatRequest()
	share.Version, share.GroupID, share.MemberID, share.SubscribedTopicNames = 1, "share-group", "member", []string{"read"}
	for seq, req := range []kmsg.Request{join, beat, share} {
		r := newRequest(t, conn, uint64(seq), req)
		c.Handle(r.Request())
		if !r.HandleReturned() {
			r.await()
		}
	}
}

func groupsListed(t *testing.T, c *Cluster, states, types []string) (names []string) {
	t.Helper()
	req := kmsg.NewPtrListGroupsRequest()
	req.StatesFilter, req.TypesFilter = states, types
	for _, g := range answer[*kmsg.ListGroupsResponse](t, c, 5, req).Groups {
		if g.ProtocolType == "" {
			t.Errorf("group %s has no protocol", g.Group)
		}
		names = append(names, g.Group)
	}
	slices.Sort(names)
	return names
}

func TestGroupsAreFilteredWhateverTheCase(t *testing.T) {
	c := open(t, Config{Seed: []Topic{{"read", 1}}})
	joinAs(t, c, netip.MustParseAddrPort("127.0.0.1:1024"))
	for _, ask := range []struct{ states, types, want []string }{
		{nil, nil, []string{"classic-group", "consumer-group", "share-group"}},
		{nil, []string{"Consumer"}, []string{"consumer-group"}},
		{nil, []string{"CLASSIC", "share"}, []string{"classic-group", "share-group"}},
		{[]string{"sTaBle"}, nil, []string{"consumer-group", "share-group"}},
		{[]string{" completingrebalance "}, []string{"Classic"}, []string{"classic-group"}},
		{[]string{"Stable"}, []string{"nonsense"}, nil},
		{[]string{"nonsense"}, nil, nil},
	} {
		if got := groupsListed(t, c, ask.states, ask.types); !slices.Equal(got, ask.want) {
			t.Errorf("states %q, types %q: %v, want %v", ask.states, ask.types, got, ask.want)
		}
	}
}

func TestMembersHaveTheHostThatTheyCameFrom(t *testing.T) {
	for from, want := range map[netip.AddrPort]string{
		netip.MustParseAddrPort("127.0.0.1:1024"):         "/127.0.0.1",
		netip.MustParseAddrPort("[::ffff:10.1.2.3]:1024"): "/10.1.2.3",
		netip.MustParseAddrPort("[2001:db8::1]:1024"):     "/2001:db8::1",
		{}: "/unix",
	} {
		c := open(t, Config{Seed: []Topic{{"read", 1}}})
		joinAs(t, c, from)
		classic := kmsg.NewPtrDescribeGroupsRequest()
		classic.Groups = []string{"classic-group"}
		if got := answer[*kmsg.DescribeGroupsResponse](t, c, 5, classic).Groups[0].Members[0].ClientHost; got != want {
			t.Errorf("classic: %q, want %q", got, want)
		}
		consumer := kmsg.NewPtrConsumerGroupDescribeRequest()
		consumer.Groups = []string{"consumer-group"}
		if got := answer[*kmsg.ConsumerGroupDescribeResponse](t, c, 1, consumer).Groups[0].Members[0].ClientHost; got != want {
			t.Errorf("consumer: %q, want %q", got, want)
		}
		share := kmsg.NewPtrShareGroupDescribeRequest()
		share.GroupIDs = []string{"share-group"}
		if got := answer[*kmsg.ShareGroupDescribeResponse](t, c, 1, share).Groups[0].Members[0].ClientHost; got != want {
			t.Errorf("share: %q, want %q", got, want)
		}
	}
}

func TestADescribedConsumerHasTheNamesOfItsTopics(t *testing.T) {
	c := open(t, Config{Seed: []Topic{{"read", 2}}})
	joinAs(t, c, netip.MustParseAddrPort("127.0.0.1:1024"))
	req := kmsg.NewPtrConsumerGroupDescribeRequest()
	req.Groups = []string{"consumer-group"}
	g := answer[*kmsg.ConsumerGroupDescribeResponse](t, c, 1, req).Groups[0]
	m := g.Members[0]
	if g.AssignorName != "uniform" || m.SubscribedTopicRegex == nil {
		t.Errorf("%+v", g)
	}
	for _, assigned := range [][]kmsg.AssignmentTopicPartition{m.Assignment.TopicPartitions, m.TargetAssignment.TopicPartitions} {
		if len(assigned) != 1 || assigned[0].Topic != "read" || len(assigned[0].Partitions) != 2 {
			t.Errorf("assigned %+v", assigned)
		}
	}
}

// GROUP_ID_NOT_FOUND is not an error of these APIs: a Java consumer that is
// answered with it ends.
func TestAGroupThatIsNotThereKnowsNoMember(t *testing.T) {
	c := open(t, Config{Seed: []Topic{{"read", 1}}})
	unknown := kerr.UnknownMemberID.Code
	for _, v := range versionsFrom(t, c, kmsg.Heartbeat, 0) {
		req := kmsg.NewPtrHeartbeatRequest()
		req.Group, req.MemberID, req.Generation = "gone", "member", 1
		if got := answer[*kmsg.HeartbeatResponse](t, c, v, req).ErrorCode; got != unknown {
			t.Errorf("Heartbeat v%d: error %d", v, got)
		}
	}
	for _, v := range versionsFrom(t, c, kmsg.SyncGroup, 0) {
		req := kmsg.NewPtrSyncGroupRequest()
		req.Group, req.MemberID, req.Generation = "gone", "member", 1
		req.ProtocolType, req.Protocol = kmsg.StringPtr("consumer"), kmsg.StringPtr("range")
		if got := answer[*kmsg.SyncGroupResponse](t, c, v, req).ErrorCode; got != unknown {
			t.Errorf("SyncGroup v%d: error %d", v, got)
		}
	}
	for _, v := range versionsFrom(t, c, kmsg.LeaveGroup, 0) {
		req, member := kmsg.NewPtrLeaveGroupRequest(), kmsg.NewLeaveGroupRequestMember()
		req.Group, req.MemberID, member.MemberID = "gone", "member", "member"
		req.Members = append(req.Members, member)
		got := answer[*kmsg.LeaveGroupResponse](t, c, v, req)
		if v < leavesByMember {
			if got.ErrorCode != unknown {
				t.Errorf("LeaveGroup v%d: error %d", v, got.ErrorCode)
			}
		} else if got.ErrorCode != 0 || len(got.Members) != 1 || got.Members[0].ErrorCode != unknown || got.Members[0].MemberID != "member" {
			t.Errorf("LeaveGroup v%d: %+v", v, got)
		}
	}
}

func TestAGroupThatIsNotThereHasCommittedNothing(t *testing.T) {
	c := open(t, Config{Seed: []Topic{{"read", 1}}})
	id := c.kfake.TopicInfo("read").TopicID
	for _, v := range versionsFrom(t, c, kmsg.OffsetFetch, 1) {
		req, topic := kmsg.NewPtrOffsetFetchRequest(), kmsg.NewOffsetFetchRequestTopic()
		topic.Topic, topic.Partitions = "read", []int32{0}
		req.Group, req.Topics = "gone", append(req.Topics, topic)
		group, of := kmsg.NewOffsetFetchRequestGroup(), kmsg.NewOffsetFetchRequestGroupTopic()
		of.Topic, of.TopicID, of.Partitions = "read", id, []int32{0}
		group.Group, group.Topics = "gone", append(group.Topics, of)
		req.Groups = append(req.Groups, group)
		resp := answer[*kmsg.OffsetFetchResponse](t, c, v, req)
		code, offset := resp.ErrorCode, int64(0)
		if v < groupsFetch {
			offset = resp.Topics[0].Partitions[0].Offset
		} else {
			code, offset = resp.Groups[0].ErrorCode, resp.Groups[0].Topics[0].Partitions[0].Offset
		}
		if code != 0 || offset != -1 {
			t.Errorf("OffsetFetch v%d: error %d, offset %d", v, code, offset)
		}
	}
}

func TestNoQuotasAreNotNull(t *testing.T) {
	c := open(t, Config{})
	for _, v := range versionsFrom(t, c, kmsg.DescribeClientQuotas, 0) {
		if resp := answer[*kmsg.DescribeClientQuotasResponse](t, c, v, kmsg.NewPtrDescribeClientQuotasRequest()); resp.Entries == nil {
			t.Errorf("v%d: null", v)
		}
	}
}

func TestAConsumerDoesNotJoinAShareGroup(t *testing.T) {
	c := open(t, Config{Seed: []Topic{{"read", 1}}})
	joinAs(t, c, netip.MustParseAddrPort("127.0.0.1:1024"))
	for _, v := range versionsFrom(t, c, kmsg.JoinGroup, 0) {
		req, protocol := kmsg.NewPtrJoinGroupRequest(), kmsg.NewJoinGroupRequestProtocol()
		req.Group, req.ProtocolType, req.SessionTimeoutMillis = "share-group", "consumer", 30_000
		protocol.Name = "range"
		req.Protocols = append(req.Protocols, protocol)
		if got := answer[*kmsg.JoinGroupResponse](t, c, v, req).ErrorCode; got != kerr.InconsistentGroupProtocol.Code {
			t.Errorf("v%d: error %d", v, got)
		}
	}
}
