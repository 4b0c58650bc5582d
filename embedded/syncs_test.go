package embedded

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// disk is an fsync that fails for the files whose names end in failing, and
// counts those that it was called for.
type disk struct {
	failing atomic.Pointer[string]
	mu      sync.Mutex
	synced  map[string]int // guarded by mu; by base name
}

func (d *disk) sync(f *os.File) error {
	if suffix := d.failing.Load(); suffix != nil && strings.HasSuffix(f.Name(), *suffix) {
		return &os.PathError{Op: "sync", Path: f.Name(), Err: syscall.EIO}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.synced == nil {
		d.synced = make(map[string]int)
	}
	d.synced[filepath.Base(f.Name())]++
	return f.Sync()
}

func (d *disk) fail(suffix string) { d.failing.Store(&suffix) }
func (d *disk) heal()              { d.failing.Store(nil) }

func (d *disk) count(name string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.synced[name]
}

// kfake passes over what fsync says.
func TestWhatCantBeSyncedIsNotAcknowledged(t *testing.T) {
	for _, c := range []struct {
		file string
		req  func(*testing.T) kmsg.Request
		want *kerr.Error
	}{
		{"0.dat", func(t *testing.T) kmsg.Request { return storing(t, "orders", "x") }, kerr.KafkaStorageError},
		{"0.idx", func(t *testing.T) kmsg.Request { return storing(t, "orders", "x") }, kerr.KafkaStorageError},
		{"groups.log", func(*testing.T) kmsg.Request { return committingAt(6) }, kerr.KafkaStorageError},
		{"pids.log", func(*testing.T) kmsg.Request { return initialising(kmsg.StringPtr("txn")) }, kerr.NotCoordinator},
		{"data", func(*testing.T) kmsg.Request { return creating(topicOf("more", 1)) }, kerr.KafkaStorageError},
	} {
		t.Run(c.file, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			n := serve(t, Config{DataDir: dir, SyncWrites: true, Seed: []Topic{{"orders", 1}}})
			var d disk
			n.cluster.syncs.file = d.sync
			d.fail(c.file)
			for range 3 { // it fails as long as the disk does
				if got := code(t, n.cluster, c.req(t)); got != c.want.Code {
					t.Errorf("error %d, want %v", got, c.want)
				}
			}
			d.heal()
			await(t, func() bool { return code(t, n.cluster, committingAt(777)) == 0 })
			if got := code(t, n.cluster, c.req(t)); got == c.want.Code {
				t.Errorf("refused for ever: error %d", got)
			}
			if got := committedIn(t, dir); got != 777 && c.file != "groups.log" {
				t.Errorf("after a kill the group is at %d, want 777", got)
			}
		})
	}
}

