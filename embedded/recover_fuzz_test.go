package embedded

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
)

// Whatever bytes stand in a file of a data directory, recoverData comes to an end, and
// what it leaves has nothing more to be repaired.
func FuzzRecovery(f *testing.F) {
	names := []string{
		"partitions/two-0/0.dat", "partitions/two-0/0.idx", "partitions/two-0/snapshot.json", "topics.json", "groups.log", "pids.log",
		txnLogName, startsName, manifestName, "seq_windows.json", "session_state.json",
	}
	for i := range names {
		f.Add(uint8(i), uint16(40), uint16(3), []byte("\xff\x00\x02"))
		f.Add(uint8(i), uint16(0), uint16(1<<15), []byte("{}"))
		f.Add(uint8(i), uint16(0), uint16(1<<15), []byte{})
	}
	var once sync.Once
	whole := filepath.Join(f.TempDir(), "whole")
	f.Fuzz(func(t *testing.T, file uint8, at, cut uint16, put []byte) {
		once.Do(func() {
			dir, _, _ := openTransaction(t)
			if err := os.CopyFS(whole, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
		})
		left := killed(t, whole)
		path := filepath.Join(left, names[int(file)%len(names)])
		raw, _ := os.ReadFile(path) // the last two are not there
		from := min(int(at), len(raw))
		raw = slices.Replace(raw, from, min(from+int(cut), len(raw)), put...)
		if err := os.WriteFile(path, bytes.Clone(raw), 0o644); err != nil {
			t.Fatal(err)
		}
		cfg := Config{DataDir: left, AcceptLoss: true}.withDefaults()
		if _, err := recoverData(&cfg); err != nil {
			return // it says what it can't open, and why
		}
		again, err := recoverData(&cfg)
		if err != nil {
			t.Fatalf("what was repaired can't be: %v", err)
		}
		for _, d := range again.report.Damage {
			if d.Lost {
				t.Errorf("lost the second time: %+v", d)
			}
		}
	})
}
