// Command crosscheck type-checks the module in the working directory, its tests too, for
// other systems. It reads the sources of everything that is imported and compiles nothing:
// a compiler would take twenty times as long for each system.
//
// usage: crosscheck GOOS/GOARCH...
package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/tools/go/packages"
)

func main() {
	bad := false
	for _, target := range os.Args[1:] {
		faults, err := check(target)
		if err != nil {
			faults = []string{err.Error()}
		}
		for _, f := range faults {
			fmt.Printf("%s: %s\n", target, f)
		}
		bad = bad || len(faults) > 0
	}
	if bad {
		os.Exit(1)
	}
}

// check gives what does not compile on target, of the module's own packages.
func check(target string) ([]string, error) {
	system, arch, ok := strings.Cut(target, "/")
	if !ok {
		return nil, fmt.Errorf("not GOOS/GOARCH")
	}
	root, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	all, err := packages.Load(&packages.Config{
		Mode: packages.NeedName | packages.NeedFiles | packages.NeedCompiledGoFiles | packages.NeedImports |
			packages.NeedDeps | packages.NeedTypes | packages.NeedSyntax | packages.NeedTypesSizes,
		Env:   append(os.Environ(), "GOOS="+system, "GOARCH="+arch, "CGO_ENABLED=0"),
		Tests: true,
		ParseFile: func(fset *token.FileSet, name string, src []byte) (*ast.File, error) {
			file, err := parser.ParseFile(fset, name, src, parser.SkipObjectResolution)
			if file != nil && !strings.HasPrefix(name, root+string(filepath.Separator)) {
				dropBodies(file)
			}
			return file, err
		},
	}, "./...")
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no package found")
	}
	var faults []string
	for _, p := range all { // what they import has no bodies, and so imports that nothing uses
		if strings.HasSuffix(p.PkgPath, ".test") {
			continue // written by go list, and outside of the module
		}
		for _, e := range p.Errors {
			faults = append(faults, e.Error())
		}
	}
	return faults, nil
}

// dropBodies leaves what others can see of a file.
func dropBodies(file *ast.File) {
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok {
			f.Body = nil
		}
	}
}
