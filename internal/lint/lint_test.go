package lint

import (
	"strings"
	"testing"
)

func TestTheTreeKeepsTheHouseRules(t *testing.T) {
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	tree, err := Load(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(tree.Files) < 50 {
		t.Fatalf("only %d files were found below %s", len(tree.Files), root)
	}
	for _, rule := range Rules {
		t.Run(rule.Name, func(t *testing.T) {
			for _, f := range rule.Check(tree) {
				t.Errorf("%s:%d: %s", f.Path, f.Line, f.Text)
			}
		})
	}
}

// breaks has one file per rule that breaks that rule and no other.
var breaks = []struct{ rule, path, source string }{
	{"imports follow the layering", "engine/a.go", "import _ \"kring/uring\"\n"},
	{"imports follow the layering", "nowhere/a.go", ""},
	{"imports follow the layering", "uring/a.go", "import _ \"" + giouring + "\"\n"},
	{"imports follow the layering", "engine/a_test.go", "import _ \"" + giouring + "\"\n"},
	{"imports follow the layering", "cmd/kring/a.go", "import _ \"" + kfake + "\"\n"},
	{"imports follow the layering", "cmd/kring/a.go", "import _ \"kring/bench\"\n"},
	{"unsafe is only in files that say so", "engine/a.go", "import _ \"unsafe\"\n"},
	{"functions and files stay short", "engine/a.go", "func f() {\n" + strings.Repeat("\tf()\n", 69) + "}\n"},
	{"functions and files stay short", "engine/a.go", strings.Repeat("// A line.\n", 601)},
	{"what is exported is documented", "engine/a.go", "func F() {}\n"},
	{"what is exported is documented", "engine/a.go", "type T int\n"},
	{"what is exported is documented", "engine/a.go", "const C = 1\n"},
	{"what is exported is documented", "engine/a.go", "// Both.\nconst (\n\tC = 1\n\tD = 2\n)\n"},
	{"atomics are typed", "engine/a.go", "import \"sync/atomic\"\n\nvar x uint32\nvar y = atomic.LoadUint32(&x)\n"},
	{"tests wait on conditions", "engine/a_test.go", "import \"time\"\n\nfunc f() { time.Sleep(1) }\n"},
	{"a skipped test proves that it must be", "engine/a_test.go", "import \"testing\"\n\nfunc f(t *testing.T) { t.Skip() }\n"},
	{"names are ours", "engine/a.go", "type ringManager struct{}\n"},
	{"names are ours", "engine/a.go", "func newWorker() {}\n"},
	{"nothing is left to do", "engine/a.go", "// TO" + "DO: all of it.\n"},
	{"no place of one machine is named", "engine/a.go", "const dir = \"/ho" + "me/me\"\n"},
	{"no place of one machine is named", "scripts/a.sh", "cd /wo" + "rk/x\n"},
	{"raw results are named", "bench/raw/1.jsonl.gz", "\x1f\x8b\x00"},
	{"raw results are named", "a.md", "From `2.jsonl.gz`.\n"},
	{"DESIGN.md names what there is", "DESIGN.md", "See `engine/gone.go`.\n"},
	{"DESIGN.md names what there is", "DESIGN.md", "`Config.NoSuchField` bounds it.\n"},
	{"commands of documents are run", "docs/a.md", "```\nkring serve\n```\n"},
	{"commands of documents are run", "docs/a.md", "<!-- not run: -->\n```text\n$ kring serve\n```\n"},
	{"commands of documents are run", "README.md", "Run it:\n\n    kring serve\n"},
	{"commands of documents are run", "docs/a.md", "<!-- not run: needs Docker -->\n```sh\ndocker run kring\n```\n"},
	{"commands of documents are run", "docs/a.md", "```sh\n$ kring serve\n```\n"},
	{"everything is formatted", "engine/a.go", "var  x int\n"},
}

func TestEveryRuleBites(t *testing.T) {
	bitten := map[string]bool{"every package says its job": true} // below
	for _, b := range breaks {
		bitten[b.rule] = true
		source := b.source
		if strings.HasSuffix(b.path, ".go") {
			source = "package a\n"
			if b.source != "" {
				source += "\n" + b.source
			}
			if !strings.HasSuffix(b.path, "_test.go") {
				source = "// Package a. Job: x. Flow: x. Ownership: x. Never: x. Kernel: x.\n" + source
			}
		}
		tree := &Tree{}
		if err := tree.Add(b.path, []byte(source)); err != nil {
			t.Fatal(err)
		}
		for _, rule := range Rules {
			found := rule.Check(tree)
			if (len(found) > 0) != (rule.Name == b.rule) {
				t.Errorf("%q: rule %q found %v in %s:\n%s", b.rule, rule.Name, found, b.path, source)
			}
		}
	}
	for _, rule := range Rules {
		if !bitten[rule.Name] {
			t.Errorf("rule %q has no file that breaks it", rule.Name)
		}
	}
}

func TestAPackageCommentLacksNoParagraph(t *testing.T) {
	for source, want := range map[string]int{
		"package a\n":                                  1,
		"// Package a.\npackage a\n":                   5,
		"// Package a. Job: x. Flow: x.\npackage a\n":  3,
		"// Command a does something.\npackage main\n": 0,
	} {
		tree := &Tree{}
		if err := tree.Add("engine/a.go", []byte(source)); err != nil {
			t.Fatal(err)
		}
		if found := packageComments(tree); len(found) != want {
			t.Errorf("%q: %v, want %d findings", source, found, want)
		}
	}
}

func TestAProvenSkipIsAllowed(t *testing.T) {
	tree := &Tree{}
	source := "package a\n\nimport \"testing\"\n\nfunc f(t *testing.T) {\n\t// lint:ignore skip uname says 5.10, the feature came with 5.19\n\tt.Skip()\n}\n"
	if err := tree.Add("engine/a_test.go", []byte(source)); err != nil {
		t.Fatal(err)
	}
	if found := skips(tree); len(found) > 0 {
		t.Error(found)
	}
}
