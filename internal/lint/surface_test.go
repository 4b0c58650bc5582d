package lint

import (
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what is exported to api/")

// TestTheExportedSurfaceIsTheOneThatIsCheckedIn: what a change takes from users of the
// library, or promises them, is seen where it is reviewed.
func TestTheExportedSurfaceIsTheOneThatIsCheckedIn(t *testing.T) {
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	tree, err := Load(root)
	if err != nil {
		t.Fatal(err)
	}
	is := Surface(tree)
	if len(is) < 10 {
		t.Fatalf("only %d packages export something: %q", len(is), slices.Sorted(maps.Keys(is)))
	}
	there, err := filepath.Glob(filepath.Join(root, surfaceDir, "*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	was := map[string]string{}
	for _, name := range there {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		was[surfaceDir+"/"+filepath.Base(name)] = string(b)
	}
	if *update {
		rewrite(t, root, was, is)
		return
	}
	for name := range union(was, is) {
		if gone, added := changes(was[name], is[name]); len(gone)+len(added) > 0 {
			t.Errorf("%s: what is exported has changed:\n%s%s"+
				"if it should, run: go test ./internal/lint -run Surface -update; and say in CHANGELOG.md what users have to change",
				name, marked("- ", gone), marked("+ ", added))
		}
	}
}

func rewrite(t *testing.T, root string, was, is map[string]string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(root, surfaceDir), 0o755); err != nil {
		t.Fatal(err)
	}
	for name := range was {
		if is[name] == "" {
			if err := os.Remove(filepath.Join(root, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, text := range is {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func union(a, b map[string]string) map[string]bool {
	all := map[string]bool{}
	for name := range a {
		all[name] = true
	}
	for name := range b {
		all[name] = true
	}
	return all
}

func changes(was, is string) (gone, added []string) {
	before, after := strings.Split(was, "\n"), strings.Split(is, "\n")
	for _, l := range before {
		if !slices.Contains(after, l) {
			gone = append(gone, l)
		}
	}
	for _, l := range after {
		if !slices.Contains(before, l) {
			added = append(added, l)
		}
	}
	return gone, added
}

func marked(with string, lines []string) (all string) {
	for _, l := range lines {
		all += with + l + "\n"
	}
	return all
}

// TestAnExportedNameIsALine: of every kind, and nothing else is.
func TestAnExportedNameIsALine(t *testing.T) {
	tree := &Tree{}
	source := `package a

type T struct {
	F, g int
	E
}
type I interface {
	M(x int) (y error)
}
type A = T
type hidden struct{ Seen int }

func (t *T) M(b []byte) { _ = t }
func (h hidden) Is() {}
func F(f func(int) bool) (int, error) { return 0, nil }

const (
	C T = iota
	D
	e
)

var V, w = 1, 2
`
	if err := tree.Add("quota/a.go", []byte(source)); err != nil {
		t.Fatal(err)
	}
	want := strings.Join([]string{
		"const C T", "const D T", "func F(f func(int) bool) (int, error)", "method (*T) M(b []byte)", "type A = T", "type I interface",
		"type I interface, M(x int) (y error)", "type T struct", "type T struct, F int", "type T struct, embeds E", "var V", "",
	}, "\n")
	if is := Surface(tree); is["api/kring-quota.txt"] != want || len(is) != 1 {
		t.Errorf("%q", is)
	}
}
