package embedded

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Whose epochs are used up goes on by another producer id, and does so after every start that
// follows, however the process before it ended.
func TestWhoWasGivenAnotherProducerIDKeepsItOverStarts(t *testing.T) {
	dir := t.TempDir()
	c := open(t, Config{DataDir: dir, Seed: []Topic{{txnTopic, 1}}})
	commits := func(p producer) {
		t.Helper()
		if code := addPartition(t, c, 3, p); code != 0 {
			t.Fatalf("producer %d, epoch %d can't begin a transaction: %v", p.id, p.epoch, kerr.ErrorForCode(code))
		}
		if code := end(t, c, 3, p, true); code != 0 {
			t.Fatalf("producer %d, epoch %d can't commit: %v", p.id, p.epoch, kerr.ErrorForCode(code))
		}
	}
	first := initialized(t, c, "txn")
	dir = killed(t, dir)
	raw, err := json.Marshal(pidEntry{Type: "init", PID: first.id, Epoch: epochLast - 3, TxID: "txn", Timeout: 60_000})
	if err != nil {
		t.Fatal(err)
	}
	appendTo(t, filepath.Join(dir, "pids.log"), appendEntry(nil, raw))
	c = open(t, Config{DataDir: dir})
	last := initialized(t, c, "txn")
	commits(last)
	if last = initialized(t, c, "txn"); last.id != first.id || last.epoch != epochLast-1 {
		t.Fatalf("producer %d, epoch %d, after %d", last.id, last.epoch, first.id)
	}
	if last = initialized(t, c, "txn"); last.id == first.id {
		t.Fatalf("producer %d goes on with epoch %d", last.id, last.epoch)
	}
	for i := range 8 {
		if i%2 == 0 {
			dir = killed(t, dir)
		} else if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		c = open(t, Config{DataDir: dir})
		if p := describedTxn(t, c, "txn"); p.ProducerID != last.id || p.ProducerEpoch != last.epoch {
			t.Fatalf("start %d: producer %d with epoch %d has the transactional id, and %d with %d had it", i, p.ProducerID, p.ProducerEpoch, last.id, last.epoch)
		}
		commits(last)
	}
}

// kfake writes pids.log anew in no particular order.
func TestTheNewestProducerOfATransactionalIDIsKnown(t *testing.T) {
	entry := func(id int64, epoch int16, transactional string) []byte {
		return fmt.Appendf(nil, `{"type":"init","pid":%d,"epoch":%d,"txid":%q}`, id, epoch, transactional)
	}
	for what, c := range map[string]struct {
		entries [][]byte
		want    int64
	}{
		"as they came":             {[][]byte{entry(1, epochLast-1, "a"), entry(2, 0, "a")}, 2},
		"the other way round":      {[][]byte{entry(2, 0, "a"), entry(1, epochLast-1, "a")}, 2},
		"of a later life":          {[][]byte{entry(1, 7, "a"), entry(2, 3, "a")}, 2},
		"the first one's id again": {[][]byte{entry(1, epochLast-1, "a"), entry(2, 3, "a"), entry(1, 0, "a")}, 1},
		"the last one's epochs":    {[][]byte{entry(1, epochLast-1, "a"), entry(2, 0, "a"), entry(2, epochLast-1, "a"), entry(3, 0, "a")}, 3},
	} {
		entries := append(c.entries, entry(10, epochLast-1, "b"), entry(11, epochLast-1, ""), entry(12, 0, ""))
		pids, replaced := readPIDs(entries)
		for id := int64(1); id <= 3; id++ {
			if _, is := pids[id]; is != (id == c.want) || is && replaced[id] {
				t.Errorf("%s: producer %d: known %v, replaced %v; want %d", what, id, is, replaced[id], c.want)
			}
		}
		for id := int64(10); id <= 12; id++ {
			if _, is := pids[id]; !is || replaced[id] {
				t.Errorf("%s: producer %d is gone", what, id)
			}
		}
	}
}
