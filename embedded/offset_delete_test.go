package embedded

import (
	"net/netip"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// committingAs commits offset 7 of partition 0 of topics, as a member of a group.
func committingAs(t *testing.T, c *Cluster, group, member string, epoch int32, topics ...string) {
	t.Helper()
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.MemberID, req.Generation = group, member, epoch
	for _, name := range topics {
		of, p := kmsg.NewOffsetCommitRequestTopic(), kmsg.NewOffsetCommitRequestTopicPartition()
		p.Offset = 7
		of.Topic, of.Partitions = name, append(of.Partitions, p)
		req.Topics = append(req.Topics, of)
	}
	for _, of := range answer[*kmsg.OffsetCommitResponse](t, c, 9, req).Topics {
		if got := of.Partitions[0].ErrorCode; got != 0 {
			t.Fatalf("commit of %s: error %d", of.Topic, got)
		}
	}
}

// forgetting deletes the offsets of partition 0 of topics, and returns the errors.
func forgetting(t *testing.T, c *Cluster, group string, topics ...string) (int16, map[string]int16) {
	t.Helper()
	req := kmsg.NewPtrOffsetDeleteRequest()
	req.Group = group
	for _, name := range topics {
		of, p := kmsg.NewOffsetDeleteRequestTopic(), kmsg.NewOffsetDeleteRequestTopicPartition()
		of.Topic, of.Partitions = name, append(of.Partitions, p)
		req.Topics = append(req.Topics, of)
	}
	resp := answer[*kmsg.OffsetDeleteResponse](t, c, 0, req)
	codes := make(map[string]int16)
	for _, of := range resp.Topics {
		codes[of.Topic] = of.Partitions[0].ErrorCode
	}
	return resp.ErrorCode, codes
}

// offsetsOf is what a group has committed of partition 0, asked for by the topics'
// names, and where there are none all.
func offsetsOf(t *testing.T, c *Cluster, group string, topics ...string) map[string]int64 {
	t.Helper()
	req, of := kmsg.NewPtrOffsetFetchRequest(), kmsg.NewOffsetFetchRequestGroup()
	of.Group = group
	for _, name := range topics {
		topic := kmsg.NewOffsetFetchRequestGroupTopic()
		topic.Topic, topic.Partitions = name, []int32{0}
		of.Topics = append(of.Topics, topic)
	}
	req.Groups = append(req.Groups, of)
	got := make(map[string]int64)
	for _, topic := range answer[*kmsg.OffsetFetchResponse](t, c, 8, req).Groups[0].Topics {
		got[topic.Topic] = topic.Partitions[0].Offset
	}
	return got
}

// The offsets of a group with members are deleted, but of what they read, and a
// topic that nobody has is said.
func TestOffsetsOfAnActiveGroupAreDeletedWhereNobodyReads(t *testing.T) {
	for name, dir := range map[string]string{"memory": "", "disk": t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			c := open(t, Config{Seed: []Topic{{"read", 1}, {"before", 1}, {"kept", 1}}, DataDir: dir})
			committingAs(t, c, "consumer-group", "", -1, "read", "before", "kept")
			joinAs(t, c, netip.MustParseAddrPort("127.0.0.1:1024"))
			unknown := kerr.UnknownTopicOrPartition.Code
			code, codes := forgetting(t, c, "consumer-group", "read", "before", "nobodys")
			if code != 0 || codes["read"] != kerr.GroupSubscribedToTopic.Code || codes["before"] != 0 || codes["nobodys"] != unknown || len(codes) != 3 {
				t.Errorf("error %d, %v", code, codes)
			}
			if got := offsetsOf(t, c, "consumer-group", "read", "before", "kept"); got["read"] != 7 || got["before"] != -1 || got["kept"] != 7 {
				t.Errorf("offsets %v", got)
			}
			if got := offsetsOf(t, c, "consumer-group"); len(got) != 2 || got["read"] != 7 || got["kept"] != 7 {
				t.Errorf("all offsets %v", got)
			}
			if code, codes := forgetting(t, c, "nobody", "read"); code != kerr.GroupIDNotFound.Code || len(codes) != 0 {
				t.Errorf("no such group: error %d, %v", code, codes)
			}
			if code, _ := forgetting(t, c, "nobody"); code != kerr.GroupIDNotFound.Code {
				t.Errorf("no such group, and nothing to delete: error %d", code)
			}
			if code, codes := forgetting(t, c, "nobody", "nobodys"); code != 0 || codes["nobodys"] != unknown {
				t.Errorf("no such group nor topic: error %d, %v", code, codes)
			}
			leave := kmsg.NewPtrLeaveGroupRequest()
			m := kmsg.NewLeaveGroupRequestMember()
			m.MemberID, leave.Group = "member", "consumer-group"
			leave.Members = append(leave.Members, m)
			answer[*kmsg.LeaveGroupResponse](t, c, 5, leave)
			if code, codes := forgetting(t, c, "consumer-group", "read", "before"); code != 0 || codes["read"] != 0 || codes["before"] != 0 {
				t.Errorf("an empty group: error %d, %v", code, codes)
			}
			if got := offsetsOf(t, c, "consumer-group"); len(got) != 1 || got["kept"] != 7 {
				t.Errorf("all offsets of an empty group %v", got)
			}
		})
	}
}
