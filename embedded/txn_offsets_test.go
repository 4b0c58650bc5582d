package embedded

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// sendOffsets has a transaction commit an offset of partition 0 of each topic for a group.
func sendOffsets(t *testing.T, c *Cluster, version int16, p producer, group string, offsets map[string]int64) {
	t.Helper()
	add := kmsg.NewPtrAddOffsetsToTxnRequest()
	add.TransactionalID, add.ProducerID, add.ProducerEpoch, add.Group = p.transaction, p.id, p.epoch, group
	if code := answer[*kmsg.AddOffsetsToTxnResponse](t, c, 3, add).ErrorCode; code != 0 {
		t.Fatalf("AddOffsetsToTxn: error %d", code)
	}
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = p.transaction, p.id, p.epoch, group
	for topic, offset := range offsets {
		of, at := kmsg.NewTxnOffsetCommitRequestTopic(), kmsg.NewTxnOffsetCommitRequestTopicPartition()
		of.Topic, of.TopicID, at.Offset = topic, c.kfake.TopicInfo(topic).TopicID, offset
		of.Partitions = append(of.Partitions, at)
		req.Topics = append(req.Topics, of)
	}
	for _, topic := range answer[*kmsg.TxnOffsetCommitResponse](t, c, version, req).Topics {
		if code := topic.Partitions[0].ErrorCode; code != 0 {
			t.Fatalf("TxnOffsetCommit v%d: error %d", version, code)
		}
	}
}

// offsetOf is what a group has committed of partition 0 of a topic.
func offsetOf(t *testing.T, c *Cluster, group, topic string) int64 {
	t.Helper()
	req, of := kmsg.NewPtrOffsetFetchRequest(), kmsg.NewOffsetFetchRequestTopic()
	req.Group, of.Topic, of.Partitions = group, topic, []int32{0}
	req.Topics = append(req.Topics, of)
	return answer[*kmsg.OffsetFetchResponse](t, c, 7, req).Topics[0].Partitions[0].Offset
}

// What a transaction was to commit is committed with it also when the process was killed
// between the two, in every version.
func TestATransactionsOffsetsOutlastTheProcess(t *testing.T) {
	all := open(t, Config{})
	for _, version := range versionsFrom(t, all, kmsg.TxnOffsetCommit, 3) {
		t.Run(fmt.Sprint("version ", version), func(t *testing.T) {
			dir := t.TempDir()
			c := open(t, Config{DataDir: dir, Seed: []Topic{{txnTopic, 1}, {"a", 1}, {"b", 1}}})
			p := initialized(t, c, "txn")
			if code := addPartition(t, c, 3, p); code != 0 {
				t.Fatal(code)
			}
			sendOffsets(t, c, version, p, "g", map[string]int64{"a": 3, "b": 4})
			c = open(t, Config{DataDir: killed(t, dir)})
			if code := end(t, c, 3, p, true); code != 0 {
				t.Fatal(code)
			}
			if a, b := offsetOf(t, c, "g", "a"), offsetOf(t, c, "g", "b"); a != 3 || b != 4 {
				t.Errorf("committed are %d and %d, want 3 and 4", a, b)
			}
		})
	}
}

// A topic that is deleted while a transaction is open takes nothing else of the transaction
// with it.
func TestADeletedTopicTakesNoOffsetsWithIt(t *testing.T) {
	for _, deleted := range []string{txnTopic, "a"} {
		t.Run(deleted, func(t *testing.T) {
			dir := t.TempDir()
			c := open(t, Config{DataDir: dir, Seed: []Topic{{txnTopic, 1}, {"a", 1}, {"b", 1}}})
			p := initialized(t, c, "txn")
			if code := addPartition(t, c, 3, p); code != 0 {
				t.Fatal(code)
			}
			sendOffsets(t, c, 3, p, "g", map[string]int64{"a": 3, "b": 4})
			for i := range 8 { // in whatever order they are gone through
				sendOffsets(t, c, 3, p, fmt.Sprint("g", i), map[string]int64{"b": 5})
			}
			if got := code(t, c, deleting(deleted)); got != 0 {
				t.Fatal(got)
			}
			c = open(t, Config{DataDir: killed(t, dir)})
			if code := end(t, c, 3, p, true); code != 0 {
				t.Fatal(code)
			}
			if b := offsetOf(t, c, "g", "b"); b != 4 {
				t.Errorf("committed is %d, want 4", b)
			}
			for i := range 8 {
				if b := offsetOf(t, c, fmt.Sprint("g", i), "b"); b != 5 {
					t.Errorf("group g%d: committed is %d, want 5", i, b)
				}
			}
		})
	}
}
