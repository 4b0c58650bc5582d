package embedded

import (
	"encoding/json"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// roomInTests is for some seventy producers.
const roomInTests = 64 << 10

// stepClock has the cluster's producers go by a clock of the test's.
func (n *node) stepClock() (step func(time.Duration)) {
	r := &n.cluster.producers
	now := time.Now()
	locked := func(f func()) {
		r.forgetting.Lock()
		defer r.forgetting.Unlock()
		r.mu.Lock()
		defer r.mu.Unlock()
		f()
	}
	locked(func() { r.now = func() time.Time { return now } })
	return func(d time.Duration) { locked(func() { now = now.Add(d) }) }
}

// idempotent produces a batch and gives the error and the offset.
func idempotent(t *testing.T, conn net.Conn, topic string, id int64, epoch int16, sequence int32) (code int16, offset int64) {
	t.Helper()
	req := producing(nil, topic, batchOf(id, epoch, sequence, false))
	req.Version = 9
	p := asks[*kmsg.ProduceResponse](t, conn, req).Topics[0].Partitions[0]
	return p.ErrorCode, p.BaseOffset
}

// newProducer asks for an id as producers do.
func newProducer(t *testing.T, conn net.Conn) (id int64, epoch int16) {
	t.Helper()
	req := kmsg.NewPtrInitProducerIDRequest()
	req.Version = 2
	resp := asks[*kmsg.InitProducerIDResponse](t, conn, req)
	if resp.ErrorCode != 0 {
		t.Fatal(kerr.ErrorForCode(resp.ErrorCode))
	}
	return resp.ProducerID, resp.ProducerEpoch
}

func (n *node) producersUsed() int64 {
	n.cluster.producers.mu.Lock()
	defer n.cluster.producers.mu.Unlock()
	return n.cluster.producers.used
}

// fillProducers has producers write to "full" until one is to come again, and says how many did not.
func (n *node) fillProducers(t *testing.T, conn net.Conn) (ids []int64) {
	t.Helper()
	for {
		id, epoch := newProducer(t, conn)
		switch code, _ := idempotent(t, conn, "full", id, epoch, 0); {
		case code == kerr.KafkaStorageError.Code:
			return ids
		case code != 0:
			t.Fatalf("producer %d: %v", len(ids), kerr.ErrorForCode(code))
		}
		if ids = append(ids, id); len(ids) > roomInTests/producerBytes {
			t.Fatalf("there are %d producers, of %d bytes each at least, in %d", len(ids), producerBytes, roomInTests)
		}
	}
}

// writtenDown is how many producers and windows kfake has written down when it ended.
func writtenDown(t *testing.T, dir string) (producers, windows int) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, "seq_windows.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all seqWindows
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	m := &recovery{dir: dir}
	entries, err := m.recoverLog("pids.log")
	if err != nil {
		t.Fatal(err)
	}
	pids, _ := readPIDs(entries)
	return len(pids), len(all.Windows)
}

// Producers that are not transactional have a bound; beyond it new ones wait until others have
// written nothing for long. kfake forgets these.
func TestProducersHaveABoundAndThoseThatWriteNothingAreForgotten(t *testing.T) {
	cfg := Config{KeptBytesMax: 2 * roomInTests, DataDir: t.TempDir()}
	n := filledIn(t, "", cfg, 0, 1)
	step, conn := n.stepClock(), dial(t, n.addr)
	ids := n.fillProducers(t, conn)
	if len(ids) < roomInTests/(producerBytes+producerWindowBytes)-1 {
		t.Errorf("there is room for %d producers only", len(ids))
	}
	_, first := idempotent(t, conn, "full", ids[0], 0, 1)
	if code, again := idempotent(t, conn, "full", ids[0], 0, 1); code != 0 || again != first {
		t.Errorf("what a producer sends again is stored at %d, and was at %d: %v", again, first, kerr.ErrorForCode(code))
	}
	step(producerIdle - 1)
	if code, _ := idempotent(t, conn, "full", ids[0], 0, 2); code != 0 {
		t.Errorf("a producer that is known can't go on: %v", kerr.ErrorForCode(code))
	}
	step(1)
	given := make(map[int64]bool)
	for range 3 * len(ids) {
		id, epoch := newProducer(t, conn)
		if code, _ := idempotent(t, conn, "full", id, epoch, 0); code != 0 || given[id] {
			t.Fatalf("producer %d, given before: %v, of %d: %v", id, given[id], len(given), kerr.ErrorForCode(code))
		}
		given[id] = true
		step(2 * producerIdle / time.Duration(len(ids))) // half as many as there is room for
	}
	if code, again := idempotent(t, conn, "full", ids[0], 0, 2); code != 0 || again <= first {
		t.Errorf("a producer that was forgotten goes on at offset %d: %v", again, kerr.ErrorForCode(code))
	}
	if used := n.producersUsed(); used > roomInTests {
		t.Errorf("%d bytes are used of %d", used, roomInTests)
	}
	n.close()
	most, both := roomInTests/producerBytes, roomInTests/(producerBytes+producerWindowBytes)
	if producers, windows := writtenDown(t, cfg.DataDir); producers > most || windows > most {
		t.Errorf("kfake has %d producers with %d windows: more than %d", producers, windows, most)
	}
	again := filledIn(t, "", cfg, 0, 1) // it reads all that the log has
	again.close()
	if producers, windows := writtenDown(t, cfg.DataDir); producers > most || windows > both || windows < both*9/10 {
		t.Errorf("after a restart kfake has %d producers with %d windows: more than %d, or fewer than %d", producers, windows, most, both)
	}
}

