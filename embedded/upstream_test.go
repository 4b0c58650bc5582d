package embedded

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var writePage = flag.Bool("write", false, "write the list of repairs in docs/embedded.md anew")

const (
	page      = "../docs/embedded.md"
	listBegin = "<!-- The list of repairs: go test ./embedded -run TestThePageListsEveryRepair -write -->\n"
	listEnd   = "<!-- The end of the list of repairs. -->\n"
)

// The page says of each repair what would have to change upstream, so that nobody
// has to look for it in the code, and nothing stands there that is gone.
func TestThePageListsEveryRepair(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	from := bytes.Index(text, []byte(listBegin))
	to := bytes.Index(text, []byte(listEnd))
	if from < 0 || to < from {
		t.Fatalf("%s has no place for the list", page)
	}
	from += len(listBegin)
	list := repairList()
	if string(text[from:to]) == list {
		return
	}
	if !*writePage {
		t.Fatalf("%s does not list the repairs as repairs.go does: run go test ./embedded -run '^%s$' -write", page, t.Name())
	}
	if err := os.WriteFile(page, append(append(text[:from:from], list...), text[to:]...), 0o644); err != nil {
		t.Fatal(err)
	}
}

// repairList is the table, with APIs together that need the same.
func repairList() string {
	var order []string
	apis := map[string][]string{}
	for _, r := range repairs {
		if apis[r.upstream] == nil {
			order = append(order, r.upstream)
		}
		apis[r.upstream] = append(apis[r.upstream], r.key.Name())
	}
	var b strings.Builder
	b.WriteString("\n| API | the repair can go when kfake … |\n|---|---|\n")
	for _, upstream := range order {
		fmt.Fprintf(&b, "| %s | %s |\n", strings.Join(apis[upstream], ", "), upstream)
	}
	b.WriteByte('\n')
	return b.String()
}

// Of what is repaired around kfake, the page names files that are there.
func TestThePageNamesFilesThatAreThere(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`([a-z_*]+\\.go)`").FindAllSubmatch(text, -1)
	if len(named) == 0 {
		t.Error("it names none")
	}
	for _, name := range named {
		if found, err := filepath.Glob(string(name[1])); err != nil || len(found) == 0 {
			t.Errorf("%s is not here (%v)", name[1], err)
		}
	}
}
