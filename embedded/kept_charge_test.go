package embedded

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// What kfake refuses is not charged, unless somebody else relies on the charge.
func TestWhatIsRefusedIsNotKept(t *testing.T) {
	n := filledIn(t, "", Config{KeptBytesMax: keptInTests}, 0, 1)
	conn := dial(t, n.addr)
	if code := leftOffset(t, conn, commitOf("g", "full", 0, "")); code != 0 {
		t.Fatal(kerr.ErrorForCode(code))
	}
	before, names := n.usedByKept(), n.namesKept()
	for i := range int32(20) {
		if code := leftOffset(t, conn, commitOf("g", "nobody has it", i, "metadata")); code != kerr.UnknownTopicOrPartition.Code {
			t.Fatal(kerr.ErrorForCode(code))
		}
		stranger := kmsg.NewPtrJoinGroupResponse()
		stranger.MemberID = "nobody"
		if code := asks[*kmsg.SyncGroupResponse](t, conn, syncOf("g", stranger, 100)).ErrorCode; code != kerr.UnknownMemberID.Code {
			t.Fatal(kerr.ErrorForCode(code))
		}
	}
	if used := n.usedByKept(); used != before || n.namesKept() != names {
		t.Errorf("%d bytes with %d names are charged for what is refused", used-before, n.namesKept()-names)
	}
}

func TestAChargeIsGivenBackOnlyWhereNobodyElseReliesOnIt(t *testing.T) {
	every := func(keptName) bool { return true }
	one, other := []left{{name: txnName("t"), bytes: 100}}, []left{{name: txnName("t"), bytes: 50}}
	for what, c := range map[string]struct {
		also []left
		used int64
	}{
		"alone": {nil, 0}, "another relies on it": {other, 100},
	} {
		var k kept
		k.init(1000)
		var by, second charge
		k.take(one, &by)
		k.take(one, &by) // named twice in a request
		k.take(c.also, &second)
		k.settle(&by, every)
		k.settle(&second, every)
		if k.used != c.used || len(k.unsure) != 0 || int64(len(k.has))*100 != c.used {
			t.Errorf("%s: %d bytes, %d names, %d unsure", what, k.used, len(k.has), len(k.unsure))
		}
	}
}

// However many topics a member says that it wants, kfake is not busy with comparing them:
// with 300,000 that would take minutes in which it answers nobody.
func TestAMemberOfManyTopicsIsLookedAtInLinearTime(t *testing.T) {
	n := filledIn(t, "", Config{DataDir: t.TempDir(), KeptBytesMax: 64 << 20}, 0, 1)
	conn := dial(t, n.addr)
	const topics = 300_000
	join := joinOf(5, "g", 0)
	metadata := binary.BigEndian.AppendUint32([]byte{0, 0}, topics)
	for i := range topics {
		metadata = fmt.Appendf(append(metadata, 0, 6), "%06d", i)
	}
	join.InstanceID, join.Protocols[0].Metadata = kmsg.StringPtr("one"), append(metadata, 0, 0, 0, 0)
	joined := asks[*kmsg.JoinGroupResponse](t, conn, join)
	if joined.ErrorCode != 0 {
		t.Fatal(kerr.ErrorForCode(joined.ErrorCode))
	}
	if err := conn.SetDeadline(time.Now().Add(deadline)); err != nil {
		t.Fatal(err)
	}
	asked := make(chan error, 1)
	go func() { asked <- n.cluster.askKept() }()
	select {
	case err := <-asked:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(deadline):
		t.Fatal("kfake is busy")
	}
	if used := n.usedByKept(); used < topics*8 {
		t.Errorf("%d bytes are known of a member that says %d", used, len(metadata))
	}
	del := kmsg.NewPtrDeleteGroupsRequest()
	del.Groups = []string{"g"}
	if code := asks[*kmsg.DeleteGroupsResponse](t, conn, del).Groups[0].ErrorCode; code != kerr.NonEmptyGroup.Code {
		t.Errorf("a group with a member is deleted: %v", kerr.ErrorForCode(code))
	}
	leave := kmsg.NewPtrLeaveGroupRequest()
	m := kmsg.NewLeaveGroupRequestMember()
	leave.Version, leave.Group, m.MemberID, m.InstanceID = 3, "g", joined.MemberID, join.InstanceID
	leave.Members = append(leave.Members, m)
	if code := asks[*kmsg.LeaveGroupResponse](t, conn, leave).Members[0].ErrorCode; code != 0 {
		t.Error(kerr.ErrorForCode(code))
	}
}
