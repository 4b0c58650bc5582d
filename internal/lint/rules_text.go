package lint

import (
	"bytes"
	"go/ast"
	"go/format"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// otherNames are words that our names do not contain, and what to say instead.
var otherNames = map[string]string{
	"Manager":    "say what it does, as a verb made noun (Acceptor)",
	"Helper":     "say what it does",
	"Util":       "move it where it is used",
	"Utils":      "move it where it is used",
	"Impl":       "name it after what is special about it",
	"Base":       "embed nothing to inherit; name the part",
	"Common":     "move it where it is used",
	"Worker":     "Processor or Handler",
	"Dispatcher": "Processor or Acceptor",
	"Driver":     "Engine",
	"Packet":     "frame (with its size) or payload (without)",
}

// kafkaWords are Kafka's own names, which keep their form.
var kafkaWords = []string{"BaseOffset", "BaseSequence", "BaseTimestamp"}

func names(t *Tree) (found []Finding) {
	check := func(f *File, id *ast.Ident) {
		name := id.Name
		for _, w := range kafkaWords {
			name = strings.ReplaceAll(name, w, "")
		}
		for _, w := range camelWords(name) {
			if say, bad := otherNames[w]; bad {
				found = append(found, f.At(id.Pos(), id.Name+": not "+w+"; "+say))
			}
		}
	}
	t.Go(func(f *File) {
		if f.Test() {
			return
		}
		check(f, f.AST.Name)
		for _, d := range f.AST.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				check(f, d.Name)
			case *ast.GenDecl:
				for _, s := range d.Specs {
					if ts, ok := s.(*ast.TypeSpec); ok {
						check(f, ts.Name)
					}
				}
			}
		}
	})
	return found
}

// camelWords splits a name at its capitals; every word begins with one.
func camelWords(name string) (out []string) {
	start := 0
	runes := []rune(name)
	for i := 1; i <= len(runes); i++ {
		if i == len(runes) || runes[i] == '_' || unicode.IsUpper(runes[i]) && !unicode.IsUpper(runes[i-1]) {
			w := []rune(strings.Trim(string(runes[start:i]), "_"))
			if len(w) > 0 {
				w[0] = unicode.ToUpper(w[0])
				out = append(out, string(w))
			}
			start = i
		}
	}
	return out
}

// leftover is spelled so that this line is none.
var leftover = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X|HA` + `CK)\b`)

func leftovers(t *Tree) (found []Finding) {
	t.Go(func(f *File) {
		for _, group := range f.AST.Comments {
			for _, c := range group.List {
				if leftover.MatchString(c.Text) {
					found = append(found, f.At(c.Pos(), "work left in a comment: do it, or open an issue and say nothing here"))
				}
			}
		}
	})
	return found
}

// place finds what means something on one machine only: absolute paths of a
// checkout or a home, and hosts that packages come from. It is spelled so that
// this file has none.
var place = regexp.MustCompile(strings.Join([]string{
	`(^|[\s"'=(:,` + "`" + `])/(work|root|home)/[\w.]`,
	`/tmp/` + `kring/`,
	`(proxy|sum)\.golang` + `\.org`,
	`registry\.npm` + `js\.org`,
	`registry\.yarn` + `pkg\.com`,
	`repo1?\.maven` + `\.(apache\.)?org`,
	`(deb|security)\.deb` + `ian\.org`,
	`py` + `pi\.org`,
	`pythonhos` + `ted\.org`,
}, "|"))

func places(t *Tree) (found []Finding) {
	for _, f := range t.Files {
		if bytes.IndexByte(f.Source, 0) >= 0 {
			continue // data
		}
		for i, line := range bytes.Split(f.Source, []byte("\n")) {
			if m := place.Find(line); m != nil {
				found = append(found, Finding{f.Path, i + 1, string(bytes.TrimSpace(m)) +
					" exists on one machine: use a path in the tree, a temporary folder, or the tool's own configuration"})
			}
		}
	}
	return found
}

// rawRun is how texts name the raw results of a run.
var rawRun = regexp.MustCompile(`[\w-]+\.jsonl\.gz`)

// rawResults: bench/raw has the runs that a text names, and no others.
func rawResults(t *Tree) (found []Finding) {
	const folder = "bench/raw/"
	var texts []*File
	there := map[string]bool{}
	for _, f := range t.Files {
		if name, raw := strings.CutPrefix(f.Path, folder); raw {
			there[name] = true
		} else if strings.HasSuffix(f.Path, ".md") {
			texts = append(texts, f)
		}
	}
	for name := range there {
		if !slices.ContainsFunc(texts, func(f *File) bool { return bytes.Contains(f.Source, []byte(name)) }) {
			found = append(found, Finding{folder + name, 1, "no text names this run: remove it, or name it beside the figures that come from it"})
		}
	}
	for _, f := range texts {
		for i, line := range bytes.Split(f.Source, []byte("\n")) {
			for _, name := range rawRun.FindAll(line, -1) {
				if !there[string(name)] {
					found = append(found, Finding{f.Path, i + 1, folder + string(name) + " is not there: keep the run that a figure comes from"})
				}
			}
		}
	}
	return found
}

var (
	inBackticks = regexp.MustCompile("`([^`\n]+)`")
	// treePath is a path in this tree, exportedName an exported Go name, perhaps with what it
	// belongs to. Words of the kernel and of Kafka (DEFER_TASKRUN) are neither.
	treePath     = regexp.MustCompile(`^\.?[\w-]+(/[\w.-]+)+/?$|^[\w-]+\.(go|sh|md)$`)
	exportedName = regexp.MustCompile(`^(?:\w+\.)*([A-Z]\w*[a-z]\w*)$`)
)

// designNames: what DESIGN.md puts in backticks exists, if it looks like a path in this tree or
// like an exported Go name. So a rename shows where the document has to follow.
func designNames(t *Tree) (found []Finding) {
	at := slices.IndexFunc(t.Files, func(f *File) bool { return f.Path == "DESIGN.md" })
	if at < 0 {
		return nil
	}
	known := map[string]bool{}
	for _, f := range t.Files {
		for p := f.Path; p != "."; p = path.Dir(p) {
			known[p] = true
		}
	}
	t.Go(func(f *File) {
		ast.Inspect(f.AST, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok {
				known[id.Name] = true
			}
			return true
		})
	})
	for i, line := range bytes.Split(t.Files[at].Source, []byte("\n")) {
		for _, m := range inBackticks.FindAllSubmatch(line, -1) {
			name := string(m[1])
			looked := strings.TrimSuffix(name, "/")
			if id := exportedName.FindStringSubmatch(name); id != nil {
				looked = id[1]
			} else if !treePath.MatchString(name) {
				continue
			}
			if !known[looked] {
				found = append(found, Finding{"DESIGN.md", i + 1, name + " is not there: say what is there now, or drop the sentence"})
			}
		}
	}
	return found
}

func formatted(t *Tree) (found []Finding) {
	for _, f := range t.Files {
		if f.AST == nil {
			continue
		}
		if good, err := format.Source(f.Source); err != nil || !bytes.Equal(good, f.Source) {
			found = append(found, f.At(f.AST.Package, "not formatted: run gofmt -w "+f.Path))
		}
	}
	return found
}
