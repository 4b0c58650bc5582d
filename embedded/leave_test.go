package embedded

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// static has a static member join a group of each protocol, and returns their ids.
func static(t *testing.T, c *Cluster, instance string) map[string]string {
	t.Helper()
	protocol := kmsg.NewJoinGroupRequestProtocol()
	protocol.Name, protocol.Metadata = "range", []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	join := kmsg.NewPtrJoinGroupRequest()
	join.Group, join.ProtocolType, join.InstanceID = "classic", "consumer", &instance
	join.SessionTimeoutMillis, join.RebalanceTimeoutMillis = 30_000, 30_000
	join.Protocols = append(join.Protocols, protocol)
	beat := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	beat.Group, beat.MemberID, beat.InstanceID, beat.RebalanceTimeoutMillis = "consumer", "member-of-"+instance, &instance, 30_000
	beat.SubscribedTopicNames, beat.Topics = []string{"read"}, []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	joined := answer[*kmsg.JoinGroupResponse](t, c, 9, join)
	beaten := answer[*kmsg.ConsumerGroupHeartbeatResponse](t, c, 1, beat)
	if joined.ErrorCode != 0 || beaten.ErrorCode != 0 {
		t.Fatalf("join: error %d; heartbeat: error %d", joined.ErrorCode, beaten.ErrorCode)
	}
	return map[string]string{"classic": joined.MemberID, "consumer": beat.MemberID}
}

// leaving has one member leave a group, and returns the answer to it.
func leaving(t *testing.T, c *Cluster, version int16, group, member string, instance *string) kmsg.LeaveGroupResponseMember {
	t.Helper()
	req, m := kmsg.NewPtrLeaveGroupRequest(), kmsg.NewLeaveGroupRequestMember()
	m.MemberID, m.InstanceID = member, instance
	req.Group, req.MemberID, req.Members = group, member, append(req.Members, m)
	resp := answer[*kmsg.LeaveGroupResponse](t, c, version, req)
	if version < leavesByMember {
		return kmsg.LeaveGroupResponseMember{MemberID: member, ErrorCode: resp.ErrorCode}
	}
	if resp.ErrorCode != 0 || len(resp.Members) != 1 {
		t.Fatalf("LeaveGroup v%d: %+v", version, resp)
	}
	return resp.Members[0]
}

// Java's Admin.removeMembersFromConsumerGroup looks for the members as it named
// them: by the instance id alone, or by the member id alone.
func TestAMemberIsRemovedFromAGroupOfEitherProtocol(t *testing.T) {
	c := open(t, Config{Seed: []Topic{{"read", 1}}})
	for _, group := range []string{"classic", "consumer"} {
		for _, v := range versionsFrom(t, c, kmsg.LeaveGroup, 0) {
			for _, byInstance := range []bool{false, true} {
				instance, member := kmsg.StringPtr("instance"), static(t, c, "instance")[group]
				if byInstance {
					member = ""
				} else {
					instance = nil
				}
				if byInstance && v < leavesByMember {
					continue
				}
				got := leaving(t, c, v, group, member, instance)
				if got.ErrorCode != 0 || got.MemberID != member || instance != nil && *got.InstanceID != *instance {
					t.Errorf("%s v%d, by instance %t: %+v", group, v, byInstance, got)
				}
				if left := c.kfake.GroupInfo(group).Members; len(left) != 0 {
					t.Errorf("%s v%d, by instance %t: %v are left", group, v, byInstance, left)
				}
			}
		}
	}
}

// An instance that another process has taken over does not leave by the hand of
// the process before.
func TestAnInstanceLeavesUnderItsOwnMemberOnly(t *testing.T) {
	c := open(t, Config{Seed: []Topic{{"read", 1}}})
	members := static(t, c, "instance")
	instance, other := kmsg.StringPtr("instance"), kmsg.StringPtr("other")
	for group, member := range members {
		for _, try := range []struct {
			member   string
			instance *string
			want     int16
		}{
			{"another", instance, kerr.FencedInstanceID.Code},
			{member, other, kerr.UnknownMemberID.Code},
			{"", other, kerr.UnknownMemberID.Code},
			{"", nil, kerr.UnknownMemberID.Code},
			{"another", nil, kerr.UnknownMemberID.Code},
			{member, instance, 0},
		} {
			if got := leaving(t, c, 5, group, try.member, try.instance); got.ErrorCode != try.want || got.MemberID != try.member {
				t.Errorf("%s: %+v, want error %d to member %q", group, got, try.want, try.member)
			}
		}
	}
}
