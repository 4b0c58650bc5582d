package kring

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

// TestEveryFieldSaysWhatItsChangeTakesEffectOn holds docs/reconfigure.md against
// Config and against what Reconfigure refuses.
func TestEveryFieldSaysWhatItsChangeTakesEffectOn(t *testing.T) {
	text, err := os.ReadFile("docs/reconfigure.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if cells := strings.Split(line, "|"); len(cells) > 4 && strings.Contains(cells[1], "`") {
			rows[strings.Trim(cells[1], " `")] = line
		}
	}
	for _, name := range paths("", reflect.TypeFor[Config]()) {
		row, known := rows[name]
		delete(rows, name)
		why, refused := restart[name]
		switch {
		case !known:
			t.Errorf("%s has no row: say what its change takes effect on, and make it so", name)
		case refused != strings.Contains(row, "| restart |"), refused && !strings.Contains(row, why):
			t.Errorf("%s: Reconfigure refuses it %v (%s), the row says %s", name, refused, why, row)
		}
	}
	for name := range rows {
		t.Errorf("%s is no field of Config", name)
	}
	for name := range restartOfListener {
		if _, ok := reflect.TypeFor[ListenerConfig]().FieldByName(name); !ok {
			t.Errorf("%s is no field of ListenerConfig", name)
		}
	}
}

// paths are the fields of a Config and of its groups.
func paths(at string, of reflect.Type) (all []string) {
	for i := range of.NumField() {
		f := of.Field(i)
		if f.Type.Kind() == reflect.Struct && f.Type.PkgPath() == of.PkgPath() && f.Name != "Events" {
			all = append(all, paths(at+f.Name+".", f.Type)...)
			continue
		}
		all = append(all, at+f.Name)
	}
	return all
}
