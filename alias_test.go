package kring

import (
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"regexp"
	"testing"
)

// aliases are the types of other packages that have a name here.
var aliases = map[string]reflect.Type{
	"Request": reflect.TypeFor[Request](), "Conn": reflect.TypeFor[Conn](), "ConnName": reflect.TypeFor[ConnName](),
	"Part": reflect.TypeFor[Part](), "CloseReason": reflect.TypeFor[CloseReason](), "ConnInfo": reflect.TypeFor[ConnInfo](),
	"RequestStats": reflect.TypeFor[RequestStats](), "Distribution": reflect.TypeFor[Distribution](),
	"ResponseMemory": reflect.TypeFor[ResponseMemory](), "ServerFull": reflect.TypeFor[ServerFull](), "Proxy": reflect.TypeFor[Proxy](), "Descriptors": reflect.TypeFor[Descriptors](),
}

// processors are methods of Conn that are not a Handler's.
var processors = map[string]bool{"Forward": true, "SetEndDetail": true, "SetTLS": true, "SetTotals": true}

// TestAnAliasNamesWhatItHas: go doc shows neither fields nor methods of a type that is
// another package's, only the comment here.
func TestAnAliasNamesWhatItHas(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "handler.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, d := range f.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.TYPE {
			continue
		}
		s := g.Specs[0].(*ast.TypeSpec)
		if !s.Assign.IsValid() || !s.Name.IsExported() {
			continue
		}
		of := aliases[s.Name.Name]
		if of == nil {
			t.Errorf("%s: add it to aliases", s.Name.Name)
			continue
		}
		found++
		for _, name := range names(of) {
			if !regexp.MustCompile(`\b`+name+`\b`).MatchString(g.Doc.Text()) && !processors[name] {
				t.Errorf("%s: its comment says nothing of %s, and go doc shows nothing else", s.Name.Name, name)
			}
		}
	}
	if found != len(aliases) {
		t.Errorf("%d aliases, %d are known", found, len(aliases))
	}
}

// names are the exported fields and methods of a type.
func names(of reflect.Type) (all []string) {
	if of.Kind() == reflect.Struct {
		for i := range of.NumField() {
			if f := of.Field(i); f.IsExported() {
				all = append(all, f.Name)
			}
		}
	}
	for p, i := reflect.PointerTo(of), 0; i < p.NumMethod(); i++ {
		all = append(all, p.Method(i).Name)
	}
	return all
}
