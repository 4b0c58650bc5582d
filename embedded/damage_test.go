package embedded

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// left is a copy of a running cluster's directory: what a killed process leaves.
func (n *node) left() string {
	n.t.Helper()
	dir := filepath.Join(n.t.TempDir(), "left")
	if err := os.CopyFS(dir, os.DirFS(n.cluster.cfg.DataDir)); err != nil {
		n.t.Fatal(err)
	}
	return dir
}

// filled is a stopped cluster's directory with a topic of so many batches of
// one record each.
func filled(t *testing.T, batches int) string {
	t.Helper()
	dir := t.TempDir()
	n := serve(t, Config{DataDir: dir})
	n.orders(batches)
	commitOn(t, n, "orders", int64(batches))
	n.close()
	return dir
}

// orders produces so many batches of one record each.
func (n *node) orders(batches int) {
	n.t.Helper()
	c := n.client(kgo.MaxBufferedRecords(1), kgo.ProducerLinger(0))
	for i := range batches {
		if err := c.ProduceSync(n.t.Context(), &kgo.Record{Topic: "orders", Value: fmt.Appendf(nil, "record %d", i)}).FirstErr(); err != nil {
			n.t.Fatal(err)
		}
	}
}

func commitOn(t *testing.T, n *node, topic string, at int64) {
	t.Helper()
	var offsets kadm.Offsets
	offsets.AddOffset(topic, 0, at, -1)
	if err := kadm.NewClient(n.client()).CommitAllOffsets(t.Context(), "readers", offsets); err != nil {
		t.Fatal(err)
	}
}

// offsets reads a topic with one partition to its end: the offset of each
// record, by its value.
func (n *node) offsets(topic string, opts ...kgo.Opt) map[string][]int64 {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), deadline)
	defer cancel()
	c := n.client(append([]kgo.Opt{kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())}, opts...)...)
	ends, err := kadm.NewClient(c).ListEndOffsets(ctx, topic)
	if err != nil {
		n.t.Fatal(err)
	}
	end, _ := ends.Lookup(topic, 0)
	got := make(map[string][]int64)
	for at := int64(0); at < end.Offset; {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			n.t.Fatalf("after %d of %d: %v", len(got), end.Offset, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			got[string(r.Value)] = append(got[string(r.Value)], r.Offset)
			at = r.Offset + 1
		})
	}
	return got
}