// A batch that kfake is shown to forget a producer is never stored, also where the producer's topic
// was deleted and made anew; then its id is given to the next, which has not used its epoch.
func TestAForgottenProducersTopicIsLeftAsItIs(t *testing.T) {
	n := filledIn(t, "", Config{KeptBytesMax: 2 * roomInTests}, 0, 1)
	step, conn := n.stepClock(), dial(t, n.addr)
	ids := n.fillProducers(t, conn)
	end := n.cluster.partitionInfo("full", 0).HighWatermark
	del := kmsg.NewPtrDeleteTopicsRequest()
	del.Version, del.TopicNames, del.TimeoutMillis = 3, []string{"full"}, 60_000
	create := kmsg.NewPtrCreateTopicsRequest()
	of := kmsg.NewCreateTopicsRequestTopic()
	of.Topic, of.NumPartitions, of.ReplicationFactor = "full", 1, 1
	create.Topics, create.TimeoutMillis = append(create.Topics, of), 60_000
	if end != int64(len(ids)) {
		t.Errorf("%d records of %d producers", end, len(ids))
	}
	if code := asks[*kmsg.DeleteTopicsResponse](t, conn, del).Topics[0].ErrorCode; code != 0 {
		t.Fatal(kerr.ErrorForCode(code))
	}
	if code := asks[*kmsg.CreateTopicsResponse](t, conn, create).Topics[0].ErrorCode; code != 0 {
		t.Fatal(kerr.ErrorForCode(code))
	}
	if code, _ := idempotent(t, conn, "full", ids[len(ids)-1], 0, 0); code != 0 {
		t.Fatal(kerr.ErrorForCode(code))
	}
	step(producerIdle)
	again := 0
	for range 2 * len(ids) {
		id, epoch := newProducer(t, conn)
		if code, _ := idempotent(t, conn, "full", id, epoch, 0); code != 0 {
			t.Fatalf("producer %d, epoch %d: %v", id, epoch, kerr.ErrorForCode(code))
		}
		if epoch > 0 {
			again++
		}
		step(2 * producerIdle / time.Duration(len(ids))) // half as many as there is room for
	}
	if again == 0 {
		t.Error("no producer has the id of one that has nothing left")
	}
	if end := n.cluster.partitionInfo("full", 0).HighWatermark; end != int64(1+2*len(ids)) {
		t.Errorf("%d records are stored of %d", end, 1+2*len(ids))
	}
	if used := n.producersUsed(); used > roomInTests {
		t.Errorf("%d bytes are used of %d", used, roomInTests)
	}
}

// What a data directory brings counts, and makes room at once where its batches are old.
func TestProducersOfADataDirectoryCount(t *testing.T) {
	cfg := Config{KeptBytesMax: 2 * roomInTests, DataDir: t.TempDir()}
	n := filledIn(t, "", cfg, 0, 1)
	ids := n.fillProducers(t, dial(t, n.addr))
	used := n.producersUsed()
	n.close()
	n = filledIn(t, "", cfg, 0, 1)
	if now := n.producersUsed(); now < used*9/10 || now > used+roomInTests/10 {
		t.Errorf("%d bytes are used after a restart, and were %d before", now, used)
	}
	conn := dial(t, n.addr)
	if code, _ := idempotent(t, conn, "full", ids[0], 0, 1); code != 0 {
		t.Errorf("a producer can't go on after a restart: %v", kerr.ErrorForCode(code))
	}
	id, epoch := newProducer(t, conn)
	if code, _ := idempotent(t, conn, "full", id, epoch, 0); code != 0 {
		t.Errorf("a new producer is refused after a restart: %v", kerr.ErrorForCode(code))
	}
}

