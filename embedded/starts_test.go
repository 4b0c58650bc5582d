package embedded

import (
	"path/filepath"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func deletingRecords(topic string, before int64) *kmsg.DeleteRecordsRequest {
	req := kmsg.NewPtrDeleteRecordsRequest()
	req.Version = 2
	in := kmsg.NewDeleteRecordsRequestTopic()
	in.Topic = topic
	p := kmsg.NewDeleteRecordsRequestTopicPartition()
	p.Offset = before
	in.Partitions = append(in.Partitions, p)
	req.Topics = append(req.Topics, in)
	return req
}

// logOf is a log's bounds in a process that follows one that was killed.
func logOf(t *testing.T, dir, topic string) (start, end int64, left string) {
	t.Helper()
	left = killed(t, dir)
	c := open(t, Config{DataDir: left})
	at := c.kfake.PartitionInfo(topic, 0)
	if at == nil {
		t.Fatal("the topic is gone")
	}
	return at.LogStartOffset, at.HighWatermark, left
}

func TestDeletedRecordsStayDeletedAfterAKill(t *testing.T) {
	dir := t.TempDir()
	n := serve(t, Config{DataDir: dir})
	n.produce("orders", 0, 5)
	if got := code(t, n.cluster, deletingRecords("orders", 1_000)); got != kerr.OffsetOutOfRange.Code {
		t.Errorf("beyond the end: error %d", got)
	}
	if got := code(t, n.cluster, deletingRecords("orders", 3)); got != 0 {
		t.Fatalf("error %d", got)
	}
	if start, end, _ := logOf(t, dir, "orders"); start != 3 || end != 5 {
		t.Errorf("the log is %d to %d, want 3 to 5", start, end)
	}
	// A new topic of the name starts at 0.
	if got := code(t, n.cluster, deleting("orders")); got != 0 {
		t.Fatalf("error %d", got)
	}
	n.produce("orders", 0, 5)
	if start, end, _ := logOf(t, dir, "orders"); start != 0 || end != 5 {
		t.Errorf("the new log is %d to %d, want 0 to 5", start, end)
	}
}

// A log from which all was deleted goes on at its offset, after a kill and after
// an orderly stop, however often.
func TestALogThatIsEmptyGoesOnAtItsOffset(t *testing.T) {
	dir := t.TempDir()
	n := serve(t, Config{DataDir: dir})
	n.produce("orders", 0, 5)
	if got := code(t, n.cluster, deletingRecords("orders", -1)); got != 0 {
		t.Fatalf("error %d", got)
	}
	for range 2 {
		var start, end int64
		if start, end, dir = logOf(t, dir, "orders"); start != 5 || end != 5 {
			t.Errorf("the log is %d to %d, want 5 to 5", start, end)
		}
	}
	dir = killed(t, dir)
	serve(t, Config{DataDir: dir}).close()
	n = serve(t, Config{DataDir: dir})
	if got := code(t, n.cluster, storing(t, "orders", "record 5")); got != 0 {
		t.Errorf("error %d", got)
	}
	n.consume("orders", 5, 6)
	if start, end, _ := logOf(t, n.cluster.cfg.DataDir, "orders"); start != 5 || end != 6 {
		t.Errorf("the log is %d to %d, want 5 to 6", start, end)
	}
}

func TestADeletionThatCantBeKeptIsRefused(t *testing.T) {
	dir := t.TempDir()
	n := serve(t, Config{DataDir: dir})
	n.produce("orders", 0, 5)
	takeAway := put(t, filepath.Join(dir, startsName+".tmp"), false)
	if got := code(t, n.cluster, deletingRecords("orders", 3)); got != kerr.KafkaStorageError.Code {
		t.Errorf("error %d", got)
	}
	takeAway()
	await(t, func() bool { return code(t, n.cluster, deletingRecords("orders", 3)) == 0 })
	if err := n.cluster.deleteBefore("orders", 0, 4); err != nil {
		t.Error(err)
	}
	if start, _, _ := logOf(t, dir, "orders"); start != 4 {
		t.Errorf("the log starts at %d, want 4", start)
	}
}
