package embedded

import (
	"context"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/reqchan"
)

// code asks once and returns the first error of the answer; 0: it was served.
func code(t *testing.T, c *Cluster, req kmsg.Request) int16 {
	t.Helper()
	r := answered(t, c, req)
	if kind, _, _ := r.Answer(); kind != reqchan.AnswerSend {
		t.Fatalf("%T: answered with %v", req, kind)
	}
	return r.ErrorCode()
}

func committingAt(offset int64) *kmsg.OffsetCommitRequest {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Version, req.Group, req.Generation = 8, "readers", -1
	topic := kmsg.NewOffsetCommitRequestTopic()
	topic.Topic = "orders"
	p := kmsg.NewOffsetCommitRequestTopicPartition()
	p.Offset = offset
	topic.Partitions = append(topic.Partitions, p)
	req.Topics = append(req.Topics, topic)
	return req
}

func storing(t *testing.T, topic string, value string) *kmsg.ProduceRequest {
	t.Helper()
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks = 9, -1
	in := kmsg.NewProduceRequestTopic()
	in.Topic = topic
	p := kmsg.NewProduceRequestTopicPartition()
	p.Records = oneRecord(value)
	in.Partitions = append(in.Partitions, p)
	req.Topics = append(req.Topics, in)
	return req
}

// committedIn is where a group stands in a copy of a data directory, which is
// what a killed process leaves.
func committedIn(t *testing.T, dir string) int64 {
	t.Helper()
	n := serve(t, Config{DataDir: killed(t, dir)})
	offsets, err := kadm.NewClient(n.client()).FetchOffsets(t.Context(), "readers")
	if err != nil {
		t.Fatal(err)
	}
	o, ok := offsets.Lookup("orders", 0)
	if !ok {
		return -1
	}
	return o.At
}

