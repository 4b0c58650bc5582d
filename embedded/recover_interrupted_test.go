package embedded

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// paired is a topic with segments of two batches, as a killed process leaves it and as a stopped
// one does.
func paired(t *testing.T) (killed, stopped string) {
	t.Helper()
	n := serve(t, Config{DataDir: t.TempDir()})
	if err := n.cluster.kfake.CreateTopic("orders", 1, map[string]string{"segment.bytes": "200"}); err != nil {
		t.Fatal(err)
	}
	c := n.client(kgo.MaxBufferedRecords(1), kgo.ProducerLinger(0))
	for i := range 8 {
		if err := c.ProduceSync(t.Context(), &kgo.Record{Topic: "orders", Value: fmt.Appendf(nil, "record %d", i)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		commitOn(t, n, "orders", int64(i))
	}
	killed = n.left()
	n.close()
	return killed, n.cluster.cfg.DataDir
}

// segmentsOf are the files of its segments, in their order.
func segmentsOf(t *testing.T, dir string) (names []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "partitions", "orders-0", "*.dat"))
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(files, func(a, b string) int { return cmp.Or(len(a)-len(b), strings.Compare(a, b)) })
	return files
}

// TestARepairThatIsInterruptedEndsAsAnyOther: wherever a start is killed that repairs a directory,
// the next one has to be told to accept nothing, leaves the same, and says all that was lost.
func TestARepairThatIsInterruptedEndsAsAnyOther(t *testing.T) {
	killed, stopped := paired(t)
	n := len(segmentsOf(t, killed))
	if n < 3 {
		t.Fatalf("%d segments: three are needed", n)
	}
	for _, damage := range []struct {
		name string
		do   func(t *testing.T, dir string)
	}{
		{"the first batch of a segment", func(t *testing.T, dir string) { flip(t, segmentsOf(t, dir)[1], batchHeaderBytes, 1) }},
		{"the end of a segment", func(t *testing.T, dir string) { flipEnd(t, segmentsOf(t, dir)[1]) }},
		{"the end of the log", func(t *testing.T, dir string) { flipEnd(t, segmentsOf(t, dir)[n-1]) }},
		{"the first segment", func(t *testing.T, dir string) { spoilAll(t, segmentsOf(t, dir)[0]) }},
		{"a segment and the end of the one before", func(t *testing.T, dir string) {
			flipEnd(t, segmentsOf(t, dir)[0])
			spoilAll(t, segmentsOf(t, dir)[1])
		}},
		{"the last segment", func(t *testing.T, dir string) { spoilAll(t, segmentsOf(t, dir)[n-1]) }},
		{"every segment", func(t *testing.T, dir string) { spoilAll(t, segmentsOf(t, dir)...) }},
		{"the log of groups", func(t *testing.T, dir string) { flip(t, filepath.Join(dir, "groups.log"), 100, 1) }},
	} {
		for _, of := range []struct {
			state, dir string
			snapshot   bool
		}{{"killed, without a snapshot", killed, false}, {"stopped", stopped, true}} {
			t.Run(damage.name+", "+of.state, func(t *testing.T) {
				t.Parallel() // they wait for the disk
				damaged := copyOf(t, of.dir)
				damage.do(t, damaged)
				if !of.snapshot {
					_ = os.Remove(filepath.Join(damaged, "partitions", "orders-0", "snapshot.json"))
				}
				interruptAlways(t, damaged)
			})
		}
	}
}

// interruptAlways repairs copies of a directory, and kills each repair at another step.
func interruptAlways(t *testing.T, damaged string) {
	t.Helper()
	whole := copyOf(t, damaged)
	want, err := recoverData(&Config{DataDir: whole})
	if err != nil || len(want.report.Damage) == 0 {
		t.Fatalf("%+v, %v", want.report.Damage, err)
	}
	for step := int64(0); ; step++ {
		dir := copyOf(t, damaged)
		m, left := newRecovery(&Config{DataDir: dir}), atomic.Int64{}
		left.Store(step)
		m.interrupt = func() bool { return left.Add(-1) < 0 }
		if err := m.run(); err == nil {
			t.Logf("%d steps", step)
			return
		} else if !errors.Is(err, errInterrupted) {
			t.Fatal(err)
		}
		got, err := recoverData(&Config{DataDir: dir})
		if err != nil {
			t.Fatalf("killed before step %d, the next start fails: %v", step, err)
		}
		if got, want := lossesOf(got), lossesOf(want); !slices.Equal(got, want) {
			t.Errorf("killed before step %d, the next start says\n%s\nwant\n%s", step, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if got, want := contents(t, dir), contents(t, whole); got != want {
			t.Errorf("killed before step %d, the directory is\n%s\nwant\n%s", step, got, want)
		}
		if again, err := recoverData(&Config{DataDir: dir}); err != nil || len(again.report.Damage) > 0 {
			t.Errorf("killed before step %d, the start after the next: %+v, %v", step, again.report.Damage, err)
		}
	}
}

// lossesOf is what a start says, but for the names of copies.
func lossesOf(m *recovery) (all []string) {
	for _, d := range m.report.Damage {
		d.Copy = ""
		all = append(all, fmt.Sprintf("%+v", d))
	}
	slices.Sort(all)
	return all
}

// contents are the segments, the snapshot and the logs.
func contents(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	for _, pattern := range []string{"partitions/orders-0/*.dat", "partitions/orders-0/*.idx", "groups.log"} {
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			raw, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasSuffix(name, ".idx") {
				raw = fmt.Appendf(nil, "%d", len(raw)) // the rest is about times
			}
			fmt.Fprintf(&all, "%s %x\n", filepath.Base(name), raw)
		}
	}
	s, err := readSnapshot(filepath.Join(dir, "partitions", "orders-0"))
	if err != nil {
		t.Fatal(err)
	}
	s.CreatedAt = time.Time{}
	fmt.Fprintf(&all, "%+v\n", s)
	return all.String()
}

func flipEnd(t *testing.T, path string) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	flip(t, path, info.Size()-1, 1)
}

// spoilAll leaves nothing that can be read.
func spoilAll(t *testing.T, paths ...string) {
	t.Helper()
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(strings.Repeat("\xff", int(info.Size()))), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
