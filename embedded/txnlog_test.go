package embedded

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// openTransaction is the directory of a cluster that was killed while a
// transaction had a record in each of two partitions.
func openTransaction(t *testing.T) (dir string, producer int64, epoch int16) {
	t.Helper()
	n := serve(t, Config{DataDir: t.TempDir(), Seed: []Topic{{"two", 2}}})
	c := n.client(kgo.TransactionalID("txn"), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DefaultProduceTopic("two"))
	if err := c.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	for p := range int32(2) {
		if err := c.ProduceSync(t.Context(), &kgo.Record{Partition: p, Value: fmt.Appendf(nil, "in partition %d", p)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	dir = n.left()
	producer, epoch, err := c.ProducerID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_ = c.EndTransaction(t.Context(), kgo.TryAbort) // its cluster is not looked at any more
	return dir, producer, epoch
}

// committed counts what a reader of committed records gets up to the end of
// both partitions, which is beyond the last marker.
func (n *node) committed() int {
	n.t.Helper()
	total := 0
	for p := range int32(2) {
		last := n.client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
		end, err := last.ProduceSync(n.t.Context(), &kgo.Record{Topic: "two", Partition: p, Value: []byte("last")}).First()
		if err != nil {
			n.t.Fatal(err)
		}
		c := n.client(kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"two": {p: kgo.NewOffset().AtStart()}}))
		for over := false; !over; {
			fetches := c.PollFetches(n.t.Context())
			if err := fetches.Err(); err != nil {
				n.t.Fatal(err)
			}
			fetches.EachRecord(func(r *kgo.Record) {
				if over = r.Offset == end.Offset; !over {
					total++
				}
			})
		}
	}
	return total
}

// A commit that a crash interrupted between two partitions is in both.
func TestAnInterruptedCommitIsCompleted(t *testing.T) {
	for _, marked := range []bool{false, true} {
		for _, commit := range []bool{false, true} {
			t.Run(fmt.Sprintf("marked=%v commit=%v", marked, commit), func(t *testing.T) {
				dir, producer, epoch := openTransaction(t)
				raw, err := json.Marshal(txnNote{PID: producer, Epoch: epoch, TxID: "txn", Ending: &txnEnd{Commit: commit, Version: 3}})
				if err != nil {
					t.Fatal(err)
				}
				appendTo(t, filepath.Join(dir, txnLogName), appendEntry(nil, raw))
				if marked {
					m := abortMarker(producer, epoch, 1, time.Now())
					if commit {
						m = committing(m)
					}
					h := readHead(m)
					appendTo(t, filepath.Join(dir, "partitions", "two-0", "0.dat"), m)
					appendTo(t, filepath.Join(dir, "partitions", "two-0", "0.idx"), indexEntry(&h))
				}
				n := serve(t, Config{DataDir: dir})
				want := 0
				if commit {
					want = 2
				}
				if got := n.committed(); got != want {
					t.Errorf("%d records committed, want %d", got, want)
				}
			})
		}
	}
}

// committing makes an abort marker one of a commit.
func committing(m []byte) []byte {
	m[batchHeaderBytes+5+3] = controlCommit // behind five varints of a byte each: version, type
	binary.BigEndian.PutUint32(m[batchChecksumAt:], crc32.Checksum(m[batchAttributesAt:], castagnoli))
	return m
}

// A transaction that nobody can end any more is aborted at the start: whoever
// reads committed records does not wait for it.
func TestATransactionWithoutAnOwnerIsAborted(t *testing.T) {
	dir, _, _ := openTransaction(t)
	if err := os.Remove(filepath.Join(dir, "pids.log")); err != nil {
		t.Fatal(err)
	}
	n := serve(t, Config{DataDir: dir, AcceptLoss: true})
	if got := n.committed(); got != 0 {
		t.Errorf("%d records committed, want none", got)
	}
	n.close()
	if got := serve(t, Config{DataDir: dir}).committed(); got != 2 {
		t.Errorf("%d records committed after another start, want the two that followed", got)
	}
}

// A former owner's requests do not touch the notes about his successor.
func TestAFencedProducerChangesNoNotes(t *testing.T) {
	l, err := openTxnLog(t.TempDir(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	for _, n := range []txnNote{
		{PID: 1, Epoch: 5, TxID: "txn", Partitions: map[string][]int32{"two": {0}}},
		{PID: 1, Epoch: 4, TxID: "txn", Ending: &txnEnd{Commit: true}},
		{PID: 1, Epoch: 4, TxID: "txn", Refused: true},
		{PID: 1, Epoch: 3, Over: true},
	} {
		if err := l.note(&n); err != nil {
			t.Fatal(err)
		}
	}
	if now := l.open[1]; now == nil || now.Epoch != 5 || now.Ending != nil || len(now.Partitions["two"]) != 1 {
		t.Errorf("notes %+v", now)
	}
}

// The log of open transactions does not grow with those that ended.
func TestTheTransactionLogIsBounded(t *testing.T) {
	dir := t.TempDir()
	l, err := openTxnLog(dir, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	topics := make(map[string][]int32)
	for i := range 1000 {
		topics[fmt.Sprintf("topic %d", i)] = []int32{0, 1, 2}
	}
	for i := range int64(500) {
		for _, n := range []txnNote{{PID: i % 3, TxID: "txn", Partitions: topics}, {PID: i % 3, TxID: "txn", Over: true}} {
			if err := l.note(&n); err != nil {
				t.Fatal(err)
			}
		}
		if info, err := os.Stat(filepath.Join(dir, txnLogName)); err != nil || info.Size() > txnLogSlack+200_000 {
			t.Fatalf("%d bytes, %v", info.Size(), err)
		}
	}
}

// What is noted behind a log that was made anew would be lost with the log's name.
func TestTheNameOfATransactionLogIsSyncedBeforeWhatFollows(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	c := open(t, Config{DataDir: dir, SyncWrites: true})
	var d disk
	c.syncs.file = d.sync
	l := c.txnLog()
	noted := func(pid int64) error {
		return l.note(&txnNote{PID: pid, TxID: "txn", Partitions: map[string][]int32{"two": {0}}})
	}
	if err := noted(1); err != nil {
		t.Fatal(err)
	}
	l.mu.Lock()
	err := l.rewrite()
	size := l.size
	l.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	d.fail("data")
	if err := noted(2); err == nil {
		t.Error("it was noted on a disk that fails")
	}
	if info, err := os.Stat(l.path); err != nil || info.Size() != size {
		t.Errorf("what could not be noted is in the log: %v", err)
	}
	d.heal()
	before := d.count("data")
	if err := noted(2); err != nil || d.count("data") != before+1 {
		t.Errorf("the directory was synced %d times: %v", d.count("data")-before, err)
	}
	if err := noted(3); err != nil || d.count("data") != before+1 {
		t.Errorf("the directory was synced again, %d times in all: %v", d.count("data")-before, err)
	}
}

// An end that raised the epoch is remembered, also by the next process, until
// its producer goes on or another takes the transactional id.
func TestAnEndThatRaisedTheEpochIsRemembered(t *testing.T) {
	dir := t.TempDir()
	l, err := openTxnLog(dir, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []txnNote{
		{PID: 1, Epoch: 5, TxID: "a", Ending: &txnEnd{Commit: true, Version: 5}}, {PID: 1, Epoch: 5, TxID: "a", Over: true},
		{PID: 1, Epoch: 5, TxID: "a", Ending: &txnEnd{Version: 5}}, {PID: 1, Epoch: 5, TxID: "a", Refused: true}, // the other end
		{PID: 2, Epoch: 5, TxID: "b", Ending: &txnEnd{Commit: true, Version: 3}}, {PID: 2, Epoch: 5, TxID: "b", Over: true},
		{PID: 3, Epoch: 5, TxID: "c", Ending: &txnEnd{Version: 5}}, {PID: 3, Epoch: 5, TxID: "c", Over: true}, {PID: 3, Epoch: 6, Over: true},
		{PID: 4, Epoch: 5, TxID: "d", Ending: &txnEnd{Version: 5}}, {PID: 4, Epoch: 5, TxID: "d", Over: true},
		{PID: 4, Epoch: 6, TxID: "d", Partitions: map[string][]int32{"two": {0}}},
	} {
		if err := l.note(&n); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		for producer, want := range map[int64]bool{1: true, 2: false, 3: false, 4: false} {
			if commit, ok := l.endedAt(producer, 5); ok != want || commit != want {
				t.Errorf("producer %d: commit %v, remembered %v", producer, commit, ok)
			}
		}
		l.close()
		m := newRecovery(&Config{DataDir: dir})
		m.pids = map[int64]pidEntry{1: {Epoch: 6, TxID: "a"}, 4: {Epoch: 6, TxID: "d"}}
		if err := m.readTxns(); err != nil {
			t.Fatal(err)
		}
		if l, err = openTxnLog(dir, nil, m.ownedTxns()); err != nil {
			t.Fatal(err)
		}
		if l.open[4] == nil || len(l.open[4].Partitions) != 1 {
			t.Errorf("the open transaction of producer 4: %+v", l.open[4])
		}
	}
	l.close()
}

// What the open transactions of all clients hold is bounded: beyond it none grows
// until one has ended.
func TestOpenTransactionsAreBoundedTogether(t *testing.T) {
	c := open(t, Config{DataDir: t.TempDir(), Seed: []Topic{{"orders", 1}}})
	l := c.txnLog()
	l.max = 1
	_, resp := ask(t, c, initialising(kmsg.StringPtr("txn")))
	id := resp.(*kmsg.InitProducerIDResponse)
	adding := func(group string) int16 {
		req := kmsg.NewPtrAddOffsetsToTxnRequest()
		req.Version, req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = 3, "txn", id.ProducerID, id.ProducerEpoch, group
		return code(t, c, req)
	}
	if got := adding("first"); got != 0 {
		t.Fatalf("error %d", got)
	}
	if got := adding("second"); got != kerr.NotCoordinator.Code {
		t.Errorf("error %d, want %v", got, kerr.NotCoordinator)
	}
	end := kmsg.NewPtrEndTxnRequest()
	end.Version, end.TransactionalID, end.ProducerID, end.ProducerEpoch = 3, "txn", id.ProducerID, id.ProducerEpoch
	if got := code(t, c, end); got != 0 {
		t.Fatalf("error %d", got)
	}
	l.mu.Lock()
	l.made = time.Time{}
	l.mu.Unlock()
	if got := adding("second"); got != 0 {
		t.Errorf("error %d when there is room again", got)
	}
}
