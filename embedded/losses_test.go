package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// segmented is a running cluster with a topic of five segments of one batch each,
// commits and an idempotent producer; lives says how often it was started.
func segmented(t *testing.T, lives int, configs map[string]string) *node {
	t.Helper()
	dir := t.TempDir()
	n := serve(t, Config{DataDir: dir})
	if configs == nil {
		configs = make(map[string]string)
	}
	configs["segment.bytes"] = "1"
	if err := n.cluster.kfake.CreateTopic("orders", 1, configs); err != nil {
		t.Fatal(err)
	}
	c := n.client(kgo.MaxBufferedRecords(1), kgo.ProducerLinger(0))
	for i := range 5 {
		r := &kgo.Record{Topic: "orders", Key: []byte("key"), Value: fmt.Appendf(nil, "record %d", i)}
		if err := c.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	commitOn(t, n, "orders", 5)
	for range lives - 1 {
		n.close()
		n = serve(t, Config{DataDir: dir})
	}
	return n
}

func of(name string) string { return filepath.Join("partitions", "orders-0", name) }

// refusedOf checks that a directory is not opened, by the name of the file; that it
// is when the loss is accepted, and that this is said; and that it is opened then
// without that, after a kill as well.
func refusedOf(t *testing.T, dir, name string) {
	t.Helper()
	if _, err := Open(Config{DataDir: copyOf(t, dir)}); err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "--accept-data-loss") {
		t.Errorf("Open: %v, want %s and the remedy named", err, name)
		return
	}
	n := serve(t, Config{DataDir: dir, AcceptLoss: true})
	if damage := n.cluster.Loaded().Damage; !slices.ContainsFunc(damage, func(d damagedPart) bool { return d.Lost && d.File == name }) {
		t.Errorf("damage %+v, want %s in it", damage, name)
	}
	r := &kgo.Record{Topic: "orders", Key: []byte("key"), Value: []byte("new")}
	if err := n.client().ProduceSync(t.Context(), r).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if at := n.offsets("orders")["new"]; len(at) != 1 {
		t.Errorf("a new record is at %v", at)
	}
	left := n.left()
	n.close()
	for _, dir := range []string{left, dir} {
		n := serve(t, Config{DataDir: dir})
		if damage := n.cluster.Loaded().Damage; len(damage) > 0 {
			t.Errorf("after the loss was accepted: %+v", damage)
		}
		n.close()
	}
}

// A segment that is gone or empty and was not deleted is missed after a kill: in a
// directory's first life by its index, in a later one without it as well.
func TestASegmentThatWasNotDeletedIsMissedAfterAKill(t *testing.T) {
	for _, configs := range []map[string]string{nil, {"cleanup.policy": "compact"}} {
		for lives := 1; lives <= 2; lives++ {
			whole := segmented(t, lives, configs).left()
			for _, c := range []struct {
				fault string
				gone  []string
				life  int // the first in which it can be known
			}{
				{"first", []string{"0.dat"}, 1},
				{"middle", []string{"2.dat"}, 1},
				{"last", []string{"4.dat"}, 1},
				{"all", []string{"0.dat", "1.dat", "2.dat", "3.dat", "4.dat"}, 1},
				{"first with its index", []string{"0.dat", "0.idx"}, 1},
				{"middle with its index", []string{"2.dat", "2.idx"}, 1},
				{"last with its index", []string{"4.dat", "4.idx"}, 2},
				{"first with its index and the snapshot", []string{"0.dat", "0.idx", "snapshot.json"}, 1},
				{"all with the indexes", []string{"0.dat", "1.dat", "2.dat", "3.dat", "4.dat", "0.idx", "1.idx", "2.idx", "3.idx", "4.idx"}, 2},
				{"everything", []string{"0.dat", "1.dat", "2.dat", "3.dat", "4.dat", "0.idx", "1.idx", "2.idx", "3.idx", "4.idx", "snapshot.json"}, 2},
				{"first emptied", []string{"-0.dat"}, 1},
				{"last emptied", []string{"-4.dat"}, 1},
			} {
				if lives < c.life {
					continue
				}
				t.Run(fmt.Sprintf("%v life %d: %s", configs["cleanup.policy"], lives, c.fault), func(t *testing.T) {
					dir := copyOf(t, whole)
					for _, name := range c.gone {
						if empty, ok := strings.CutPrefix(name, "-"); ok {
							if err := os.Truncate(filepath.Join(dir, of(empty)), 0); err != nil {
								t.Fatal(err)
							}
						} else if err := os.Remove(filepath.Join(dir, of(name))); err != nil && lives > 1 {
							t.Fatal(err)
						}
					}
					refusedOf(t, dir, of(strings.TrimPrefix(c.gone[0], "-")))
				})
			}
		}
	}
}

