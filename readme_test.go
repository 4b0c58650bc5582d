package kring_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestTheProgramsInREADMECompileAlone: each Go block of README.md is a whole program that
// a reader can paste, and vet has nothing to say of it.
func TestTheProgramsInREADMECompileAlone(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(blocks) == 0 {
		t.Fatal("README.md has no Go block: it shows how to embed kring")
	}
	for i, b := range blocks {
		if !strings.HasPrefix(b[1], "package main\n") {
			t.Errorf("Go block %d of README.md is no whole program: begin it with package main", i+1)
			continue
		}
		file := filepath.Join(t.TempDir(), "main.go")
		if err := os.WriteFile(file, []byte(b[1]), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"build", "-o", os.DevNull, file}, {"vet", file}} {
			if says, err := exec.Command("go", args...).CombinedOutput(); err != nil {
				t.Errorf("go %s, of Go block %d of README.md: %v\n%s", args[0], i+1, err, says)
			}
		}
	}
}
