//go:build linux

package uring

import (
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"path/filepath"
	"strings"
	"testing"
)

// TestTheEnginesPathNamesNoTechnique: what a receive, a send, an accept, a Poll and a close
// pass through asks for no setting of a technique. It calls hooks.
func TestTheEnginesPathNamesNoTechnique(t *testing.T) {
	settings := map[string]bool{}
	for _, field := range strings.Fields("SQPoll RegisteredRing Restrict Accept DirectFDs Bundles Incremental PollFirst " +
		"ZeroCopyBytes ZeroCopyFixed Send Recv FixedBytes BusyPoll MinWait NAPIBusyPoll") {
		settings[field] = true
	}
	for _, name := range []string{"engine.go", "arm.go", "send.go", "complete.go", "poll.go", "close.go", "wait.go", "quiet.go", "backpressure.go"} {
		ast.Inspect(parsed(t, name), func(n ast.Node) bool {
			if x, ok := n.(*ast.SelectorExpr); ok && settings[x.Sel.Name] {
				if of, ok := x.X.(*ast.SelectorExpr); ok && of.Sel.Name == "config" {
					t.Errorf("%s asks for Config.%s: use a hook", name, x.Sel.Name)
				}
			}
			return true
		})
	}
}

// TestEachTechniqueHasAFileOfItsOwn, and stands in the list.
func TestEachTechniqueHasAFileOfItsOwn(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		here := 0
		tree, err := parser.ParseFile(gotoken.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range tree.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, s := range g.Specs {
				v, ok := s.(*ast.ValueSpec)
				if !ok || len(v.Values) != 1 {
					continue
				}
				if c, ok := v.Values[0].(*ast.CompositeLit); ok {
					if kind, ok := c.Type.(*ast.Ident); ok && kind.Name == "technique" {
						here++
						if g.Doc == nil || !strings.Contains(g.Doc.Text(), "Kernel: ") || !strings.Contains(g.Doc.Text(), "Cost: ") {
							t.Errorf("%s: say of %s since which kernel it is and what it costs", name, v.Names[0].Name)
						}
					}
				}
			}
		}
		if here > 1 {
			t.Errorf("%s has %d techniques", name, here)
		}
		found += here
	}
	if found != len(techniques) {
		t.Errorf("%d techniques are declared, %d are in the list", found, len(techniques))
	}
}