// A segment of which only a part was deleted is missed.
func TestASegmentThatWasDeletedInPartIsMissed(t *testing.T) {
	for lives := 1; lives <= 2; lives++ {
		dir := t.TempDir()
		n := serve(t, Config{DataDir: dir})
		if err := n.cluster.kfake.CreateTopic("orders", 1, map[string]string{"segment.bytes": "1"}); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			var records []*kgo.Record
			for range 5 {
				records = append(records, &kgo.Record{Topic: "orders", Value: []byte("value")})
			}
			c := n.client(kgo.ManualFlushing()) // one batch, however long the records take to be handed over
			for _, r := range records {
				c.Produce(t.Context(), r, func(_ *kgo.Record, err error) {
					if err != nil {
						t.Errorf("producing: %v", err)
					}
				})
			}
			if err := c.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if got := code(t, n.cluster, deletingRecords("orders", 7)); got != 0 {
			t.Fatalf("error %d", got)
		}
		if lives == 2 {
			n.close()
			n = serve(t, Config{DataDir: dir})
		}
		left := n.left()
		sound(t, copyOf(t, left), 7)
		if err := os.Remove(filepath.Join(left, of("5.dat"))); err != nil {
			t.Fatal(err)
		}
		refusedOf(t, left, of("5.dat"))
	}
}

// What was deleted is not missed, wherever the kill came.
func TestWhatWasDeletedIsNotMissed(t *testing.T) {
	for lives := 1; lives <= 2; lives++ {
		for _, before := range []int64{1, 3, 5, -1} {
			n := segmented(t, lives, nil)
			noted := n.left()
			if got := code(t, n.cluster, deletingRecords("orders", before)); got != 0 {
				t.Fatalf("error %d", got)
			}
			deleted := n.left()
			sound(t, deleted, before)
			// Noted, and not deleted yet; then one file after the other is.
			raw, err := os.ReadFile(filepath.Join(deleted, startsName))
			if err == nil {
				err = os.WriteFile(filepath.Join(noted, startsName), raw, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			if before < 0 {
				before = 5
			}
			sound(t, copyOf(t, noted), before)
			for i := range before {
				for _, name := range []string{"%d.dat", "%d.idx"} {
					if err := os.Remove(filepath.Join(noted, of(fmt.Sprintf(name, i)))); err != nil {
						t.Fatal(err)
					}
					sound(t, copyOf(t, noted), before)
				}
			}
			n.produceOne("orders", "later")
			sound(t, n.left(), before)
			dir := n.cluster.cfg.DataDir
			n.close()
			sound(t, dir, before)
		}
	}
}

// sound checks that a directory is opened without any damage, twice.
func sound(t *testing.T, dir string, start int64) {
	t.Helper()
	if start < 0 {
		start = 5
	}
	for range 2 {
		n := serve(t, Config{DataDir: dir})
		if damage := n.cluster.Loaded().Damage; len(damage) > 0 {
			t.Errorf("damage %+v", damage)
		}
		if at := n.cluster.partitionInfo("orders", 0); at == nil || at.LogStartOffset != start {
			t.Errorf("the log starts at %+v, want %d", at, start)
		}
		dir = n.left()
		n.close()
	}
}

// Nothing is deleted that was not noted, although records come meanwhile: the end
// that was meant is the one that was noted.
func TestNoMoreIsDeletedThanIsNoted(t *testing.T) {
	n := segmented(t, 1, nil)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	c := n.client(kgo.MaxBufferedRecords(1), kgo.ProducerLinger(0))
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			_ = c.ProduceSync(ctx, &kgo.Record{Topic: "orders", Value: []byte("more")})
		}
	}()
	for range 200 {
		end := n.cluster.partitionInfo("orders", 0).HighWatermark
		for _, before := range []int64{-1, end + 1} {
			_ = code(t, n.cluster, deletingRecords("orders", before))
			start := n.cluster.partitionInfo("orders", 0).LogStartOffset
			raw, err := os.ReadFile(filepath.Join(n.cluster.cfg.DataDir, startsName))
			if err != nil {
				t.Fatal(err)
			}
			if at, _, err := decodeStarts(raw); err != nil || at["orders"].Partitions[0] < start {
				t.Fatalf("the log starts at %d, noted is %s; %v", start, raw, err)
			}
		}
	}
	stop()
	<-done
}

