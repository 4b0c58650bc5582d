package main

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the tables of docs/configuration.md")

const configDoc = "../../docs/configuration.md"

// tablesOfProperties is the generated end of the document.
func tablesOfProperties() string {
	var b strings.Builder
	b.WriteString("\n## Kafka's properties\n\n| property | flag | setting of one listener | unit | |\n|---|---|---|---|---|\n")
	code := func(text string) string {
		if text == "" {
			return ""
		}
		return "`" + text + "`"
	}
	rows := slices.SortedFunc(slices.Values(properties), func(a, b property) int { return strings.Compare(a.name, b.name) })
	for _, p := range rows {
		flag := ""
		if p.flag != "" {
			flag = "--" + p.flag
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", code(p.name), code(flag), code(p.setting), p.unit, p.note)
	}
	b.WriteString("\n## Properties that are refused\n\nThey would change what the server lets in or does, and can't be had.\n\n| property | remedy |\n|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(refusedProperties)) {
		fmt.Fprintf(&b, "| `%s` | %s |\n", name, refusedProperties[name])
	}
	var names []string
	for _, name := range slices.Sorted(slices.Values(ignoredProperties)) {
		if strings.HasSuffix(name, ".") {
			name += "*"
		}
		names = append(names, "`"+name+"`")
	}
	fmt.Fprintf(&b, "\n## Properties that are ignored\n\n%s\n", strings.Join(names, ", "))
	var own, settings []string
	for name := range flagModel() {
		own = append(own, "`"+ownPrefix+name+"`")
	}
	for name := range listenerSettings {
		settings = append(settings, "`"+ownPrefix+name+"`")
	}
	for name := range programSettings {
		settings = append(settings, "`"+ownPrefix+name+"`")
	}
	slices.Sort(own)
	slices.Sort(settings)
	fmt.Fprintf(&b, "\n## kring's own\n\n`kring serve --help-all` says what each flag does.\n\n%s\n\nBehind `listener.name.NAME.`: %s\n", strings.Join(own, ", "), strings.Join(settings, ", "))
	return b.String()
}

// TestTheTableOfPropertiesIsCurrent holds the document against the table.
func TestTheTableOfPropertiesIsCurrent(t *testing.T) {
	doc, err := os.ReadFile(configDoc)
	if err != nil {
		t.Fatal(err)
	}
	head, tail, marked := strings.Cut(string(doc), "-update -->\n")
	if !marked {
		t.Fatalf("%s has no mark for its tables", configDoc)
	}
	if is := tablesOfProperties(); is != tail && *update {
		if err := os.WriteFile(configDoc, []byte(head+"-update -->\n"+is), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if is != tail {
		t.Errorf("the tables of %s are old; run: go test ./cmd/kring -run TestTheTableOfPropertiesIsCurrent -update", configDoc)
	}
}

// TestTheExampleOfAConfigurationCanBeUsed, and nothing in it is read over.
func TestTheExampleOfAConfigurationCanBeUsed(t *testing.T) {
	var stdout, stderr bytes.Buffer
	status := run([]string{"config", "check", "../../docs/server.properties"}, nil, &stdout, &stderr, nil)
	if status != exitOK || stderr.Len() > 0 || strings.Count(stdout.String(), "\n") != 1 {
		t.Errorf("exit status %d: %s%s", status, stdout.String(), stderr.String())
	}
}
