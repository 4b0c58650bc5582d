package main

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"testing"
)

// TestTheClusterTakesWhatTheDocsSay, in the table of docs/memory.md and above it.
func TestTheClusterTakesWhatTheDocsSay(t *testing.T) {
	doc, err := os.ReadFile("../../docs/memory.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile(`(?m)^\| (\d+) MiB \|.* (\d+) MiB \| \d+ MiB \|$`).FindAllSubmatch(doc, -1)
	if len(rows) == 0 {
		t.Fatal("docs/memory.md has no table of defaults")
	}
	for _, row := range rows {
		limit, _ := strconv.ParseInt(string(row[1]), 10, 64)
		if takes := fmt.Sprintf("%.0f", float64(clusterMemory(limit<<20))/(1<<20)); takes != string(row[2]) {
			t.Errorf("of %d MiB the cluster takes %s MiB, docs/memory.md says %s", limit, takes, row[2])
		}
	}
}