func (l *lockedLog) said() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func flip(t *testing.T, path string, at int64, mask byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[at] ^= mask
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// batchAt finds where the n-th batch of a segment begins.
func batchAt(t *testing.T, path string, n int) int64 {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := int64(0)
	for range n {
		h := readHead(b[at:])
		at += h.bytes
	}
	return at
}

// One byte costs at most the batch that it is in, wherever it is, and what it
// cost is said and kept.
func TestAFlippedByteCostsOneBatchAtMost(t *testing.T) {
	const batches, hit = 30, 17
	whole := filled(t, batches)
	segment := filepath.Join("partitions", "orders-0", "0.dat")
	begin := batchAt(t, filepath.Join(whole, segment), hit)
	end := batchAt(t, filepath.Join(whole, segment), hit+1)
	for at := begin; at < end; at++ {
		for _, crashed := range []bool{false, true} {
			if crashed && at-begin > batchChecksumAt && at%5 != 0 {
				continue // what the checksum covers is known by it alone
			}
			dir := filepath.Join(t.TempDir(), "dir")
			if err := os.CopyFS(dir, os.DirFS(whole)); err != nil {
				t.Fatal(err)
			}
			if crashed {
				_ = os.Remove(filepath.Join(dir, "partitions", "orders-0", "snapshot.json"))
				if err := writeManifest(dir, false); err != nil {
					t.Fatal(err)
				}
			}
			flip(t, filepath.Join(dir, segment), at, 1<<(at%8))
			m, err := recoverData(&Config{DataDir: dir})
			report := m.report
			if err != nil {
				t.Fatalf("byte %d: %v", at-begin, err)
			}
			if report.Batches < batches-1 || len(report.Damage) != 1 {
				t.Errorf("byte %d: %d batches of %d left; %+v", at-begin, report.Batches, batches, report.Damage)
				continue
			}
			d := report.Damage[0]
			if lost := report.Batches < batches; d.Lost != lost || d.Offset != hit || lost && (d.NextOffset != hit+1 || d.Bytes != end-begin || d.Copy == "") {
				t.Errorf("byte %d: %+v", at-begin, d)
			}
			if at-begin < batchChecksumAt && d.Lost {
				t.Errorf("byte %d is not covered by the checksum and can be known again: %+v", at-begin, d)
			}
			again, err := recoverData(&Config{DataDir: dir})
			if err != nil || len(again.report.Damage) != 0 {
				t.Errorf("byte %d: the second start: %+v, %v", at-begin, again.report.Damage, err)
			}
		}
	}
}

// The last and the first batch have a neighbour less.
func TestAFlippedByteAtTheEndsOfALogIsFound(t *testing.T) {
	const batches = 10
	whole := filled(t, batches)
	segment := filepath.Join("partitions", "orders-0", "0.dat")
	for _, hit := range []int{0, batches - 1} {
		begin := batchAt(t, filepath.Join(whole, segment), hit)
		end := batchAt(t, filepath.Join(whole, segment), hit+1)
		for at := begin; at < end; at++ {
			if at-begin > batchChecksumAt && at%5 != 0 {
				continue
			}
			dir := filepath.Join(t.TempDir(), "dir")
			if err := os.CopyFS(dir, os.DirFS(whole)); err != nil {
				t.Fatal(err)
			}
			flip(t, filepath.Join(dir, segment), at, 1<<(at%8))
			m, err := recoverData(&Config{DataDir: dir})
			report := m.report
			if err != nil {
				t.Fatalf("byte %d: %v", at-begin, err)
			}
			if report.Batches < batches-1 || len(report.Damage) != 1 {
				t.Errorf("batch %d, byte %d: %d batches of %d left; %+v", hit, at-begin, report.Batches, batches, report.Damage)
				continue
			}
			if d := report.Damage[0]; at-begin < batchChecksumAt && d.Lost || d.Lost && (d.Offset != int64(hit) || d.NextOffset != int64(hit)+1) {
				t.Errorf("batch %d, byte %d: %+v", hit, at-begin, d)
			}
		}
	}
}

// What is behind the damage is served, at the offsets that it had, and the log
// tells what is not.
func TestWhatIsBehindDamageIsServed(t *testing.T) {
	const batches = 200
	dir := filled(t, batches)
	segment := filepath.Join(dir, "partitions", "orders-0", "0.dat")
	flip(t, segment, batchAt(t, segment, 50)+70, 1)
	flip(t, segment, batchAt(t, segment, 120)+65, 4)
	var lines lockedLog
	n := serve(t, Config{DataDir: dir, Logger: slog.New(slog.NewTextHandler(&lines, nil))})
	got := n.offsets("orders")
	for i := range batches {
		want := []int64{int64(i)}
		if i == 50 || i == 120 {
			want = nil
		}
		if at := got[fmt.Sprintf("record %d", i)]; !slices.Equal(at, want) {
			t.Errorf("record %d is at %v, want %v", i, at, want)
		}
	}
	for _, want := range []string{`offsets="50 to 50"`, `offsets="120 to 120"`, "topic=orders", "0.dat", "damaged", "lost=2"} {
		if !strings.Contains(lines.said(), want) {
			t.Errorf("no %q in the log:\n%s", want, lines.said())
		}
	}
	n.produceOne("orders", "later")
	if at := n.offsets("orders")["later"]; !slices.Equal(at, []int64{batches}) {
		t.Errorf("a later record is at %v, want %d", at, batches)
	}
}

// A flipped byte in a log of commits or producers costs its entry alone.
func TestEntriesBehindDamageInALogSurvive(t *testing.T) {
	dir := t.TempDir()
	entries := make([][]byte, 20)
	var raw []byte
	starts := make([]int, len(entries)+1)
	for i := range entries {
		entries[i] = entry(fmt.Sprintf(`{"type":"commit","g":"readers","t":"orders","p":%d,"o":5}`, i))
		raw = append(raw, entries[i]...)
		starts[i+1] = len(raw)
	}
	path := filepath.Join(dir, "groups.log")
	for at := starts[7]; at < starts[8]; at++ {
		b := bytes.Clone(raw)
		b[at] ^= 1 << (at % 8)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		m := newRecovery(&Config{DataDir: dir})
		got, err := m.recoverLog("groups.log")
		if err != nil || len(got) != len(entries)-1 || len(m.report.Damage) != 1 || !m.report.Damage[0].Lost || m.report.Damage[0].Copy == "" {
			t.Fatalf("byte %d: %d entries, %+v, %v", at-starts[7], len(got), m.report.Damage, err)
		}
		left, err := os.ReadFile(path)
		if want := append(bytes.Clone(raw[:starts[7]]), raw[starts[8]:]...); err != nil || !bytes.Equal(left, want) {
			t.Fatalf("byte %d: %d bytes left, want %d; %v", at-starts[7], len(left), len(want), err)
		}
		kept, err := os.ReadFile(filepath.Join(dir, m.report.Damage[0].Copy))
		if err != nil || !bytes.Equal(kept, b[starts[7]:starts[8]]) {
			t.Fatalf("byte %d: copy of %d bytes; %v", at-starts[7], len(kept), err)
		}
	}
}

// Whole files that are missing, empty or unreadable stop the start, by name,
// until their loss is accepted.
func TestMissingFilesStopTheStartUntilTheLossIsAccepted(t *testing.T) {
	const batches = 5
	for _, end := range []string{"stopped", "killed"} {
		whole := filled(t, batches)
		if end == "killed" {
			n := serve(t, Config{DataDir: whole})
			n.produceOne("orders", "after the second start")
			whole = n.left()
		}
		files := []string{"meta.json", "topics.json", "acls.json", "sasl.json", "broker_configs.json", "quotas.json", "groups.log", "pids.log", "txns.log",
			"partitions/orders-0", "partitions/orders-0/0.dat"}
		for _, name := range files {
			for _, fault := range []string{"missing", "empty", "unreadable"} {
				t.Run(end+" "+fault+" "+name, func(t *testing.T) {
					t.Parallel() // it waits for the disk, mostly
					dir := filepath.Join(t.TempDir(), "dir")
					if err := os.CopyFS(dir, os.DirFS(whole)); err != nil {
						t.Fatal(err)
					}
					if !spoil(t, filepath.Join(dir, name), fault) {
						return
					}
					if _, err := Open(Config{DataDir: dir}); err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "--accept-data-loss") {
						t.Fatalf("Open: %v, want %s and the remedy named", err, name)
					}
					n := serve(t, Config{DataDir: dir, AcceptLoss: true})
					if damage := n.cluster.Loaded().Damage; len(damage) == 0 || !damage[0].Lost {
						t.Errorf("damage %+v, want it said", damage)
					}
					n.produceOne("orders", "new")
					if got := n.offsets("orders"); len(got["new"]) != 1 || !strings.HasPrefix(name, "partitions") && len(got["record 0"]) != 1 {
						t.Errorf("after the loss was accepted: %v", got)
					}
					n.close()
					serve(t, Config{DataDir: dir}).close()
				})
			}
		}
	}
}

