package views_test

import (
	"encoding/json"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"kring/views"
)

// documented are the types of JSON, each with a table of its fields in docs/views.md.
var documented = []any{
	views.Connections{}, views.Connection{}, views.ClosedConnection{}, views.CloseRequest{}, views.CloseAnswer{},
	views.Producers{}, views.Producer{}, views.Status{}, views.Limit{}, views.API{}, views.ProcessorList{}, views.Processor{},
}

// TestEveryFieldOfTheJSONIsDocumented, with its type, in its order, and no other.
func TestEveryFieldOfTheJSONIsDocumented(t *testing.T) {
	tables := tablesOf(t, "../docs/views.md")
	for _, of := range documented {
		typ := reflect.TypeOf(of)
		var want [][2]string
		for i := range typ.NumField() {
			name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			want = append(want, [2]string{name, kindOf(typ.Field(i).Type)})
		}
		if !slices.Equal(tables[typ.Name()], want) {
			t.Errorf("%s: docs/views.md has\n%v, the JSON\n%v", typ.Name(), tables[typ.Name()], want)
		}
		delete(tables, typ.Name())
	}
	for name := range tables {
		t.Errorf("docs/views.md has a table of %s, which the test does not know", name)
	}
}

// kindOf is how the document names a type.
func kindOf(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return "time"
	case t.Kind() == reflect.Slice:
		return "list"
	case t.Kind() == reflect.Map, t.Kind() == reflect.Pointer:
		return "object"
	case t.Kind() == reflect.String:
		return "text"
	case t.Kind() == reflect.Bool:
		return "boolean"
	case t.Kind() == reflect.Float64:
		return "number"
	}
	return "integer"
}

// tablesOf are the tables of fields of a document, by the heading above each.
func tablesOf(t *testing.T, file string) map[string][][2]string {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	tables, heading, inside := map[string][][2]string{}, "", false
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		switch cells := strings.Split(line, "|"); {
		case strings.HasPrefix(line, "### "):
			heading = line[4:]
		case line == "| field | type | what it is |":
			inside = true
		case !strings.HasPrefix(line, "|"):
			inside = false
		case inside && !strings.HasPrefix(line, "|---"):
			tables[heading] = append(tables[heading], [2]string{strings.Trim(cells[1], " `"), strings.TrimSpace(cells[2])})
		}
	}
	return tables
}

// TestEveryParameterIsDocumented.
func TestEveryParameterIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/views.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Concat(views.SortKeys(), views.FilterKeys(), []string{"sort", "order", "limit", "offset", "closed_limit", "closed_offset", "reason"}) {
		if !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("docs/views.md says nothing of %s", name)
		}
	}
}

// TestWhatIsAnsweredHasTheDocumentedFields: of each type that is in an answer, in its JSON.
func TestWhatIsAnsweredHasTheDocumentedFields(t *testing.T) {
	for _, of := range documented {
		raw, err := json.Marshal(of)
		if err != nil {
			t.Fatal(err)
		}
		var fields map[string]any
		if err := json.Unmarshal(raw, &fields); err != nil {
			t.Fatal(err)
		}
		for name := range maps.Keys(fields) {
			if name != strings.ToLower(name) {
				t.Errorf("%T: %s", of, name)
			}
		}
	}
}
