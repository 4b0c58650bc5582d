package embedded

import (
	"bytes"
	"context"
	"encoding/binary"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

func entry(data string) []byte {
	body := append([]byte{1, 0}, data...)
	e := binary.LittleEndian.AppendUint32(nil, uint32(len(body)))
	e = binary.LittleEndian.AppendUint32(e, crc32.Checksum(body, castagnoli))
	return append(e, body...)
}

func TestTornLogEntryIsCutOff(t *testing.T) {
	whole := append(entry("first"), entry("second")...)
	torn := entry("third")
	flipped := bytes.Clone(torn)
	flipped[len(flipped)-1] ^= 1
	for _, tail := range [][]byte{nil, torn[:1], torn[:9], torn[:len(torn)-1], flipped, make([]byte, 100),
		bytes.Repeat([]byte{0xff}, 40)} {
		dir := t.TempDir()
		path := filepath.Join(dir, "groups.log")
		if err := os.WriteFile(path, append(bytes.Clone(whole), tail...), 0o600); err != nil {
			t.Fatal(err)
		}
		m := newRecovery(&Config{DataDir: dir})
		if _, err := m.recoverLog("groups.log"); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, whole) {
			t.Errorf("tail %x: %d bytes left, want %d; %v", tail, len(got), len(whole), err)
		}
	}
}

// A torn commit in the middle of the history must not hide the later ones.
func TestCommitsAfterATornEntrySurvive(t *testing.T) {
	dir := t.TempDir()
	n := serve(t, Config{DataDir: dir})
	n.produce("on-demand", 0, 10)
	commitAt(t, n, 3)
	left := filepath.Join(t.TempDir(), "left")
	if err := os.CopyFS(left, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	appendTo(t, filepath.Join(left, "groups.log"), entry("torn")[:9])

	n = serve(t, Config{DataDir: left})
	commitAt(t, n, 7)
	again := filepath.Join(t.TempDir(), "again")
	if err := os.CopyFS(again, os.DirFS(left)); err != nil {
		t.Fatal(err)
	}
	n = serve(t, Config{DataDir: again})
	offsets, err := kadm.NewClient(n.client()).FetchOffsets(t.Context(), "readers")
	if err != nil {
		t.Fatal(err)
	}
	if o, ok := offsets.Lookup("on-demand", 0); !ok || o.At != 7 {
		t.Errorf("committed offset %+v, want 7", o)
	}
}

func appendTo(t *testing.T, path string, data []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// The index that recoverData writes is the one that kfake had written.
func TestMissingIndexEntriesAreMadeAnew(t *testing.T) {
	dir := t.TempDir()
	n := serve(t, Config{DataDir: dir})
	txn := n.client(kgo.TransactionalID("txn"), kgo.DefaultProduceTopic("mixed"))
	for i := range 4 {
		if err := txn.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := txn.ProduceSync(t.Context(), kgo.StringRecord("in a transaction")).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := txn.EndTransaction(t.Context(), kgo.TransactionEndTry(i%2 == 0)); err != nil {
			t.Fatal(err)
		}
		n.produceOne("mixed", "outside")
	}
	n.close()

	idx := filepath.Join(dir, "partitions", "mixed-0", "0.idx")
	want, err := os.ReadFile(idx)
	if err != nil {
		t.Fatal(err)
	}
	for size := 0; size <= len(want); size += 7 {
		if err := os.Truncate(idx, int64(size)); err != nil {
			t.Fatal(err)
		}
		if _, err := recoverData(&Config{DataDir: dir}); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(idx)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(meaning(got), meaning(want)) {
			t.Fatalf("from %d bytes:\n%x, want\n%x", size, meaning(got), meaning(want))
		}
		if err := os.WriteFile(idx, want, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// meaning leaves out what kfake does not read: the timestamp, and with it the
// checksum, which recoverData's own entries are tested with by kfake itself.
func meaning(index []byte) []byte {
	var out []byte
	for e := range slices.Chunk(index, indexEntryBytes) {
		out = append(append(append(out, e[0]), e[2:6]...), e[14])
	}
	return out
}

func (n *node) produceOne(topic, value string) {
	n.t.Helper()
	if err := n.client().ProduceSync(n.t.Context(), &kgo.Record{Topic: topic, Value: []byte(value)}).FirstErr(); err != nil {
		n.t.Fatal(err)
	}
}

// A crash between a batch and its index entry must not move the transaction
// marks of later batches.
func TestTransactionsAreToldApartAfterALostIndexEntry(t *testing.T) {
	dir := t.TempDir()
	n := serve(t, Config{DataDir: dir})
	txn := n.client(kgo.TransactionalID("txn"), kgo.DefaultProduceTopic("mixed"))
	if err := txn.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := txn.ProduceSync(t.Context(), kgo.StringRecord("aborted")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(t.TempDir(), "left")
	if err := os.CopyFS(left, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(left, "partitions", "mixed-0", "0.idx"), 0); err != nil {
		t.Fatal(err)
	}
	_ = txn.EndTransaction(t.Context(), kgo.TryAbort) // its cluster is not looked at any more

	n = serve(t, Config{DataDir: left})
	n.produceOne("mixed", "kept")
	if err := n.client(kgo.TransactionalID("txn")).BeginTransaction(); err != nil {
		t.Fatal(err) // its id is taken anew, which aborts what was open
	}
	if _, _, err := n.clients[len(n.clients)-1].ProducerID(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	c := n.client(kgo.ConsumeTopics("mixed"), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	fetches := c.PollFetches(ctx)
	if err := fetches.Err(); err != nil {
		t.Fatal(err)
	}
	if records := fetches.Records(); len(records) != 1 || string(records[0].Value) != "kept" {
		t.Errorf("records %v, want only the one outside the transaction", records)
	}
}