// A directory of a version that noted nothing is opened without its first
// segments, and what can't be known is said.
func TestWhatAnOlderVersionDeletedIsNotMissed(t *testing.T) {
	for _, c := range []struct {
		name   string
		gone   []string
		damage int
	}{
		{"by its snapshot", nil, 0},
		{"the first", []string{"0.dat", "0.idx"}, 1},
		{"the first, before its index", []string{"0.dat"}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := segmented(t, 1, nil)
			dir := n.cluster.cfg.DataDir
			if c.gone == nil {
				if err := n.cluster.deleteBefore("orders", 0, 2); err != nil {
					t.Fatal(err)
				}
			}
			n.close()
			for _, name := range append([]string{manifestName, txnLogName, startsName}, c.gone...) {
				if strings.Contains(name, ".dat") || strings.Contains(name, ".idx") {
					name = of(name)
				}
				if err := os.Remove(filepath.Join(dir, name)); err != nil && name != startsName {
					t.Fatal(err)
				}
			}
			n = serve(t, Config{DataDir: dir})
			if damage := n.cluster.Loaded().Damage; len(damage) != c.damage {
				t.Errorf("damage %+v, want %d", damage, c.damage)
			}
			start := n.cluster.partitionInfo("orders", 0).LogStartOffset
			sound(t, n.left(), start)
			left := n.left()
			first := fmt.Sprintf("%d.dat", start)
			if err := os.Remove(filepath.Join(left, of(first))); err != nil {
				t.Fatal(err)
			}
			refusedOf(t, left, of(first)) // which this version wrote down
		})
	}
}

// kfake's logs, and ours, are missed when they are emptied in a directory's first
// life, whose manifest knows them empty.
func TestLogsThatAreEmptiedInTheFirstLifeAreMissed(t *testing.T) {
	n := segmented(t, 1, nil)
	for _, name := range []string{"groups.log", "pids.log", txnLogName} {
		t.Run(name, func(t *testing.T) {
			dir := n.left()
			if err := os.Truncate(filepath.Join(dir, name), 0); err != nil {
				t.Fatal(err)
			}
			refusedOf(t, dir, name)
		})
	}
	// And still after a kill that nothing was written after.
	left := serve(t, Config{DataDir: n.left()}).left()
	if err := os.Truncate(filepath.Join(left, "groups.log"), 0); err != nil {
		t.Fatal(err)
	}
	refusedOf(t, left, "groups.log")
}

// What log_starts.json said can't be known otherwise.
func TestDamageOfTheLogStartsStopsTheStart(t *testing.T) {
	for _, end := range []string{"killed", "stopped"} {
		n := segmented(t, 1, nil)
		if got := code(t, n.cluster, deletingRecords("orders", 2)); got != 0 {
			t.Fatalf("error %d", got)
		}
		whole := n.left()
		if end == "stopped" {
			whole = n.cluster.cfg.DataDir
			n.close()
		}
		raw, err := os.ReadFile(filepath.Join(whole, startsName))
		if err != nil {
			t.Fatal(err)
		}
		spoiled := map[string][]byte{"missing": nil, "empty": {}, "half": raw[:len(raw)/2], "zeros behind": append(bytes.Clone(raw), make([]byte, 100)...)}
		for i := range raw {
			flipped := bytes.Clone(raw)
			flipped[i] ^= 0x15
			if _, _, err := decodeStarts(flipped); err == nil {
				t.Errorf("a flipped byte %d was not noticed", i)
			}
			spoiled["flipped"] = flipped
		}
		for fault, b := range spoiled {
			t.Run(end+" "+fault, func(t *testing.T) {
				dir := copyOf(t, whole)
				err := os.Remove(filepath.Join(dir, startsName))
				if b != nil {
					err = os.WriteFile(filepath.Join(dir, startsName), b, 0o600)
				}
				if err != nil {
					t.Fatal(err)
				}
				refusedOf(t, dir, startsName)
			})
		}
	}
}

// A folder, or a link that leads nowhere, in a file's place is as if the file were
// missing.
func TestWhatIsNoFileIsRefusedUntilTheLossIsAccepted(t *testing.T) {
	n := segmented(t, 1, nil)
	if got := code(t, n.cluster, deletingRecords("orders", 1)); got != 0 {
		t.Fatalf("error %d", got)
	}
	for _, name := range []string{"meta.json", "topics.json", "quotas.json", "groups.log", "pids.log", txnLogName, startsName, of("1.dat"), of("4.dat")} {
		for _, fault := range []string{"folder", "link"} {
			t.Run(fault+" "+name, func(t *testing.T) {
				dir := n.left()
				path := filepath.Join(dir, name)
				err := os.Remove(path)
				if err == nil && fault == "folder" {
					err = os.Mkdir(path, 0o700)
				} else if err == nil {
					err = os.Symlink(filepath.Join(dir, "nowhere"), path)
				}
				if err != nil {
					t.Fatal(err)
				}
				if _, err := Open(Config{DataDir: dir}); err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "--accept-data-loss") {
					t.Fatalf("Open: %v, want %s and the remedy named", err, name)
				}
				n := serve(t, Config{DataDir: dir, AcceptLoss: true})
				n.produceOne("orders", "new")
				n.close()
				serve(t, Config{DataDir: dir}).close()
			})
		}
	}
	// An index is made anew without a word.
	dir := n.left()
	if err := os.Remove(filepath.Join(dir, of("4.idx"))); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, of("4.idx")), 0o700); err != nil {
		t.Fatal(err)
	}
	sound(t, dir, 1)
}