// spoil damages a file; false where that is no damage of its kind.
func spoil(t *testing.T, path, fault string) bool {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case fault == "missing":
		err = os.RemoveAll(path)
	case info.IsDir():
		return false
	case filepath.Base(path) == txnLogName:
		return false // it has what is open: mostly nothing
	case fault == "empty":
		err = os.Truncate(path, 0)
	case filepath.Ext(path) == ".json":
		err = os.Truncate(path, info.Size()-1)
	default:
		return false
	}
	if err != nil {
		t.Fatal(err)
	}
	return true
}

// A log from which everything was deleted goes on at its offset, so that nobody
// who committed one skips what is produced then.
func TestOffsetsGoOnAfterEverythingWasDeleted(t *testing.T) {
	dir := filled(t, 7)
	n := serve(t, Config{DataDir: dir})
	var offsets kadm.Offsets
	offsets.AddOffset("orders", 0, 7, -1)
	if _, err := kadm.NewClient(n.client()).DeleteRecords(t.Context(), offsets); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		n.close()
		n = serve(t, Config{DataDir: dir})
	}
	n.produceOne("orders", "next")
	if got := n.offsets("orders"); len(got) != 1 || !slices.Equal(got["next"], []int64{7}) {
		t.Errorf("records at %v, want one at 7", got)
	}
}

