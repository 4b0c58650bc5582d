package lint

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/printer"
	"go/token"
	"maps"
	"path"
	"slices"
	"strings"
)

// surfaceDir has a file for each public package, with a line for each exported name.
const surfaceDir = "api"

// Surface is what the public packages export: the lines of each file of surfaceDir, by
// the file's path. What only some systems have is in it, too.
func Surface(t *Tree) map[string]string {
	lines := map[string]map[string]bool{}
	t.Go(func(f *File) {
		if f.Test() || !f.Public() || t.foreign(f.Path) {
			return
		}
		name := surfaceFile(f.Dir())
		if lines[name] == nil {
			lines[name] = map[string]bool{}
		}
		for _, d := range f.AST.Decls {
			for _, line := range f.exports(d) {
				lines[name][line] = true
			}
		}
	})
	all := map[string]string{}
	for name, set := range lines {
		if len(set) > 0 {
			all[name] = strings.Join(slices.Sorted(maps.Keys(set)), "\n") + "\n"
		}
	}
	return all
}

// Public says that other modules may import the file's package.
func (f *File) Public() bool {
	top, _, _ := strings.Cut(f.Path, "/")
	return !f.Internal() && f.AST.Name.Name != "main" && top != "bench" && top != "examples" && top != "scripts"
}

func surfaceFile(dir string) string {
	name := "kring"
	if dir != "." && dir != "" {
		name += "-" + strings.ReplaceAll(dir, "/", "-")
	}
	return path.Join(surfaceDir, name+".txt")
}

// exports are the lines of one declaration.
func (f *File) exports(d ast.Decl) (lines []string) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if !d.Name.IsExported() || !exportedReceiver(d) {
			return nil
		}
		signature := strings.TrimPrefix(f.code(d.Type), "func")
		if d.Recv == nil {
			return []string{"func " + d.Name.Name + signature}
		}
		return []string{fmt.Sprintf("method (%s) %s%s", f.code(d.Recv.List[0].Type), d.Name.Name, signature)}
	case *ast.GenDecl:
		of := "" // the type of consts whose lines leave it out
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				lines = append(lines, f.typeLines(s)...)
			case *ast.ValueSpec:
				if s.Type != nil || len(s.Values) > 0 {
					of = f.code(s.Type)
				}
				lines = append(lines, valueLines(d.Tok, s, of)...)
			}
		}
	}
	return lines
}

func valueLines(tok token.Token, s *ast.ValueSpec, of string) (lines []string) {
	for _, n := range s.Names {
		if n.IsExported() {
			lines = append(lines, strings.TrimSpace(tok.String()+" "+n.Name+" "+of))
		}
	}
	return lines
}

func (f *File) typeLines(s *ast.TypeSpec) (lines []string) {
	if !s.Name.IsExported() {
		return nil
	}
	name := "type " + s.Name.Name
	if s.Assign.IsValid() {
		return []string{name + " = " + f.code(s.Type)}
	}
	switch t := s.Type.(type) {
	case *ast.StructType:
		lines = append(lines, name+" struct")
		for _, field := range t.Fields.List {
			for _, n := range field.Names {
				if n.IsExported() {
					lines = append(lines, name+" struct, "+n.Name+" "+f.code(field.Type))
				}
			}
			if len(field.Names) == 0 {
				lines = append(lines, name+" struct, embeds "+f.code(field.Type))
			}
		}
	case *ast.InterfaceType:
		lines = append(lines, name+" interface")
		for _, m := range t.Methods.List {
			if len(m.Names) == 0 {
				lines = append(lines, name+" interface, embeds "+f.code(m.Type))
			}
			for _, n := range m.Names {
				lines = append(lines, name+" interface, "+n.Name+strings.TrimPrefix(f.code(m.Type), "func"))
			}
		}
	default:
		lines = append(lines, name+" "+f.code(t))
	}
	return lines
}

// code is a node as Go, in one line; nothing for none.
func (f *File) code(n ast.Node) string {
	if e, ok := n.(ast.Expr); n == nil || ok && e == nil {
		return ""
	}
	var b bytes.Buffer
	_ = printer.Fprint(&b, f.Set, n)
	return strings.Join(strings.Fields(b.String()), " ")
}