// Where the end of a segment is gone, what was acknowledged is said to be lost if
// the index knows of it, and never that nothing is.
func TestALostEndIsSaid(t *testing.T) {
	const batches = 10
	dir := t.TempDir()
	n := serve(t, Config{DataDir: dir})
	n.orders(batches)
	at := batchAt(t, filepath.Join(dir, of("0.dat")), batches/2)
	for fault, spoil := range map[string]func(b []byte) []byte{
		"cut at a batch":    func(b []byte) []byte { return b[:at] },
		"cut within one":    func(b []byte) []byte { return b[:at+20] },
		"cut behind a head": func(b []byte) []byte { return b[:at+batchHeaderBytes+3] },
		"zeros":             func(b []byte) []byte { clear(b[at:]); return b },
		"half zeros":        func(b []byte) []byte { clear(b[at+20:]); return b },
	} {
		for _, indexed := range []bool{true, false} {
			t.Run(fmt.Sprint(fault, " indexed ", indexed), func(t *testing.T) {
				left := n.left()
				path := filepath.Join(left, of("0.dat"))
				b, err := os.ReadFile(path)
				if err == nil {
					err = os.WriteFile(path, spoil(b), 0o600)
				}
				if err == nil && !indexed {
					err = os.Truncate(filepath.Join(left, of("0.idx")), batches/2*indexEntryBytes)
				}
				if err != nil {
					t.Fatal(err)
				}
				var lines lockedLog
				again := serve(t, Config{DataDir: left, Logger: slog.New(slog.NewTextHandler(&lines, nil))})
				damage := again.cluster.Loaded().Damage
				if !indexed && fault == "cut at a batch" {
					if len(damage) > 0 { // nothing tells
						t.Errorf("damage %+v", damage)
					}
					return
				}
				half := !indexed && strings.HasPrefix(fault, "cut")
				if len(damage) != 1 || damage[0].Lost == half || damage[0].Offset != batches/2 {
					t.Errorf("damage %+v", damage)
				}
				if said := lines.said(); strings.Contains(said, "nothing that was acknowledged is lost") || half && !strings.Contains(said, "may have been acknowledged") {
					t.Errorf("said:\n%s", said)
				}
			})
		}
	}
}

// A log of commits that was zeroed or cut says what may be gone.
func TestALostEndOfALogIsSaid(t *testing.T) {
	whole := segmented(t, 2, nil)
	commitOn(t, whole, "orders", 4)
	for fault, lost := range map[string]bool{"zeros": true, "half": false} {
		dir := whole.left()
		path := filepath.Join(dir, "groups.log")
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		size := len(raw) - 5
		if fault == "zeros" {
			clear(raw[size-40:])
			size = len(raw)
		}
		if err := os.WriteFile(path, raw[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		m := newRecovery(&Config{DataDir: dir})
		if _, err := m.recoverLog("groups.log"); err != nil || len(m.report.Damage) != 1 || m.report.Damage[0].Lost != lost ||
			!lost && !strings.Contains(m.report.Damage[0].What, "may have been acknowledged") {
			t.Errorf("%s: %+v, %v", fault, m.report.Damage, err)
		}
	}
}

// A directory whose log_starts.json has no checksum yet gets one at the first
// start, and its manifest is missed from then on.
func TestAManifestIsMissedWhateverVersionBeganTheLogStarts(t *testing.T) {
	n := segmented(t, 1, nil)
	if got := code(t, n.cluster, deletingRecords("orders", 2)); got != 0 {
		t.Fatalf("error %d", got)
	}
	dir := n.cluster.cfg.DataDir
	n.close()
	path := filepath.Join(dir, startsName)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := bytes.Cut(raw, []byte("\n"))
	if err := errors.Join(os.WriteFile(path, line, 0o600), writeManifest(dir, true)); err != nil {
		t.Fatal(err)
	}
	left := serve(t, Config{DataDir: dir}).left()
	if err := os.Remove(filepath.Join(left, manifestName)); err != nil {
		t.Fatal(err)
	}
	refusedOf(t, left, manifestName)
}
