package embedded

import (
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func deletionOf(group string) *kmsg.DeleteGroupsRequest {
	req := kmsg.NewPtrDeleteGroupsRequest()
	req.Groups = []string{group}
	return req
}

func (n *node) waitAtGate() bool {
	n.cluster.groupGate.mu.Lock()
	defer n.cluster.groupGate.mu.Unlock()
	return n.cluster.groupGate.waiting > 0
}

// Whoever comes to a group while it is deleted finds it deleted, or as it was.
func TestAGroupThatIsNotDeletedKeepsItsOffsets(t *testing.T) {
	for what, comes := range map[string]func(t *testing.T, conn net.Conn) int16{
		"a member": func(t *testing.T, conn net.Conn) int16 {
			return asks[*kmsg.JoinGroupResponse](t, conn, joinOf(3, "g", 0)).ErrorCode
		},
		"a member of KIP-848": func(t *testing.T, conn net.Conn) int16 {
			req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
			req.Version, req.Group, req.MemberID, req.RebalanceTimeoutMillis = 1, "g", "m", 60_000
			req.SubscribedTopicNames, req.Topics = []string{"full"}, []kmsg.ConsumerGroupHeartbeatRequestTopic{}
			return asks[*kmsg.ConsumerGroupHeartbeatResponse](t, conn, req).ErrorCode
		},
		"a commit": func(t *testing.T, conn net.Conn) int16 { return leftOffset(t, conn, commitOf("g", "full", 0, "again")) },
	} {
		t.Run(what, func(t *testing.T) {
			n := filledIn(t, "", Config{DataDir: t.TempDir()}, 0, 1)
			conn, other := dial(t, n.addr), dial(t, n.addr)
			if code := leftOffset(t, conn, commitOf("g", "full", 0, "")); code != 0 {
				t.Fatal(kerr.ErrorForCode(code))
			}
			reached, came := make(chan struct{}), make(chan int16, 1)
			k, once := n.cluster.kfake, new(atomic.Bool) // kfake asks again after a sleep
			k.ControlKey(int16(kmsg.DeleteGroups), func(kmsg.Request) (kmsg.Response, error, bool) {
				if once.Swap(true) {
					return nil, nil, false
				}
				close(reached)
				k.SleepControl(func() {
					tick := time.NewTicker(time.Millisecond)
					defer tick.Stop()
					for len(came) == 0 && !n.waitAtGate() {
						<-tick.C
					}
				})
				return nil, nil, false // kfake answers
			})
			go func() {
				<-reached
				came <- comes(t, other)
			}()
			deleted := asks[*kmsg.DeleteGroupsResponse](t, conn, deletionOf("g")).Groups[0].ErrorCode
			if code := <-came; code != 0 {
				t.Errorf("who comes is refused: %v", kerr.ErrorForCode(code))
			}
			fetch := kmsg.NewPtrOffsetFetchRequest()
			fetch.Version, fetch.Group = 7, "g"
			has := len(asks[*kmsg.OffsetFetchResponse](t, conn, fetch).Topics) > 0
			if want := deleted != 0 || what == "a commit"; has != want {
				t.Errorf("deleted: %v; it has offsets: %v", kerr.ErrorForCode(deleted), has)
			}
		})
	}
}

// A group that a member is joining is not empty, and is left as it is.
func TestAGroupThatAMemberIsJoiningIsNotDeleted(t *testing.T) {
	n := filledIn(t, "", Config{DataDir: t.TempDir()}, 0, 1)
	conn := dial(t, n.addr)
	if code := leftOffset(t, conn, commitOf("g", "full", 0, "")); code != 0 {
		t.Fatal(kerr.ErrorForCode(code))
	}
	n.cluster.groupGate.enter("g", 1, 0)
	resp := asks[*kmsg.DeleteGroupsResponse](t, conn, deletionOf("g"))
	if len(resp.Groups) != 1 || resp.Groups[0].Group != "g" || resp.Groups[0].ErrorCode != kerr.NonEmptyGroup.Code {
		t.Errorf("%+v", resp.Groups)
	}
	n.cluster.groupGate.leave("g", 1, 0)
	if code := asks[*kmsg.DeleteGroupsResponse](t, conn, deletionOf("g")).Groups[0].ErrorCode; code != 0 {
		t.Error(kerr.ErrorForCode(code))
	}
}
