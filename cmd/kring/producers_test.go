package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// broker is a `kring serve` that is killed and started again over one data
// directory, at another address each time, which its clients do not notice.
type broker struct {
	t    *testing.T
	args []string
	now  atomic.Pointer[child]
}

func newBroker(t *testing.T, args ...string) *broker {
	b := &broker{t: t, args: append([]string{"--engine", "portable", "--data-dir", t.TempDir()}, args...)}
	b.now.Store(serve(t, b.args...))
	return b
}

// kill ends the process by kill -9 and starts the next.
func (b *broker) kill() {
	b.t.Helper()
	b.now.Load().signal(syscall.SIGKILL)
	b.now.Load().exit()
	b.now.Store(serve(b.t, b.args...))
}

func (b *broker) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, network, b.now.Load().addr)
}

func (b *broker) client(opts ...kgo.Opt) *kgo.Client {
	b.t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers("127.0.0.1:9"), kgo.Dialer(b.dial), kgo.AllowAutoTopicCreation(),
		kgo.MetadataMinAge(10 * time.Millisecond), kgo.RetryBackoffFn(func(int) time.Duration { return 10 * time.Millisecond }),
	}, opts...)...)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(c.Close)
	return c
}

// values counts the records of a topic by value.
func (b *broker) values(topic string, opts ...kgo.Opt) map[string]int {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), deadline)
	defer cancel()
	c := b.client(append([]kgo.Opt{kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(100 * time.Millisecond),
		kgo.KeepControlRecords()}, opts...)...)
	got := make(map[string]int)
	readAll(ctx, b.t, c, topic, func(r *kgo.Record) {
		if !r.Attrs.IsControl() {
			got[string(r.Value)]++
		}
	})
	return got
}

// readAll gives each record of a topic, up to the ends that it has now, of a client
// that consumes it.
func readAll(ctx context.Context, t *testing.T, c *kgo.Client, topic string, each func(*kgo.Record)) {
	t.Helper()
	ends, err := kadm.NewClient(c).ListEndOffsets(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	left := make(map[int32]int64)
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	for len(left) > 0 {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("reading back: %v (%v left)", err, left)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			each(r)
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
		})
	}
}

// An idempotent producer's record is there once, however often the broker was
// killed while its acknowledgement was on its way.
func TestAnIdempotentProducersRecordIsThereOnceAfterKills(t *testing.T) {
	b := newBroker(t, "--partitions", "3")
	ctx, cancel := context.WithTimeout(t.Context(), 4*deadline)
	defer cancel()
	const kills, producers = 5, 3
	var acknowledged atomic.Int64
	enough := make(chan struct{}, 1) // every 2,000 acknowledgements
	stop := make(chan struct{})
	sent := make([]int, producers)
	var work sync.WaitGroup
	for p := range producers {
		c := b.client(kgo.DefaultProduceTopic("once"), kgo.ProducerLinger(0), kgo.MaxBufferedRecords(500), kgo.ProducerBatchMaxBytes(4<<10),
			kgo.RecordPartitioner(kgo.RoundRobinPartitioner()), kgo.ProduceRequestTimeout(time.Second), kgo.RequestTimeoutOverhead(time.Second))
		if err := c.ProduceSync(ctx, kgo.StringRecord("first")).FirstErr(); err != nil {
			t.Fatal(err) // it has its id before the first kill
		}
		work.Go(func() {
			for {
				select {
				case <-stop:
					if err := c.Flush(ctx); err != nil {
						t.Error(err)
					}
					return
				default:
				}
				c.Produce(ctx, kgo.StringRecord(fmt.Sprintf("producer %d record %d", p, sent[p])), func(_ *kgo.Record, err error) {
					if err != nil {
						t.Error(err)
					}
					if acknowledged.Add(1)%2000 == 0 {
						select {
						case enough <- struct{}{}:
						default: // the broker is being killed
						}
					}
				})
				sent[p]++
			}
		})
	}
	for range kills {
		select {
		case <-enough:
		case <-ctx.Done():
			t.Fatalf("%d records acknowledged", acknowledged.Load())
		}
		b.kill()
	}
	close(stop)
	work.Wait()
	got := b.values("once")
	lost, twice, total := 0, 0, 0
	for p, n := range sent {
		total += n
		for i := range n {
			switch got[fmt.Sprintf("producer %d record %d", p, i)] {
			case 0:
				lost++
			case 1:
			default:
				twice++
			}
		}
	}
	t.Logf("%d kills, %d records acknowledged", kills, total)
	if lost > 0 || twice > 0 {
		t.Errorf("of %d acknowledged records %d are lost and %d there more than once", total, lost, twice)
	}
}

