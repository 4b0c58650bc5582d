package main

import (
	"go/ast"
	"path"
	"regexp"
	"slices"
	"strings"

	"kring/internal/lint"
)

// test is a test that names rows.
type test struct {
	dir, name string
	ids       []string
	runsOn    string
}

var (
	// kafkaLine is the line of a comment that names rows. It may go over
	// several lines and ends with a full stop.
	kafkaLine = regexp.MustCompile(`(?m)^Kafka:\s([^.]*)\.`)
	// cases are the names of a suite's cases, in parentheses behind it: they are for readers.
	cases = regexp.MustCompile(`\([^)]*\)`)
	// otherID are features and wishes: they may be named without having rows.
	otherID = regexp.MustCompile(`^[FU]-\d+$`)
)

// collect finds all tests that name rows, and in the engines' suite all
// properties that do.
func collect(t *lint.Tree) (all []test) {
	packages := map[string]*funcs{}
	t.Go(func(f *lint.File) {
		p := packages[f.Dir()]
		if p == nil {
			p = &funcs{dir: f.Dir(), decls: map[string]*ast.FuncDecl{}}
			packages[f.Dir()] = p
		}
		p.add(f)
	})
	for _, p := range packages {
		for _, d := range p.decls {
			if ids := idsOf(d); len(ids) > 0 {
				all = append(all, test{dir: p.dir, name: d.Name.Name, ids: ids, runsOn: p.runsOn(d)})
			}
		}
	}
	slices.SortFunc(all, func(a, b test) int {
		return strings.Compare(a.dir+" "+a.name, b.dir+" "+b.name)
	})
	return all
}

// idsOf are the rows that a function's comment names.
func idsOf(d *ast.FuncDecl) (ids []string) {
	for _, m := range kafkaLine.FindAllStringSubmatch(d.Doc.Text(), -1) {
		for _, id := range strings.Split(cases.ReplaceAllString(m[1], ""), ",") {
			if words := strings.Fields(id); len(words) > 0 {
				ids = append(ids, words[0])
			}
		}
	}
	return ids
}

// funcs are the functions of one package, with those of its tests.
type funcs struct {
	dir   string
	decls map[string]*ast.FuncDecl
}

func (p *funcs) add(f *lint.File) {
	for _, d := range f.AST.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Body != nil {
			name := fn.Name.Name
			if fn.Recv != nil {
				name = "." + name // a method: found by its name alone
			}
			p.decls[name] = fn
		}
	}
}

// runsOn says on what a test runs, by what it reaches within its package.
func (p *funcs) runsOn(d *ast.FuncDecl) string {
	if p.dir == "internal/enginetest" {
		return everyEngine // each engine's package runs the whole suite
	}
	called := map[string]bool{}
	p.reach(d, called, map[*ast.FuncDecl]bool{})
	for _, c := range []struct{ call, runsOn string }{
		{"servertest.Each", everyEngine},
		{"servertest.EachEngine", everyEngine},
		{"servertest.Engines", everyEngine},
		{"broker.Each", everyEngine},
		{"enginetest.Run", "its own engine"},
		{"faultengine.New", "the fault engine"},
	} {
		if called[c.call] {
			return c.runsOn
		}
	}
	switch {
	case p.dir == "uring":
		return "io_uring"
	case strings.HasPrefix(p.dir, "fallback/"):
		return path.Base(p.dir)
	}
	return "the part alone"
}

const everyEngine = "io_uring, epoll, portable"

// reach collects what d calls or hands on, in its package or another.
func (p *funcs) reach(d *ast.FuncDecl, called map[string]bool, seen map[*ast.FuncDecl]bool) {
	if d == nil || seen[d] {
		return
	}
	seen[d] = true
	var visit func(n ast.Node) bool
	visit = func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok {
				called[x.Name+"."+n.Sel.Name] = true
			}
			p.reach(p.decls["."+n.Sel.Name], called, seen)
			ast.Inspect(n.X, visit)
			return false // Sel is no function of the package
		case *ast.Ident:
			p.reach(p.decls[n.Name], called, seen)
		}
		return true
	}
	ast.Inspect(d.Body, visit)
}