// A batch that is refused for itself leaves no producer behind: nothing would make room again.
func TestARefusedBatchLeavesNoProducerBehind(t *testing.T) {
	n := filledIn(t, "", Config{KeptBytesMax: 2 * roomInTests}, 0, 1)
	mustCreate(t, n.cluster, "compacted", "cleanup.policy=compact")
	step, conn := n.stepClock(), dial(t, n.addr)
	known, epoch := newProducer(t, conn)
	if code, _ := idempotent(t, conn, "full", known, epoch, 0); code != 0 {
		t.Fatal(kerr.ErrorForCode(code))
	}
	was := n.producersUsed()
	broken := func(topic string, id int64) int16 {
		batch := batchOf(id, 0, 0, false)
		batch[len(batch)-1]++ // not what its checksum says
		req := producing(nil, topic, batch)
		req.Version = 9
		return asks[*kmsg.ProduceResponse](t, conn, req).Topics[0].Partitions[0].ErrorCode
	}
	for i := range int64(2 * roomInTests / producerBytes) {
		if code := broken("full", i); code != kerr.CorruptMessage.Code {
			t.Fatalf("a broken batch: %v", kerr.ErrorForCode(code))
		}
		if code, _ := idempotent(t, conn, "compacted", i, 0, 0); code != kerr.InvalidRecord.Code {
			t.Fatalf("a batch without a key: %v", kerr.ErrorForCode(code))
		}
		if code := broken("full", known); code != kerr.CorruptMessage.Code {
			t.Fatalf("a broken batch of a producer that is known: %v", kerr.ErrorForCode(code))
		}
	}
	if used := n.producersUsed(); used != was {
		t.Errorf("refused batches hold %d bytes", used-was)
	}
	if code, _ := idempotent(t, conn, "full", known, epoch, 7); code != kerr.OutOfOrderSequenceNumber.Code {
		t.Errorf("a batch that is out of order: %v", kerr.ErrorForCode(code))
	}
	if used := n.producersUsed(); used != was {
		t.Errorf("%d bytes are used, and were %d: kfake has the producer still", used, was)
	}
	ids := n.fillProducers(t, conn)
	step(producerIdle)
	id, epoch := newProducer(t, conn)
	if code, _ := idempotent(t, conn, "full", id, epoch, 0); code != 0 {
		t.Errorf("none of %d producers is forgotten: %v", len(ids), kerr.ErrorForCode(code))
	}
}

// What one request's answer takes out of the count another one's brings back, in whatever order they come.
func TestAProducerThatKfakeHasCounts(t *testing.T) {
	for _, refusedFirst := range []bool{true, false} {
		r := new(producerRoom)
		r.init(roomInTests)
		w := shownBatch{windowKey{1, place{"a", 0}}, 0}
		if !r.begins(w.producer, w.epoch, w.topic, [16]byte{1}, w.partition) {
			t.Fatal("there is no room")
		}
		if known, stored, _ := r.wrote(w.producer, w.epoch, w.topic, w.partition); !known || stored {
			t.Fatal(known, stored)
		}
		want := r.used
		if refusedFirst {
			r.lacks(w.windowKey)
			if r.used != 0 || r.order.Len() != 0 {
				t.Errorf("%d bytes are used by nobody", r.used)
			}
		}
		r.keeps(w, [16]byte{1}, true)
		r.lacks(w.windowKey)
		if known, stored, _ := r.wrote(w.producer, w.epoch, w.topic, w.partition); !known || !stored || r.used != want {
			t.Errorf("refused first: %v: known %v, stored %v, %d bytes of %d", refusedFirst, known, stored, r.used, want)
		}
	}
}

// Who wrote just before a restart is not forgotten after it: it may not have been answered, and
// send again.
func TestWhoWroteJustBeforeARestartIsNotForgotten(t *testing.T) {
	cfg := Config{KeptBytesMax: 2 * roomInTests, DataDir: t.TempDir()}
	n := filledIn(t, "", cfg, 0, 1)
	conn := dial(t, n.addr)
	for i, at := range []time.Time{time.Now().Add(-time.Hour), time.Now().Add(time.Hour)} {
		b := kmsg.RecordBatch{}
		if err := b.ReadFrom(batchOf(int64(1+i), 0, 0, false)); err != nil {
			t.Fatal(err)
		}
		b.FirstTimestamp, b.MaxTimestamp = at.UnixMilli(), at.UnixMilli()
		seal(&b)
		req := producing(nil, "full", b.AppendTo(nil))
		req.Version = 9
		if code := asks[*kmsg.ProduceResponse](t, conn, req).Topics[0].Partitions[0].ErrorCode; code != 0 {
			t.Fatal(kerr.ErrorForCode(code))
		}
	}
	n.close()
	ended := time.Now().Truncate(time.Millisecond)
	n = filledIn(t, "", cfg, 0, 1)
	r := &n.cluster.producers
	r.mu.Lock()
	defer r.mu.Unlock()
	old, recent := r.of[1].Value.(*keptProducer).wrote, r.of[2].Value.(*keptProducer).wrote
	if !old.Before(ended.Add(-producerIdle)) || recent.Before(ended) || recent.After(time.Now()) {
		t.Errorf("they wrote at %v and %v; the first an hour ago, and the other since %v at the earliest", old, recent, ended)
	}
}