// wire is a connection that speaks single requests.
type wire struct {
	t    *testing.T
	conn net.Conn
}

func (b *broker) wire() *wire {
	b.t.Helper()
	conn, err := b.dial(b.t.Context(), "tcp", "")
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(deadline))
	return &wire{b.t, conn}
}

func (w *wire) ask(req kmsg.Request) kmsg.Response {
	w.t.Helper()
	if _, err := w.conn.Write(kmsg.NewRequestFormatter().AppendRequest(nil, req, 7)); err != nil {
		w.t.Fatal(err)
	}
	var head [8]byte
	if _, err := io.ReadFull(w.conn, head[:]); err != nil {
		w.t.Fatalf("%T: %v", req, err)
	}
	body := make([]byte, binary.BigEndian.Uint32(head[:])-4)
	if _, err := io.ReadFull(w.conn, body); err != nil {
		w.t.Fatal(err)
	}
	resp := req.ResponseKind()
	if resp.IsFlexible() {
		body = body[1:]
	}
	if err := resp.ReadFrom(body); err != nil {
		w.t.Fatalf("%T: %v", resp, err)
	}
	return resp
}

// batch is one record of a producer.
func batch(id int64, epoch int16, sequence int32, txn bool, value string) []byte {
	record := kmsg.Record{Value: []byte(value)}
	record.Length = int32(len(record.AppendTo(nil)) - 1)
	r := kmsg.RecordBatch{PartitionLeaderEpoch: -1, Magic: 2, ProducerID: id, ProducerEpoch: epoch, FirstSequence: sequence, NumRecords: 1,
		FirstTimestamp: time.Now().UnixMilli(), MaxTimestamp: time.Now().UnixMilli(), Records: record.AppendTo(nil)}
	if txn {
		r.Attributes = 0x10
	}
	r.Length = int32(len(r.AppendTo(nil)) - 12)
	r.CRC = int32(crc32.Checksum(r.AppendTo(nil)[21:], crc32.MakeTable(crc32.Castagnoli)))
	return r.AppendTo(nil)
}

// produce gives the offset and the error code.
func (w *wire) produce(topic, txn string, records []byte) (int64, int16) {
	w.t.Helper()
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = 9, -1, 5000
	if txn != "" {
		req.TransactionID = &txn
	}
	rt := kmsg.NewProduceRequestTopic()
	rt.Topic = topic
	rp := kmsg.NewProduceRequestTopicPartition()
	rp.Records = records
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	p := w.ask(req).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
	return p.BaseOffset, p.ErrorCode
}

func (w *wire) producer(txn string) (int64, int16) {
	w.t.Helper()
	req := kmsg.NewPtrInitProducerIDRequest()
	req.Version, req.TransactionTimeoutMillis, req.ProducerID, req.ProducerEpoch = 4, 600_000, -1, -1
	if txn != "" {
		req.TransactionalID = &txn
	}
	resp := w.ask(req).(*kmsg.InitProducerIDResponse)
	if resp.ErrorCode != 0 {
		w.t.Fatal(kerr.ErrorForCode(resp.ErrorCode))
	}
	return resp.ProducerID, resp.ProducerEpoch
}

// The last five batches are known again after a kill, the next sequence is
// taken, and others are not.
func TestSequencesAreKnownAfterAKill(t *testing.T) {
	b := newBroker(t, "--seed-topic", "raw:1")
	w := b.wire()
	id, epoch := w.producer("")
	const foreign = 4711 // a producer whose id is not from here
	for i := range int32(8) {
		for j, p := range []int64{id, foreign} {
			if at, code := w.produce("raw", "", batch(p, epoch, i, false, "value")); code != 0 || at != int64(2*int(i)+j) {
				t.Fatalf("batch %d of %d is at %d: %v", i, p, at, kerr.ErrorForCode(code))
			}
		}
	}
	for round := range 3 {
		b.kill()
		w = b.wire()
		for j, p := range []int64{id, foreign} {
			for i := int32(3); i < 8; i++ {
				if at, code := w.produce("raw", "", batch(p, epoch, i, false, "value")); code != 0 || at != int64(2*int(i)+j) {
					t.Errorf("round %d: batch %d of %d again is at %d: %v, want where it was", round, i, p, at, kerr.ErrorForCode(code))
				}
			}
			if _, code := w.produce("raw", "", batch(p, epoch, 9, false, "gap")); code != kerr.OutOfOrderSequenceNumber.Code {
				t.Errorf("round %d: a gap: %v", round, kerr.ErrorForCode(code))
			}
		}
	}
	if at, code := w.produce("raw", "", batch(id, epoch, 8, false, "next")); code != 0 || at != 16 {
		t.Errorf("the next batch is at %d: %v", at, kerr.ErrorForCode(code))
	}
	if got := b.values("raw"); got["value"] != 16 || got["next"] != 1 || len(got) != 2 {
		t.Errorf("records %v", got)
	}
}

