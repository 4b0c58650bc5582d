package lint

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strings"
)

// Rule is one house rule.
type Rule struct {
	Name  string
	Check func(*Tree) []Finding
}

// Rules are all of them.
var Rules = []Rule{
	{"imports follow the layering", layering},
	{"unsafe is only in files that say so", unsafeFiles},
	{"functions and files stay short", lengths},
	{"every package says its job", packageComments},
	{"what is exported is documented", exportedDocs},
	{"atomics are typed", typedAtomics},
	{"tests wait on conditions", sleeps},
	{"a skipped test proves that it must be", skips},
	{"names are ours", names},
	{"nothing is left to do", leftovers},
	{"no place of one machine is named", places},
	{"raw results are named", rawResults},
	{"DESIGN.md names what there is", designNames},
	{"commands of documents are run", documents},
	{"everything is formatted", formatted},
}

const (
	functionLinesMax = 70
	fileLinesMax     = 600
)

// tables are files that may be longer than fileLinesMax: lists of what others
// define, in their order.
var tables = []string{"uring/abi.go"}

func unsafeFiles(t *Tree) (found []Finding) {
	t.Go(func(f *File) {
		if strings.HasSuffix(f.Path, "_unsafe.go") || strings.HasSuffix(f.Path, "_unsafe_test.go") {
			return
		}
		for _, i := range f.AST.Imports {
			if i.Path.Value == `"unsafe"` {
				found = append(found, f.At(i.Pos(), "unsafe outside a file named *_unsafe.go: move these lines to one, each saying why it is sound"))
			}
		}
	})
	return found
}

func lengths(t *Tree) (found []Finding) {
	t.Go(func(f *File) {
		if n := bytes.Count(f.Source, []byte("\n")); n > fileLinesMax && !slices.Contains(tables, f.Path) {
			found = append(found, f.At(f.AST.Package, fmt.Sprintf("%d lines: split the file by topic, %d at most", n, fileLinesMax)))
		}
		for _, d := range f.AST.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Body == nil {
				continue
			}
			if n := f.Set.Position(fn.End()).Line - f.Set.Position(fn.Pos()).Line + 1; n > functionLinesMax {
				found = append(found, f.At(fn.Pos(), fmt.Sprintf("%s has %d lines: give its steps names of their own, %d at most", fn.Name.Name, n, functionLinesMax)))
			}
		}
	})
	return found
}

var paragraphs = []string{"Job", "Flow", "Ownership", "Never", "Kernel"}

func packageComments(t *Tree) (found []Finding) {
	docs, first := map[string]string{}, map[string]*File{}
	t.Go(func(f *File) {
		if f.Test() || t.foreign(f.Path) {
			return
		}
		if first[f.Dir()] == nil {
			first[f.Dir()] = f
		}
		docs[f.Dir()] += f.AST.Doc.Text()
	})
	for dir, f := range first {
		if docs[dir] == "" {
			found = append(found, f.At(f.AST.Package, "package without a comment: begin one file with what it is for"))
			continue
		}
		for _, p := range paragraphs {
			if f.AST.Name.Name != "main" && !regexp.MustCompile(`\b`+p+`:`).MatchString(docs[dir]) {
				found = append(found, f.At(f.AST.Package, `package comment without "`+p+`:": say it in a sentence, even if it is "none"`))
			}
		}
	}
	return found
}

func exportedDocs(t *Tree) (found []Finding) {
	t.Go(func(f *File) {
		if f.Test() || f.Internal() || f.AST.Name.Name == "main" || t.foreign(f.Path) {
			return
		}
		for _, d := range f.AST.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() && exportedReceiver(d) && d.Doc == nil && !wellKnown[d.Name.Name] {
					found = append(found, f.At(d.Pos(), d.Name.Name+" has no comment: say what it promises"))
				}
			case *ast.GenDecl:
				found = append(found, undocumented(f, d)...)
			}
		}
	})
	return found
}

// wellKnown are methods whose name says it all.
var wellKnown = map[string]bool{"String": true, "Error": true, "Unwrap": true}

func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	t := d.Recv.List[0].Type
	if star, ok := t.(*ast.StarExpr); ok {
		t = star.X
	}
	if generic, ok := t.(*ast.IndexExpr); ok {
		t = generic.X
	}
	id, ok := t.(*ast.Ident)
	return ok && id.IsExported()
}

// undocumented are the names of d without a comment: in a group, each has its own, but
// for what is not public and for tables of names that others have given.
func undocumented(f *File, d *ast.GenDecl) (found []Finding) {
	alike := len(d.Specs) == 1 || !f.Public() || slices.Contains(tables, f.Path)
	for _, s := range d.Specs {
		var at *ast.Ident
		documented := d.Doc != nil
		switch s := s.(type) {
		case *ast.TypeSpec:
			at, documented = s.Name, documented && len(d.Specs) == 1 || s.Doc != nil || s.Comment != nil
		case *ast.ValueSpec:
			at, documented = s.Names[0], documented && alike || s.Doc != nil || s.Comment != nil
		}
		if at != nil && at.IsExported() && !documented {
			found = append(found, f.At(at.Pos(), at.Name+" has no comment: say what it means"))
		}
	}
	return found
}

// calls visits every use of package.name in f.
func (f *File) calls(pkg string, visit func(at token.Pos, name string)) {
	ast.Inspect(f.AST, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if id, ok := s.X.(*ast.Ident); ok && id.Name == pkg {
				visit(s.Pos(), s.Sel.Name)
			}
		}
		return true
	})
}

var rawAtomic = regexp.MustCompile(`^(Add|And|Or|Load|Store|Swap|CompareAndSwap)(Int32|Int64|Uint32|Uint64|Uintptr|Pointer)$`)

func typedAtomics(t *Tree) (found []Finding) {
	t.Go(func(f *File) {
		f.calls("atomic", func(at token.Pos, name string) {
			if rawAtomic.MatchString(name) {
				found = append(found, f.At(at, "atomic."+name+": use a typed atomic (atomic.Uint32 …), which can't be read plainly by mistake"))
			}
		})
	})
	return found
}

func sleeps(t *Tree) (found []Finding) {
	t.Go(func(f *File) {
		if !f.Test() {
			return
		}
		f.calls("time", func(at token.Pos, name string) {
			if name == "Sleep" {
				found = append(found, f.At(at, "time.Sleep in a test: wait on the condition itself (a channel, a counter) with a deadline"))
			}
		})
	})
	return found
}

var skipProof = regexp.MustCompile(`lint:ignore skip \S+`)

func skips(t *Tree) (found []Finding) {
	t.Go(func(f *File) {
		if !f.Test() {
			return
		}
		proven := map[int]bool{}
		for _, group := range f.AST.Comments {
			for _, c := range group.List {
				if skipProof.MatchString(c.Text) {
					line := f.Set.Position(c.Pos()).Line
					proven[line-1], proven[line], proven[line+1] = true, true, true
				}
			}
		}
		for _, receiver := range []string{"t", "b", "f", "tb"} {
			f.calls(receiver, func(at token.Pos, name string) {
				if (name == "Skip" || name == "Skipf" || name == "SkipNow") && !proven[f.Set.Position(at).Line] {
					found = append(found, f.At(at, "a skipped test hides a failure: prove that it can't run here, and say how in a comment beside it: lint:ignore skip <proof>"))
				}
			})
		}
	})
	return found
}