// The producer of a transactional id is not forgotten, though somebody wrote by its id in no
// transaction long ago: the transactional id would get another one, and its owner be refused.
func TestTheProducerOfATransactionIsNotForgotten(t *testing.T) {
	n := filledIn(t, "", Config{KeptBytesMax: 2 * roomInTests}, 0, 1)
	mustCreate(t, n.cluster, txnTopic)
	step, conn := n.stepClock(), dial(t, n.addr)
	p := initializedFor(t, n.cluster, "txn", 10*time.Minute)
	if code, _ := idempotent(t, conn, "full", p.id, p.epoch, 0); code != 0 {
		t.Fatal(kerr.ErrorForCode(code))
	}
	ids := n.fillProducers(t, conn)
	step(producerIdle)
	for range len(ids) / 2 {
		id, epoch := newProducer(t, conn)
		if code, _ := idempotent(t, conn, "full", id, epoch, 0); code != 0 || id == p.id {
			t.Fatalf("producer %d, of the transaction: %v: %v", id, id == p.id, kerr.ErrorForCode(code))
		}
	}
	if code := addPartition(t, n.cluster, 3, p); code != 0 {
		t.Fatalf("its next transaction can't begin: %v", kerr.ErrorForCode(code))
	}
	if code := end(t, n.cluster, 3, p, true); code != 0 {
		t.Errorf("and not be ended: %v", kerr.ErrorForCode(code))
	}
}

// Producers whose topics were deleted leave no room, so one request may look at many of them. kfake
// goes through all its producers whenever it is asked which are transactional: it is asked once for all.
func TestKfakeIsAskedOnceForAllProducersThatHaveNothingLeft(t *testing.T) {
	n := filledIn(t, "", Config{KeptBytesMax: 2 * roomInTests}, 0, 1)
	step, conn := n.stepClock(), dial(t, n.addr)
	ids := n.fillProducers(t, conn)
	if len(ids) <= forgetsMax {
		t.Fatalf("%d producers are too few", len(ids))
	}
	del := kmsg.NewPtrDeleteTopicsRequest()
	del.Version, del.TopicNames, del.TimeoutMillis = 3, []string{"full"}, 60_000
	if code := asks[*kmsg.DeleteTopicsResponse](t, conn, del).Topics[0].ErrorCode; code != 0 {
		t.Fatal(kerr.ErrorForCode(code))
	}
	var asked atomic.Int64
	n.cluster.kfake.ControlKey(int16(kmsg.ListTransactions), func(kmsg.Request) (kmsg.Response, error, bool) {
		asked.Add(1)
		return nil, nil, false // kfake answers
	})
	step(producerIdle)
	if !n.cluster.forgetProducers() || asked.Load() != 1 {
		t.Errorf("kfake was asked %d times about %d producers", asked.Load(), len(ids))
	}
	given := 0
	for _, epoch, ok := n.cluster.producers.give(); ok; _, epoch, ok = n.cluster.producers.give() {
		if given++; epoch == 0 {
			t.Error("an epoch is given that its last client has used")
		}
	}
	if given != len(ids) {
		t.Errorf("%d ids of %d are given again", given, len(ids))
	}
	if asked.Store(0); n.cluster.forgetProducers() || asked.Load() != 0 {
		t.Errorf("kfake was asked %d times about nobody", asked.Load())
	}
}

// That new producers are refused is said when one is, and not when there is little room left.
func TestThatProducersAreRefusedIsSaidWhenTheyAre(t *testing.T) {
	var lines lockedLog
	n := filledIn(t, "", Config{KeptBytesMax: 2 * roomInTests, Logger: slog.New(slog.NewTextHandler(&lines, nil))}, 0, 1)
	n.stepClock()
	conn := dial(t, n.addr)
	for n.cluster.producers.left() >= producerBytes+producerWindowBytes {
		id, epoch := newProducer(t, conn)
		if code, _ := idempotent(t, conn, "full", id, epoch, 0); code != 0 {
			t.Fatal(kerr.ErrorForCode(code))
		}
	}
	if said := lines.said(); strings.Contains(said, "too many producers") {
		t.Errorf("nobody was refused:\n%s", said)
	}
	n.fillProducers(t, conn)
	if said := lines.said(); strings.Count(said, "too many producers") != 1 {
		t.Errorf("one was refused:\n%s", said)
	}
}
