package embedded

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// openKept is how many transactional ids are known for what their transactions have.
func (n *node) openKept() int {
	n.cluster.kept.mu.Lock()
	defer n.cluster.kept.mu.Unlock()
	return len(n.cluster.kept.open)
}

// Whoever invents transactional ids has none of them known.
func TestRefusedTransactionsAreNotKnown(t *testing.T) {
	n := filledIn(t, "", Config{KeptBytesMax: keptInTests}, 0, 1)
	conn := dial(t, n.addr)
	if code := leftOffset(t, conn, commitOf("g", "full", 0, "")); code != 0 {
		t.Fatal(kerr.ErrorForCode(code))
	}
	used := n.usedByKept()
	for i := range 20 {
		commit := kmsg.NewPtrTxnOffsetCommitRequest()
		commit.Version, commit.TransactionalID, commit.Group, commit.ProducerID = 3, fmt.Sprint("invented", i), "g", 1
		of := kmsg.NewTxnOffsetCommitRequestTopic()
		of.Topic, of.Partitions = "full", []kmsg.TxnOffsetCommitRequestTopicPartition{kmsg.NewTxnOffsetCommitRequestTopicPartition()}
		commit.Topics = append(commit.Topics, of)
		if code := asks[*kmsg.TxnOffsetCommitResponse](t, conn, commit).Topics[0].Partitions[0].ErrorCode; code == 0 {
			t.Fatal("an invented transactional id commits")
		}
		add := kmsg.NewPtrAddOffsetsToTxnRequest()
		add.TransactionalID, add.Group, add.ProducerID = fmt.Sprint("invented", i), "g", 1
		if code := asks[*kmsg.AddOffsetsToTxnResponse](t, conn, add).ErrorCode; code == 0 {
			t.Fatal("an invented transactional id has a group")
		}
	}
	if open := n.openKept(); open != 0 || n.usedByKept() != used {
		t.Errorf("%d invented ids are known, with %d bytes", open, n.usedByKept()-used)
	}
}

// A static member has one name, however often it is given another id.
func TestAStaticMemberIsKeptOnce(t *testing.T) {
	n := filledIn(t, "", Config{KeptBytesMax: keptInTests}, 0, 1)
	conn := dial(t, n.addr)
	ids := make(map[string]bool)
	classic := func() {
		req := joinOf(5, "classic", 100)
		req.InstanceID = kmsg.StringPtr("one")
		resp := asks[*kmsg.JoinGroupResponse](t, conn, req)
		if resp.ErrorCode != 0 || ids[resp.MemberID] {
			t.Fatalf("member %q, given before: %v: %v", resp.MemberID, ids[resp.MemberID], kerr.ErrorForCode(resp.ErrorCode))
		}
		ids[resp.MemberID] = true
	}
	beat := func(id string, epoch int32) {
		req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
		req.Version, req.Group, req.MemberID, req.MemberEpoch, req.InstanceID = 1, "consumer", id, epoch, kmsg.StringPtr("one")
		if epoch == 0 {
			req.RebalanceTimeoutMillis, req.SubscribedTopicNames, req.Topics = 60_000, []string{"full"}, []kmsg.ConsumerGroupHeartbeatRequestTopic{}
		}
		if code := asks[*kmsg.ConsumerGroupHeartbeatResponse](t, conn, req).ErrorCode; code != 0 {
			t.Fatal(kerr.ErrorForCode(code))
		}
	}
	consumer := func(i int) {
		id := fmt.Sprint("member", 10+i)
		beat(id, 0)
		beat(id, -2) // it will come again
	}
	classic()
	consumer(0)
	used, names := n.usedByKept(), n.namesKept()
	for i := range 20 {
		classic()
		consumer(1 + i)
	}
	if n.usedByKept() != used || n.namesKept() != names {
		t.Errorf("%d bytes, %d names more", n.usedByKept()-used, n.namesKept()-names)
	}
	if err := n.cluster.askKept(); err != nil {
		t.Fatal(err)
	}
	used = n.usedByKept()
	if classic(); n.usedByKept() != used {
		t.Errorf("%d bytes more once kfake was asked", n.usedByKept()-used)
	}
}

// In whatever order a client names the parts of a quota's entity, it is one; and another is not taken for it.
func TestAQuotasEntityIsKeptOnce(t *testing.T) {
	n := filledIn(t, "", Config{KeptBytesMax: keptInTests}, 0, 1)
	conn := dial(t, n.addr)
	alter := func(parts ...string) {
		req, e, op := kmsg.NewPtrAlterClientQuotasRequest(), kmsg.NewAlterClientQuotasRequestEntry(), kmsg.NewAlterClientQuotasRequestEntryOp()
		for i := 0; i < len(parts); i += 2 {
			part := kmsg.NewAlterClientQuotasRequestEntryEntity()
			part.Type, part.Name = parts[i], &parts[i+1]
			e.Entity = append(e.Entity, part)
		}
		op.Key, op.Value = "producer_byte_rate", 1000
		e.Ops, req.Version = append(e.Ops, op), 1
		req.Entries = append(req.Entries, e)
		if code := asks[*kmsg.AlterClientQuotasResponse](t, conn, req).Entries[0].ErrorCode; code != 0 {
			t.Fatal(kerr.ErrorForCode(code))
		}
	}
	alter("user", "u", "client-id", "c")
	used, names := n.usedByKept(), n.namesKept()
	alter("client-id", "c", "user", "u")
	if n.usedByKept() != used || n.namesKept() != names {
		t.Errorf("%d bytes, %d names more for the other order", n.usedByKept()-used, n.namesKept()-names)
	}
	if err := n.cluster.askKept(); err != nil {
		t.Fatal(err)
	}
	used, names = n.usedByKept(), n.namesKept()
	if alter("user", "u", "client-id", "c"); n.usedByKept() != used || n.namesKept() != names {
		t.Errorf("%d bytes, %d names more once kfake was asked", n.usedByKept()-used, n.namesKept()-names)
	}
	if alter("client-id", "c;user=u"); n.namesKept() != names+1 {
		t.Error("another entity is taken for it")
	}
}
