package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestWhatProtectsTopicsIsNotReadOver: a file that says that topics can't be deleted, or made by
// whoever asks for them, says so to nobody else.
func TestWhatProtectsTopicsIsNotReadOver(t *testing.T) {
	for _, name := range []string{"delete.topic.enable", "auto.create.topics.enable"} {
		for value, faults := range map[string]int{"true": 0, "TRUE": 0, "false": 1} {
			path := filepath.Join(t.TempDir(), "server.properties")
			if err := os.WriteFile(path, []byte(name+"="+value+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			if f := readConfigFile(path); len(f.faults) != faults {
				t.Errorf("%s=%s: %v, want %d faults", name, value, f.faults, faults)
			}
		}
	}
}