// A transaction goes on after a kill, and is committed whole.
func TestAnOpenTransactionGoesOnAfterAKill(t *testing.T) {
	b := newBroker(t, "--seed-topic", "txn:1")
	c := b.client(kgo.TransactionalID("goes-on"), kgo.TransactionTimeout(10*time.Minute), kgo.DefaultProduceTopic("txn")) // however long kills take
	produce := func(value string) {
		t.Helper()
		if err := c.ProduceSync(t.Context(), kgo.StringRecord(value)).FirstErr(); err != nil {
			t.Fatalf("%s: %v", value, err)
		}
	}
	for round, end := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryCommit} {
		if err := c.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			produce(fmt.Sprintf("%d-%d", round, i))
			b.kill()
		}
		produce(fmt.Sprintf("%d-3", round))
		if err := c.EndTransaction(t.Context(), end); err != nil {
			t.Fatal(err)
		}
		b.kill()
	}
	got := b.values("txn", kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if len(got) != 8 {
		t.Errorf("committed records %v, want those of rounds 0 and 2", got)
	}
	for _, round := range []int{0, 2} {
		for i := range 4 {
			if got[fmt.Sprintf("%d-%d", round, i)] != 1 {
				t.Errorf("committed records %v, want those of rounds 0 and 2", got)
			}
		}
	}
}

// Whoever takes the transactional id after a kill aborts what was open, and
// what he commits then is read.
func TestTakingTheTransactionalIDAfterAKillAborts(t *testing.T) {
	b := newBroker(t, "--seed-topic", "txn:1")
	w := b.wire()
	id, epoch := w.producer("taken")
	w.addPartition("taken", id, epoch, "txn")
	if _, code := w.produce("txn", "taken", batch(id, epoch, 0, true, "aborted")); code != 0 {
		t.Fatal(kerr.ErrorForCode(code))
	}
	b.kill()
	w = b.wire()
	again, next := w.producer("taken")
	if again != id || next <= epoch {
		t.Errorf("producer %d epoch %d after %d epoch %d, want the epoch raised", again, next, id, epoch)
	}
	if _, code := w.produce("txn", "taken", batch(id, epoch, 1, true, "late")); code != kerr.InvalidProducerEpoch.Code && code != kerr.InvalidTxnState.Code {
		t.Errorf("the old owner: %v, want it fenced", kerr.ErrorForCode(code))
	}
	w.addPartition("taken", id, next, "txn")
	if _, code := w.produce("txn", "taken", batch(id, next, 0, true, "committed")); code != 0 {
		t.Fatal(kerr.ErrorForCode(code))
	}
	if code := w.endTxn("taken", id, next, true); code != 0 {
		t.Fatal(kerr.ErrorForCode(code))
	}
	b.kill()
	if got := b.values("txn", kgo.FetchIsolationLevel(kgo.ReadCommitted())); len(got) != 1 || got["committed"] != 1 {
		t.Errorf("committed records %v", got)
	}
}

func (w *wire) addPartition(txn string, id int64, epoch int16, topic string) {
	w.t.Helper()
	req := kmsg.NewPtrAddPartitionsToTxnRequest()
	req.Version, req.TransactionalID, req.ProducerID, req.ProducerEpoch = 3, txn, id, epoch
	rt := kmsg.NewAddPartitionsToTxnRequestTopic()
	rt.Topic, rt.Partitions = topic, []int32{0}
	req.Topics = append(req.Topics, rt)
	if code := w.ask(req).(*kmsg.AddPartitionsToTxnResponse).Topics[0].Partitions[0].ErrorCode; code != 0 {
		w.t.Fatal(kerr.ErrorForCode(code))
	}
}

