package gateway

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var update = flag.Bool("update", false, "write the table of docs/gateway.md")

const (
	gatewayDoc = "../docs/gateway.md"
	tableMark  = "TestTheTableOfAPIsIsCurrent -update -->\n"
)

func tableOfAPIs() string {
	var b strings.Builder
	b.WriteString("\n| key | API | lane | error | |\n|---|---|---|---|---|\n")
	for _, a := range APIs {
		code := "closed"
		if a.Code != codeNone {
			code = kerr.TypedErrorForCode(a.Code).Message
		}
		switch a.Lane {
		case LaneRefused:
			code = ""
		case LaneHere:
			code = ""
		}
		fmt.Fprintf(&b, "| %d | %s | %v | %s | %s |\n", a.Key, kmsg.NameForKey(a.Key), a.Lane, code, a.Note)
	}
	return b.String()
}

func TestTheTableOfAPIsIsCurrent(t *testing.T) {
	text, err := os.ReadFile(gatewayDoc)
	if err != nil {
		t.Fatal(err)
	}
	before, table, marked := strings.Cut(string(text), tableMark)
	if !marked {
		t.Fatalf("%s has no mark for the table", gatewayDoc)
	}
	if table == tableOfAPIs() {
		return
	}
	if !*update {
		t.Fatal("docs/gateway.md is not what the table of lanes says: go test ./gateway -run TestTheTableOfAPIsIsCurrent -update")
	}
	if err := os.WriteFile(gatewayDoc, []byte(before+tableMark+tableOfAPIs()), 0o644); err != nil {
		t.Fatal(err)
	}
}