func killed(t *testing.T, dir string) string {
	t.Helper()
	left := filepath.Join(t.TempDir(), "left")
	if err := os.CopyFS(left, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return left
}

func TestAFullDiskRefusesACommitInsteadOfForgettingIt(t *testing.T) {
	dir := t.TempDir()
	c := open(t, Config{DataDir: dir, Seed: []Topic{{"orders", 1}}})
	var free atomic.Int64
	free.Store(math.MaxInt64 / 2)
	c.store.space = func(string) (space, error) { return space{free: free.Load(), total: 1 << 40}, nil }

	if got := code(t, c, committingAt(5)); got != 0 {
		t.Fatalf("commit with room: error %d", got)
	}
	free.Store(reserveBytesMax / 2)
	for _, refused := range []struct {
		req  kmsg.Request
		want *kerr.Error
	}{
		{committingAt(6), kerr.KafkaStorageError},
		{storing(t, "orders", "x"), kerr.KafkaStorageError},
		{creating(topicOf("more", 1)), kerr.KafkaStorageError},
		{joining(), kerr.NotCoordinator},
		{initialising(nil), kerr.CoordinatorLoadInProgress},
		{initialising(kmsg.StringPtr("txn")), kerr.NotCoordinator},
	} {
		if got := code(t, c, refused.req); got != refused.want.Code {
			t.Errorf("%T on a full disk: error %d, want %v", refused.req, got, refused.want)
		}
	}
	if c.kfake.TopicInfo("more") != nil {
		t.Error("a topic was made that was refused")
	}
	if _, resp := ask(t, c, metadataOf("on-demand")); topicError(resp) != kerr.KafkaStorageError.Code {
		t.Errorf("a topic on demand on a full disk: error %d", topicError(resp))
	}
	if got := code(t, c, deleting("orders-not-there")); got != kerr.UnknownTopicOrPartition.Code {
		t.Errorf("a deletion, which frees space, was not served: error %d", got)
	}
	free.Store(math.MaxInt64 / 2)
	if got := code(t, c, committingAt(777)); got != 0 {
		t.Errorf("commit with room again: error %d", got)
	}
	if got := committedIn(t, dir); got != 777 {
		t.Errorf("after a kill the group is at %d, want 777", got)
	}
}

func joining() *kmsg.JoinGroupRequest {
	req := kmsg.NewPtrJoinGroupRequest()
	req.Version, req.Group, req.ProtocolType = 3, "joiners", "consumer"
	req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = 10_000, 10_000
	p := kmsg.NewJoinGroupRequestProtocol()
	p.Name = "range"
	req.Protocols = append(req.Protocols, p)
	return req
}

func initialising(id *string) *kmsg.InitProducerIDRequest {
	req := kmsg.NewPtrInitProducerIDRequest()
	req.Version, req.TransactionalID, req.TransactionTimeoutMillis = 4, id, 60_000
	return req
}

func deleting(topic string) *kmsg.DeleteTopicsRequest {
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.Version, req.TopicNames = 4, []string{topic}
	return req
}

func metadataOf(topics ...string) *kmsg.MetadataRequest {
	req := kmsg.NewPtrMetadataRequest()
	req.Version, req.AllowAutoTopicCreation = 9, true
	for _, name := range topics {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(name)
		req.Topics = append(req.Topics, t)
	}
	return req
}

func topicError(resp kmsg.Response) int16 { return resp.(*kmsg.MetadataResponse).Topics[0].ErrorCode }

// A directory stands where kfake wants to write a file, or a file where it wants
// a directory: that fails for every user, on every file system.
func TestWhatFailsToBeWrittenIsNotAcknowledged(t *testing.T) {
	for _, c := range []struct {
		obstacle string
		isFile   bool
		req      func(*testing.T) kmsg.Request
		want     *kerr.Error
	}{
		{"groups.log", false, func(*testing.T) kmsg.Request { return committingAt(6) }, kerr.KafkaStorageError},
		{"pids.log", false, func(*testing.T) kmsg.Request { return initialising(kmsg.StringPtr("txn")) }, kerr.NotCoordinator},
		{"topics.json.tmp", false, func(*testing.T) kmsg.Request { return creating(topicOf("more", 1)) }, kerr.KafkaStorageError},
		{"topics.json.tmp", false, func(*testing.T) kmsg.Request { return deleting("orders") }, kerr.KafkaStorageError},
		{"sasl.json.tmp", false, func(*testing.T) kmsg.Request { return addingUser() }, kerr.KafkaStorageError},
		{"partitions/orders-0", true, func(t *testing.T) kmsg.Request { return storing(t, "orders", "x") }, kerr.KafkaStorageError},
		{"partitions/orders-0/0.idx", false, func(t *testing.T) kmsg.Request { return storing(t, "orders", "x") }, kerr.KafkaStorageError},
	} {
		t.Run(c.obstacle, func(t *testing.T) {
			dir := t.TempDir()
			n := serve(t, Config{DataDir: dir, Seed: []Topic{{"orders", 1}}})
			takeAway := put(t, filepath.Join(dir, c.obstacle), c.isFile)
			if got := code(t, n.cluster, c.req(t)); got != c.want.Code {
				t.Errorf("error %d, want %v", got, c.want)
			}
			takeAway()
			// It is written when the obstacle is gone, and nobody has to ask for that.
			await(t, func() bool { return code(t, n.cluster, committingAt(777)) == 0 })
			if got := committedIn(t, dir); got != 777 {
				t.Errorf("after a kill the group is at %d, want 777", got)
			}
			if got := code(t, n.cluster, c.req(t)); got == c.want.Code {
				t.Errorf("refused for ever: error %d", got)
			}
		})
	}
}

// put makes a directory with something in it, or a file, in place of what is
// there, until takeAway.
func put(t *testing.T, at string, file bool) (takeAway func()) {
	t.Helper()
	before := filepath.Join(t.TempDir(), "before")
	moved := os.Rename(at, before)
	if moved != nil && !errors.Is(moved, fs.ErrNotExist) {
		t.Fatal(moved)
	}
	inside := filepath.Join(at, "inside")
	if file {
		inside = at
	}
	if err := errors.Join(os.MkdirAll(filepath.Dir(inside), 0o755), os.WriteFile(inside, nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := os.RemoveAll(at); err != nil {
			t.Fatal(err)
		}
		if moved == nil {
			if err := os.Rename(before, at); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func await(t *testing.T, holds func() bool) {
	t.Helper()
	late := time.After(deadline)
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for !holds() {
		select {
		case <-look.C:
		case <-late:
			t.Fatal("it never came to hold")
		}
	}
}

func addingUser() *kmsg.AlterUserSCRAMCredentialsRequest {
	req, user := kmsg.NewPtrAlterUserSCRAMCredentialsRequest(), kmsg.NewAlterUserSCRAMCredentialsRequestUpsertion()
	user.Name, user.Mechanism, user.Iterations = "somebody", 1, 4096
	user.Salt, user.SaltedPassword = []byte("salt"), make([]byte, 32)
	req.Upsertions = append(req.Upsertions, user)
	return req
}

// A producer's retry of a batch that was refused is stored: kfake took the batch
// for stored when it could not store it.
func TestARefusedBatchIsStoredWhenItComesAgain(t *testing.T) {
	dir := t.TempDir()
	n := serve(t, Config{DataDir: dir, Seed: []Topic{{"orders", 1}}})
	takeAway := put(t, filepath.Join(dir, "partitions", "orders-0"), true)
	produced := make(chan error, 1)
	c := n.client(kgo.RetryBackoffFn(func(int) time.Duration { return 10 * time.Millisecond }), kgo.RecordRetries(math.MaxInt))
	c.Produce(t.Context(), &kgo.Record{Topic: "orders", Value: []byte("record 0")}, func(_ *kgo.Record, err error) { produced <- err })
	await(t, func() bool { return n.cluster.store.failures.Load() > 0 })
	takeAway()
	if err := <-produced; err != nil {
		t.Fatal(err)
	}
	serve(t, Config{DataDir: killed(t, dir)}).consume("orders", 0, 1)
}

// Consumers that wait while the directory is loaded anew go on.
func TestAConsumerOutlivesTheReopening(t *testing.T) {
	dir := t.TempDir()
	n := serve(t, Config{DataDir: dir, Seed: []Topic{{"orders", 1}, {"others", 1}}})
	n.produce("orders", 0, 10)
	c := n.consume("orders", 0, 10, kgo.ConsumerGroup("waiting"))
	takeAway := put(t, filepath.Join(dir, "partitions", "others-0"), true)
	if got := code(t, n.cluster, storing(t, "others", "x")); got != kerr.KafkaStorageError.Code {
		t.Fatalf("error %d", got)
	}
	takeAway()
	await(t, func() bool { return code(t, n.cluster, storing(t, "orders", "record 10")) == 0 })
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	f := c.PollFetches(ctx)
	for rejoins := (*kgo.ErrGroupSession)(nil); f.NumRecords() == 0 && errors.As(f.Err(), &rejoins); {
		f = c.PollFetches(ctx) // it had a heartbeat meanwhile, and joins again
	}
	if f.NumRecords() != 1 || string(f.Records()[0].Value) != "record 10" {
		t.Errorf("got %d records, %v", f.NumRecords(), f.Err())
	}
}

// A store that could not write is not saved at the end either: what is on disk
// is what was acknowledged.
func TestAStoreThatFailedSaysSoAtTheEnd(t *testing.T) {
	dir := t.TempDir()
	c, err := Open(Config{DataDir: dir, Seed: []Topic{{"orders", 1}}})
	if err != nil {
		t.Fatal(err)
	}
	c.Advertise("localhost", 9092)
	if got := code(t, c, committingAt(5)); got != 0 {
		t.Fatalf("error %d", got)
	}
	c.store.space = func(string) (space, error) { return space{}, fs.ErrInvalid } // it can't be opened again
	c.store.fail(errors.New("persist batch orders-0: no space left on device"))
	if err := c.Close(); err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("close: %v", err)
	}
	if got := committedIn(t, dir); got != 5 {
		t.Errorf("after the end the group is at %d, want 5", got)
	}
}

// What fails while the directory is loaded anew is not forgotten when it was.
func TestAFailureDuringAReopeningNeedsAnother(t *testing.T) {
	s := newStore(Config{DataDir: "somewhere"}.withDefaults())
	s.space = func(string) (space, error) { return space{free: 1 << 40, total: 1 << 40}, nil }
	w, err := s.begin(0, false)
	if err != nil {
		t.Fatal(err)
	}
	s.fail(errors.New("the first"))
	before := s.failures.Load()
	s.fail(errors.New("while it is loaded"))
	if s.opened(before) || s.failure() == nil || !s.down.Load() {
		t.Error("the second failure is forgotten")
	}
	if _, err := s.begin(0, false); err == nil {
		t.Error("a request is let in")
	}
	if !s.opened(s.failures.Load()) || s.failure() != nil || s.down.Load() {
		t.Error("loaded anew without a failure, and not open")
	}
	if w.kept() == nil {
		t.Error("a request during which a write failed counts as kept")
	}
	w.end()
	if n := s.pending.Load(); n != 0 {
		t.Errorf("%d bytes pending", n)
	}
}

func TestTheReserveIsASixteenthOfASmallDisk(t *testing.T) {
	s := newStore(Config{DataDir: "somewhere"}.withDefaults())
	for _, c := range []struct {
		at    space
		wants bool
	}{
		{space{free: 65 << 20, total: 1 << 40}, true},
		{space{free: 63 << 20, total: 1 << 40}, false},
		{space{free: 3 << 20, total: 32 << 20}, true},
		{space{free: 1 << 20, total: 32 << 20}, false},
		{space{free: 1 << 40, total: 1 << 40, inodes: 10, inodesTotal: 1 << 20}, false},
		{space{free: 1 << 40, total: 1 << 40, inodes: 100, inodesTotal: 1 << 20}, true},
	} {
		s.space = func(string) (space, error) { return c.at, nil }
		err := s.admit(0)
		if (err == nil) != c.wants {
			t.Errorf("%+v: %v", c.at, err)
		}
		if err == nil {
			s.release(0)
		}
	}
	if at := s.pending.Load(); at != 0 {
		t.Errorf("%d bytes pending", at)
	}
}