// The file is written anew of which a part was not synced, because the kernel
// does not write that part again.
func TestWhatWasNotSyncedIsWrittenAgain(t *testing.T) {
	dir := t.TempDir()
	s := newSyncs(dir)
	path := filepath.Join(dir, "groups.log")
	if err := os.WriteFile(path, []byte("entry"), 0o644); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	s.suspect(path)
	s.suspect(filepath.Join(dir, "gone"))
	s.file = func(*os.File) error { return syscall.EIO }
	if err := s.rewriteSuspects(); !errors.Is(err, syscall.EIO) || len(s.suspects) == 0 {
		t.Errorf("written again on a disk that fails: %v", err)
	}
	s.file = (*os.File).Sync
	if err := s.rewriteSuspects(); err != nil {
		t.Fatal(err)
	}
	after, err := os.Stat(path)
	if err != nil || os.SameFile(before, after) || len(s.suspects) != 0 {
		t.Errorf("it is the old file, or suspect: %v", err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "entry" {
		t.Errorf("%q, %v", got, err)
	}
}

// The end of a transaction is synced in every partition that it wrote to, and the
// segment is that was begun while it was written.
func TestAllThatARequestWritesIsSynced(t *testing.T) {
	dir := t.TempDir()
	c := open(t, Config{DataDir: dir, SyncWrites: true, Seed: []Topic{{"orders", 1}, {"bills", 1}}})
	var d disk
	c.syncs.file = d.sync
	_, resp := ask(t, c, initialising(kmsg.StringPtr("txn")))
	id := resp.(*kmsg.InitProducerIDResponse)
	for _, topic := range []string{"orders", "bills"} {
		add := kmsg.NewPtrAddPartitionsToTxnRequest()
		add.Version, add.TransactionalID, add.ProducerID, add.ProducerEpoch = 3, "txn", id.ProducerID, id.ProducerEpoch
		in := kmsg.NewAddPartitionsToTxnRequestTopic()
		in.Topic, in.Partitions = topic, []int32{0}
		add.Topics = append(add.Topics, in)
		if got := code(t, c, add); got != 0 {
			t.Fatalf("add: error %d", got)
		}
		p := storing(t, topic, "x")
		p.TransactionID = kmsg.StringPtr("txn")
		p.Topics[0].Partitions[0].Records = inTransaction(id.ProducerID, id.ProducerEpoch)
		if got := code(t, c, p); got != 0 {
			t.Fatalf("produce: error %d", got)
		}
	}
	before := d.count("0.dat")
	end := kmsg.NewPtrEndTxnRequest()
	end.Version, end.TransactionalID, end.ProducerID, end.ProducerEpoch, end.Commit = 3, "txn", id.ProducerID, id.ProducerEpoch, true
	if got := code(t, c, end); got != 0 {
		t.Fatalf("end: error %d", got)
	}
	if got := d.count("0.dat") - before; got != 2 {
		t.Errorf("the end of a transaction synced %d segments, want 2", got)
	}
	if open := c.syncs.writtenBy("txn"); len(open) != 0 {
		t.Errorf("the transaction is open in %v", open)
	}
	// One that was not seen to write anything is synced everywhere.
	if dirs := c.syncs.writtenBy("another"); len(dirs) != 2 {
		t.Errorf("%d partitions", len(dirs))
	}
}

// From version 13 on Produce names topics by their ids alone.
func TestARecordOfATopicThatIsNamedByItsIDIsSynced(t *testing.T) {
	c := open(t, Config{DataDir: t.TempDir(), SyncWrites: true, Seed: []Topic{{"orders", 1}}})
	var d disk
	c.syncs.file = d.sync
	req := storing(t, "", "x")
	req.Version, req.Topics[0].TopicID = produceNamesIDs, c.topicInfo("orders").TopicID
	if got := code(t, c, req); got != 0 || d.count("0.dat") == 0 {
		t.Errorf("error %d, synced %d times", got, d.count("0.dat"))
	}
	d.fail("0.dat")
	if got := code(t, c, req); got != kerr.KafkaStorageError.Code {
		t.Errorf("error %d, want %v", got, kerr.KafkaStorageError)
	}
	d.heal()
	await(t, func() bool { return code(t, c, req) == 0 })
}

// Who names another's transactional id does not keep its transaction from being
// ended, synced and gone on with: not with partitions that there can't be, and not
// with an epoch that nobody has.
func TestAStrangerDoesNotSpoilATransaction(t *testing.T) {
	c := open(t, Config{DataDir: t.TempDir(), SyncWrites: true, Seed: []Topic{{"orders", 1}}})
	var d disk
	c.syncs.file = d.sync
	_, resp := ask(t, c, initialising(kmsg.StringPtr("txn")))
	id := resp.(*kmsg.InitProducerIDResponse)
	add := func(producer int64, topic string, partitions ...int32) *kmsg.AddPartitionsToTxnRequest {
		req := kmsg.NewPtrAddPartitionsToTxnRequest()
		req.Version, req.TransactionalID, req.ProducerID, req.ProducerEpoch = 3, "txn", producer, id.ProducerEpoch
		in := kmsg.NewAddPartitionsToTxnRequestTopic()
		in.Topic, in.Partitions = topic, partitions
		req.Topics = append(req.Topics, in)
		return req
	}
	end := func(epoch int16) *kmsg.EndTxnRequest {
		req := kmsg.NewPtrEndTxnRequest()
		req.Version, req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = 3, "txn", id.ProducerID, epoch, true
		return req
	}
	if got := code(t, c, add(id.ProducerID, "orders", 0)); got != 0 {
		t.Fatalf("add: error %d", got)
	}
	p := storing(t, "orders", "x")
	p.TransactionID = kmsg.StringPtr("txn")
	p.Topics[0].Partitions[0].Records = inTransaction(id.ProducerID, id.ProducerEpoch)
	if got := code(t, c, p); got != 0 {
		t.Fatalf("produce: error %d", got)
	}
	for _, strange := range []kmsg.Request{
		add(12345, strings.Repeat("x", 300), 0), add(12345, "orders", -1, 1<<30), end(id.ProducerEpoch + 5), end(id.ProducerEpoch - 1),
	} {
		if got := code(t, c, strange); got == 0 {
			t.Errorf("%+v: no error", strange)
		}
	}
	if n := c.txnLog().open[id.ProducerID]; n == nil || n.Epoch != id.ProducerEpoch || len(n.Partitions) != 1 {
		t.Errorf("what is noted of the transaction: %+v", n)
	}
	before := d.count("0.dat")
	if got := code(t, c, end(id.ProducerEpoch)); got != 0 {
		t.Fatalf("end: error %d", got)
	}
	if got := d.count("0.dat") - before; got != 1 {
		t.Errorf("the end of the transaction synced %d segments, want 1", got)
	}
}

// A transaction of which more partitions are named than are remembered is synced
// everywhere.
func TestTheRememberedPartitionsAreBounded(t *testing.T) {
	s := newSyncs(t.TempDir())
	s.ended("txn")
	many := make([]int32, transactionPartitionsMax+1)
	for i := range many {
		many[i] = int32(i)
	}
	s.wrote("txn", s.partitions("orders", many))
	if _, remembered := s.transactions["txn"]; remembered {
		t.Error("more partitions are remembered than may be")
	}
}
