package replay

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/record"
)

var update = flag.Bool("update", false, "write the table of docs/record.md")

const (
	recordDoc = "../../docs/record.md"
	docHead   = "| key | API | recorded | played |\n|---|---|---|---|\n"
)

// TestTheTableOfAPIsIsCurrent: what is recorded and played of each API stands in docs/record.md.
func TestTheTableOfAPIsIsCurrent(t *testing.T) {
	var table strings.Builder
	kept := map[record.Keeping]string{record.Always: "whole", record.AlwaysCut: "without records", record.WithPayloads: "with payloads only", record.Never: "never"}
	for key := int16(0); key <= kmsg.MaxKey; key++ {
		if kmsg.RequestForKey(key) == nil {
			continue
		}
		how := Treatment(key)
		played := how.Text
		if !how.Played {
			played = "no: " + how.Text
		}
		fmt.Fprintf(&table, "| %d | %s | %s | %s |\n", key, kmsg.NameForKey(key), kept[record.Keep(key)], played)
	}
	is, err := os.ReadFile(recordDoc)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(is), docHead)
	_, after, _ := strings.Cut(rest, "\n## The format")
	want := before + docHead + table.String() + "\n## The format" + after
	switch {
	case !found:
		t.Fatal("docs/record.md has no table of APIs")
	case string(is) == want:
	case *update:
		if err := os.WriteFile(recordDoc, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Fatal("docs/record.md is not what the tables say: go test ./internal/replay -run TestTheTableOfAPIsIsCurrent -update")
	}
}
