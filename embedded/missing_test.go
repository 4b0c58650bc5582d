package embedded

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// lived is what a killed process leaves of a directory with a topic of one segment,
// one of several, one whose front was deleted, and a commit.
func lived(t *testing.T, lives int) string {
	t.Helper()
	n := serve(t, Config{DataDir: t.TempDir()})
	admin := kadm.NewClient(n.client())
	if _, err := admin.CreateTopic(t.Context(), 1, 1, map[string]*string{"segment.bytes": kadm.StringPtr("1048576")}, "rolled"); err != nil {
		t.Fatal(err)
	}
	c := n.client(kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.MaxBufferedRecords(1), kgo.ProducerLinger(0))
	for i := range 5 {
		for _, topic := range []string{"orders", "rolled", "purged"} {
			r := &kgo.Record{Topic: topic, Value: fmt.Appendf(bytes.Repeat([]byte{' '}, 600<<10), "%d", i)}
			if topic != "rolled" {
				r.Value = fmt.Appendf(nil, "record %d", i)
			}
			if err := c.ProduceSync(t.Context(), r).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	commitOn(t, n, "orders", 5)
	if got := code(t, n.cluster, deletingRecords("purged", 3)); got != 0 {
		t.Fatalf("DeleteRecords: error %d", got)
	}
	if err := n.cluster.describeDir(); err != nil { // as after 30 seconds
		t.Fatal(err)
	}
	for range lives - 1 {
		dir := n.cluster.cfg.DataDir
		n.close()
		n = serve(t, Config{DataDir: dir})
		n.produceOne("orders", "another life")
	}
	return n.left()
}

// What a killed process acknowledged and left is missed when it is gone: whole
// files stop the start, in the first life of a directory, too.
func TestFilesThatAreMissingAfterAKillStopTheStart(t *testing.T) {
	const orders, rolled = "partitions/orders-0/", "partitions/rolled-0/"
	for lives := 1; lives <= 2; lives++ {
		whole := lived(t, lives)
		serve(t, Config{DataDir: copyOf(t, whole)}).close()
		for _, try := range []struct {
			fault string
			files []string // the error names the first
		}{
			{"missing", []string{orders + "0.dat"}},
			{"empty", []string{orders + "0.dat"}},
			{"missing", []string{orders + "0.dat", orders + "0.idx", orders + "snapshot.json"}},
			{"missing", []string{orders[:len(orders)-1]}},
			{"missing", []string{rolled + "0.dat"}},
			{"missing", []string{rolled + "0.dat", rolled + "0.idx"}},
			{"missing", []string{rolled + "0.dat", rolled + "0.idx", rolled + "snapshot.json"}},
			{"missing", []string{rolled + "2.dat"}},
			{"missing", []string{rolled + "4.dat"}},
			{"empty", []string{rolled + "4.dat"}},
			{"empty", []string{"groups.log"}},
			{"empty", []string{"pids.log"}},
			{"missing", []string{manifestName}},
			{"missing", []string{startsName}},
			{"empty", []string{startsName}},
			{"half", []string{startsName}},
			{"flipped", []string{startsName}},
			{"zeros", []string{startsName}},
		} {
			t.Run(fmt.Sprintf("life %d, %s %s", lives, try.fault, strings.Join(try.files, " ")), func(t *testing.T) {
				dir := copyOf(t, whole)
				for _, name := range try.files {
					ruin(t, filepath.Join(dir, name), try.fault)
				}
				if c, err := Open(Config{DataDir: dir}); err == nil {
					_ = c.Close()
					t.Fatal("it starts")
				} else if !strings.Contains(err.Error(), try.files[0]) || !strings.Contains(err.Error(), "--accept-data-loss") {
					t.Fatalf("Open: %v, want %s and the remedy named", err, try.files[0])
				}
				n := serve(t, Config{DataDir: dir, AcceptLoss: true})
				if damage := n.cluster.Loaded().Damage; len(damage) == 0 || !damage[0].Lost {
					t.Errorf("damage %+v, want it said", damage)
				}
				n = serve(t, Config{DataDir: n.left()})
				if damage := n.cluster.Loaded().Damage; len(damage) > 0 {
					t.Errorf("said again: %+v", damage)
				}
				n.produceOne("orders", "new")
				n.close()
			})
		}
	}
}

// ruin damages a file, in more ways than spoil.
func ruin(t *testing.T, path, fault string) {
	t.Helper()
	raw, err := os.ReadFile(path)
	switch {
	case fault == "missing":
		if err = os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
		return
	case err != nil:
		t.Fatal(err)
	case fault == "empty":
		raw = nil
	case fault == "half":
		raw = raw[:len(raw)/2]
	case fault == "flipped":
		raw[rand.IntN(len(raw))] ^= 1 << rand.IntN(8)
	case fault == "zeros":
		raw = append(raw, 0, 0, 0, 0)
	}
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

// What the index has and the segment has not was whole once: a kill leaves no
// such thing. Of a write without an end nothing more is said than is known.
func TestWhatIsGoneFromTheEndOfALogIsSaid(t *testing.T) {
	whole := lived(t, 1)
	name := filepath.Join("partitions", "orders-0", "0.dat")
	border := batchAt(t, filepath.Join(whole, name), 2)
	for _, try := range []struct {
		fault string
		lost  bool
		spoil func(raw []byte) []byte
	}{
		{"cut at a batch", true, func(raw []byte) []byte { return raw[:border] }},
		{"cut within a batch", true, func(raw []byte) []byte { return raw[:border+20] }},
		{"zeros", true, func(raw []byte) []byte { clear(raw[border:]); return raw }},
		{"half a batch more", false, func(raw []byte) []byte {
			half := bytes.Clone(raw[:border/4])
			half[7] = 5 // its offset
			return append(raw, half...)
		}},
	} {
		dir := copyOf(t, whole)
		raw, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), try.spoil(raw), 0o600); err != nil {
			t.Fatal(err)
		}
		var lines lockedLog
		n := serve(t, Config{DataDir: dir, Logger: slog.New(slog.NewTextHandler(&lines, nil))})
		d := n.cluster.Loaded().Damage
		if len(d) != 1 || d[0].Lost != try.lost || try.lost && (d[0].Topic != "orders" || d[0].Offset != 2) {
			t.Errorf("%s: %+v", try.fault, d)
		}
		if said := lines.said(); strings.Contains(said, "nothing that was acknowledged") || !strings.Contains(said, filepath.Base(name)) {
			t.Errorf("%s: %s", try.fault, said)
		}
		n.close()
		if n := serve(t, Config{DataDir: dir}); len(n.cluster.Loaded().Damage) > 0 {
			t.Errorf("%s: said again: %+v", try.fault, n.cluster.Loaded().Damage)
		}
	}
}

// A segment, or a partition, that was moved to another disk and linked is read and
// written there.
func TestALinkIsFollowed(t *testing.T) {
	for lives := 1; lives <= 2; lives++ {
		whole := lived(t, lives)
		for _, name := range []string{"partitions/rolled-0/0.dat", "partitions/rolled-0/2.dat", "partitions/rolled-0/4.dat", "partitions/orders-0/0.dat", "partitions/orders-0", "groups.log", "log_starts.json"} {
			dir := copyOf(t, whole)
			path, elsewhere := filepath.Join(dir, name), filepath.Join(t.TempDir(), "elsewhere")
			if err := errors.Join(os.Rename(path, elsewhere), os.Symlink(elsewhere, path)); err != nil {
				t.Fatal(err)
			}
			n := serve(t, Config{DataDir: dir})
			if d := n.cluster.Loaded().Damage; len(d) > 0 {
				t.Errorf("life %d, %s: %+v", lives, name, d)
			}
			n.produceOne("orders", "new")
			if got := n.offsets("rolled"); len(got) != 5 {
				t.Errorf("life %d, %s: %d records of rolled", lives, name, len(got))
			}
			if got := n.offsets("orders"); len(got["record 4"]) != 1 || len(got["new"]) != 1 {
				t.Errorf("life %d, %s: %v", lives, name, got)
			}
			n.close()
			if d := serve(t, Config{DataDir: dir}).cluster.Loaded().Damage; len(d) > 0 {
				t.Errorf("life %d, %s, the next start: %+v", lives, name, d)
			}
		}
		// A link to nowhere is a file that is missing, and nothing is cut for it.
		dir := copyOf(t, whole)
		path := filepath.Join(dir, "partitions/orders-0/0.dat")
		if err := errors.Join(os.Remove(path), os.Symlink(filepath.Join(dir, "nowhere"), path)); err != nil {
			t.Fatal(err)
		}
		if c, err := Open(Config{DataDir: dir}); err == nil {
			_ = c.Close()
			t.Errorf("life %d: it starts with a link to nowhere", lives)
		} else if !strings.Contains(err.Error(), "0.dat") || !strings.Contains(err.Error(), "--accept-data-loss") {
			t.Errorf("life %d: %v", lives, err)
		}
	}
}