// A directory that is large enough for kfake to take turns is loaded whole, and
// keeps nothing of it; nor does one whose start was killed.
func TestALargeDirectoryIsLoadedInTurns(t *testing.T) {
	const partitions, records, size = 5, 75, 1 << 20
	dir := t.TempDir()
	cfg := Config{DataDir: dir, Seed: []Topic{{"large", partitions}}}
	n := serve(t, cfg)
	c := n.client(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerBatchMaxBytes(size+1000))
	value := make([]byte, size)
	for i := range records {
		if err := c.ProduceSync(t.Context(), &kgo.Record{Topic: "large", Partition: int32(i % partitions), Value: value}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	n.close()
	if m, err := recoverData(&cfg); err != nil || !m.gated {
		t.Fatalf("gated %v, %v", m.gated, err)
	} // as if it had been killed now
	for range 2 {
		n = serve(t, cfg)
		if report := n.cluster.Loaded(); report.Batches != records || len(report.Damage) > 0 {
			t.Errorf("loaded %+v", report)
		}
		left, err := filepath.Glob(filepath.Join(dir, "partitions", "*", "*.dat"))
		if err != nil || len(left) != partitions {
			t.Errorf("segments %v, %v", left, err)
		}
		n.close()
	}
}

// No more partitions are loaded at once than there are processors.
func TestTurnsAreTaken(t *testing.T) {
	g := newLoadGate()
	var now, most atomic.Int32
	var loads sync.WaitGroup
	for range 50 {
		loads.Go(func() {
			g.heard("partition %s-%d "+gateLine+" %d corrupt bytes", []any{"topic", int32(0), gateFirst, 1})
			for n := now.Add(1); ; {
				if m := most.Load(); n <= m || most.CompareAndSwap(m, n) {
					break
				}
			}
			runtime.Gosched()
			now.Add(-1)
			g.heard("partition %s-%d "+gateLine+" %d corrupt bytes", []any{"topic", int32(0), gateLast, 1})
		})
	}
	loads.Wait()
	if got := int(most.Load()); got > runtime.GOMAXPROCS(0) {
		t.Errorf("%d at once", got)
	}
	if g.heard("partition %s-%d "+gateLine+" %d corrupt bytes", []any{"topic", int32(0), int64(5), 1}) {
		t.Error("a line about damage was kept back")
	}
}

// Whatever byte of a stopped cluster's directory flips: it is said, or stops
// the start, or is something that can be made anew without a loss.
func TestAnyFlippedByteIsSaidOrRepairedWhole(t *testing.T) {
	whole := filled(t, 12)
	n := serve(t, Config{DataDir: whole})
	txn := n.client(kgo.TransactionalID("txn"), kgo.DefaultProduceTopic("orders"))
	if err := txn.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := txn.ProduceSync(t.Context(), kgo.StringRecord("in a transaction")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	n.close()
	want, err := recoverData(&Config{DataDir: copyOf(t, whole)})
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	err = filepath.WalkDir(whole, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || strings.HasSuffix(path, "lock") {
			return err
		}
		name, err := filepath.Rel(whole, path)
		if err != nil {
			return err
		}
		info, err := e.Info()
		for range min(info.Size(), 8) {
			dir := copyOf(t, whole)
			at, mask := random.Int64N(info.Size()), byte(1)<<random.IntN(8)
			flip(t, filepath.Join(dir, name), at, mask)
			m, err := recoverData(&Config{DataDir: dir})
			switch {
			case err != nil && strings.Contains(err.Error(), name):
			case err != nil:
				t.Errorf("%s: byte %d: %v, which does not name it", name, at, err)
			case len(m.report.Damage) > 0:
			case m.report.Batches == want.report.Batches && m.report.Producers == want.report.Producers &&
				strings.HasSuffix(name, ".idx"):
			case filepath.Base(name) == "snapshot.json" && sameSnapshot(dir, whole, name):
			default:
				t.Errorf("%s: byte %d ^ %#x was not noticed", name, at, mask)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func copyOf(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

// sameSnapshot says that what flipped has no meaning: the case of a key, the
// name of a field that is zero.
func sameSnapshot(dir, whole, name string) bool {
	a, err := readSnapshot(filepath.Dir(filepath.Join(dir, name)))
	if err != nil {
		return false
	}
	b, err := readSnapshot(filepath.Dir(filepath.Join(whole, name)))
	return err == nil && a.checksum() == b.checksum()
}

// A deletion that a crash interrupted is no damage.
func TestAnInterruptedDeletionIsNoDamage(t *testing.T) {
	n := serve(t, Config{DataDir: filled(t, 3)})
	dir := n.left()
	raw, err := json.Marshal(txnNote{Deleting: []string{"orders"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "partitions", "orders-0")); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Config{DataDir: dir}); err == nil {
		t.Error("a folder that is missing was not missed")
	}
	appendTo(t, filepath.Join(dir, txnLogName), appendEntry(nil, raw))
	n = serve(t, Config{DataDir: dir})
	if damage := n.cluster.Loaded().Damage; len(damage) > 0 {
		t.Errorf("damage %+v", damage)
	}
	resp, err := kadm.NewClient(n.client()).DeleteTopics(t.Context(), "orders")
	if err != nil || resp.Error() != nil {
		t.Errorf("%v, %v", err, resp.Error())
	}
	left := n.left()
	entries := newRecovery(&Config{DataDir: left})
	if err := entries.readTxns(); err != nil || !entries.deleting["orders"] {
		t.Errorf("a deletion was not noted: %v, %v", entries.deleting, err)
	}
}

// What looks like the magic of a batch at every byte is looked through in one
// pass. With a pass for each byte it would take hours.
func TestDamageBeforeMisleadingBytesIsPassedQuickly(t *testing.T) {
	dir := t.TempDir()
	n := serve(t, Config{DataDir: dir})
	c := n.client(kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerBatchMaxBytes(13<<20))
	for _, value := range [][]byte{bytes.Repeat([]byte{batchMagic}, 8<<20), []byte("behind it")} {
		if err := c.ProduceSync(t.Context(), &kgo.Record{Topic: "orders", Value: value}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	n.close()
	flip(t, filepath.Join(dir, "partitions", "orders-0", "0.dat"), 4<<20, 1)
	before := time.Now()
	m, err := recoverData(&Config{DataDir: dir})
	if took := time.Since(before); err != nil || m.report.Batches != 1 || len(m.report.Damage) != 1 || took > 5*time.Minute {
		t.Errorf("%+v in %v, %v", m.report, took, err)
	}
}

// However a segment is mutilated, one start repairs it: the next finds nothing,
// and kfake reads what is left to the last batch.
func TestOneStartRepairsWhateverIsThere(t *testing.T) {
	whole := filled(t, 40)
	name := filepath.Join("partitions", "orders-0", "0.dat")
	sound, err := os.ReadFile(filepath.Join(whole, name))
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(3, 4))
	for round := range 30 {
		dir := copyOf(t, whole)
		raw := bytes.Clone(sound)
		for range 1 + random.IntN(4) {
			at := random.IntN(len(raw))
			to := min(len(raw), at+1+random.IntN(300))
			switch random.IntN(5) {
			case 0:
				raw[at] ^= 1 << random.IntN(8)
			case 1:
				clear(raw[at:to])
			case 2:
				raw = slices.Delete(raw, at, to)
			case 3:
				raw = slices.Insert(raw, at, bytes.Clone(raw[at:to])...)
			case 4:
				raw = raw[:max(at, 1)]
			}
		}
		if err := os.WriteFile(filepath.Join(dir, name), raw, 0o600); err != nil {
			t.Fatal(err)
		}
		first, err := recoverData(&Config{DataDir: dir})
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if first.gate.held != nil {
			if err := first.gate.open(); err != nil {
				t.Fatal(err)
			}
		}
		second, err := recoverData(&Config{DataDir: dir})
		if err != nil || len(second.report.Damage) > 0 || second.report.Batches != first.report.Batches {
			t.Fatalf("round %d: %d batches, then %d: %+v, %v", round, first.report.Batches, second.report.Batches, second.report.Damage, err)
		}
		if round%10 > 0 || first.report.Batches == 0 {
			continue
		}
		var lines lockedLog
		n := serve(t, Config{DataDir: dir, Logger: slog.New(slog.NewTextHandler(&lines, nil))})
		if got := len(n.offsets("orders")); int64(got) != first.report.Batches || strings.Contains(lines.said(), "truncating") {
			t.Errorf("round %d: %d records of %d batches\n%s", round, got, first.report.Batches, lines.said())
		}
		n.close()
	}
}