func (w *wire) endTxn(txn string, id int64, epoch int16, commit bool) int16 {
	w.t.Helper()
	req := kmsg.NewPtrEndTxnRequest()
	req.Version, req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = 3, txn, id, epoch, commit
	return w.ask(req).(*kmsg.EndTxnResponse).ErrorCode
}

// Whoever asks for the end of a transaction again after a kill, because the
// answer was lost, is told that it was done.
func TestTheEndOfATransactionIsToldAgainAfterAKill(t *testing.T) {
	b := newBroker(t, "--seed-topic", "txn:1")
	for _, version := range []int16{3, 5} {
		for _, commit := range []bool{true, false} {
			txn := fmt.Sprintf("v%d %v", version, commit)
			w := b.wire()
			id, epoch := w.producer(txn)
			w.addPartition(txn, id, epoch, "txn")
			if _, code := w.produce("txn", txn, batch(id, epoch, 0, true, txn)); code != 0 {
				t.Fatal(kerr.ErrorForCode(code))
			}
			req := kmsg.NewPtrEndTxnRequest()
			req.Version, req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = version, txn, id, epoch, commit
			first := w.ask(req).(*kmsg.EndTxnResponse)
			b.kill()
			again := b.wire().ask(req).(*kmsg.EndTxnResponse)
			if first.ErrorCode != 0 || again.ErrorCode != 0 || version >= 5 && (again.ProducerID != first.ProducerID || again.ProducerEpoch != first.ProducerEpoch) {
				t.Errorf("%s: %+v, again %+v", txn, first, again)
			}
			req.Commit = !commit
			if other := b.wire().ask(req).(*kmsg.EndTxnResponse); other.ErrorCode != kerr.InvalidTxnState.Code {
				t.Errorf("%s: the other end: %v", txn, kerr.ErrorForCode(other.ErrorCode))
			}
		}
	}
}

// What a transaction has on the broker besides records outlives a kill as well:
// partitions that were added, and offsets that are to be committed with it.
func TestATransactionsPartitionsAndOffsetsOutliveAKill(t *testing.T) {
	b := newBroker(t, "--seed-topic", "txn:1", "--seed-topic", "source:1")
	const txn, group = "copier", "copiers"
	w := b.wire()
	id, epoch := w.producer(txn)
	w.addPartition(txn, id, epoch, "txn")
	add := kmsg.NewPtrAddOffsetsToTxnRequest()
	add.Version, add.TransactionalID, add.ProducerID, add.ProducerEpoch, add.Group = 3, txn, id, epoch, group
	if code := w.ask(add).(*kmsg.AddOffsetsToTxnResponse).ErrorCode; code != 0 {
		t.Fatal(kerr.ErrorForCode(code))
	}
	commit := kmsg.NewPtrTxnOffsetCommitRequest()
	commit.Version, commit.TransactionalID, commit.Group, commit.ProducerID, commit.ProducerEpoch, commit.Generation = 3, txn, group, id, epoch, -1
	ct := kmsg.NewTxnOffsetCommitRequestTopic()
	ct.Topic = "source"
	cp := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	cp.Offset = 42
	ct.Partitions = append(ct.Partitions, cp)
	commit.Topics = append(commit.Topics, ct)
	if code := w.ask(commit).(*kmsg.TxnOffsetCommitResponse).Topics[0].Partitions[0].ErrorCode; code != 0 {
		t.Fatal(kerr.ErrorForCode(code))
	}
	for range 2 {
		b.kill()
	}
	w = b.wire()
	if _, code := w.produce("txn", txn, batch(id, epoch, 0, true, "copied")); code != 0 {
		t.Fatalf("into a partition that was added before: %v", kerr.ErrorForCode(code))
	}
	if code := w.endTxn(txn, id, epoch, true); code != 0 {
		t.Fatal(kerr.ErrorForCode(code))
	}
	b.kill()
	offsets, err := kadm.NewClient(b.client()).FetchOffsets(t.Context(), group)
	if err != nil {
		t.Fatal(err)
	}
	if o, ok := offsets.Lookup("source", 0); !ok || o.At != 42 {
		t.Errorf("committed offset %+v, want 42", o)
	}
	if got := b.values("txn", kgo.FetchIsolationLevel(kgo.ReadCommitted())); got["copied"] != 1 {
		t.Errorf("committed records %v", got)
	}
}
