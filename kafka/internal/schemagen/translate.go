package main

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"regexp"
	"strconv"
	"strings"
)

// never is the first flexible version of an API that has none.
const never = -1

// translator translates the reader of an API that has flexible versions, or not.
type translator struct {
	flexible bool
	outcome  bool // error codes and throttle times have letters of their own
}

// translate turns the body of a readFrom into its description and the first
// flexible version.
func translate(body *ast.BlockStmt) (description string, flexible int, err error) {
	flexible = never
	var fields []ast.Stmt
	for _, s := range body.List {
		if from, ok := flexibleFrom(s); ok {
			flexible = from
			continue
		}
		fields = append(fields, s)
	}
	description, err = translator{flexible: flexible != never}.structFields(fields)
	return description, flexible, err
}

// translateResponse gives the description of a response. Its flexible versions are those of its
// request.
func translateResponse(body *ast.BlockStmt) (string, error) {
	var fields []ast.Stmt
	flexible := false
	for _, s := range body.List {
		if _, ok := flexibleFrom(s); ok {
			flexible = true
			continue
		}
		fields = append(fields, s)
	}
	return translator{flexible: flexible, outcome: true}.structFields(fields)
}

// flexibleFrom reads "isFlexible := version >= N".
func flexibleFrom(s ast.Stmt) (int, bool) {
	m := flexibleForm.FindStringSubmatch(text(s))
	if m == nil {
		return 0, false
	}
	n, err := strconv.Atoi(m[1])
	return n, err == nil
}

var (
	flexibleForm = regexp.MustCompile(`^isFlexible := version >= (\d+)$`)
	// noise is what a reader's statements say that is not on the wire.
	noise = regexp.MustCompile(`^(v\.Default\(\)|b := kbin\.Reader\{Src: src\}|version := v\.Version|_ = \w+|s := v|` +
		`v := (&?s\.\w+|&a\[i\]|t)|s\.\w+ = (v|new\(\w+\))|v = a|a := v|var l int32|a = a\[:0\]|a\[i\] = v|return b\.Complete\(\)|` +
		`var t \w+|t = \w+\(v\)|if err := b\.Complete\(\); err != nil.*|if !b\.Ok\(\).*|if l > 0 .*)$`)
	fromForm     = regexp.MustCompile(`^version >= (\d+)$`)
	betweenForm  = regexp.MustCompile(`^version >= (\d+) && version <= (\d+)$`)
	beforeForm   = regexp.MustCompile(`^version < (\d+)$`)
	nullableForm = regexp.MustCompile(`^version < (\d+) \|\| l == 0$`)
	readForm     = regexp.MustCompile(`\bb\.(Bool|Int8|Int16|Uint16|Int32|Int64|Float64|Uuid)\(\)`)
	stringForm   = regexp.MustCompile(`\bb\.(String|NullableString|Bytes|NullableBytes)\(\)`)
)

// letters are the names of what one call of the decoder's reader takes.
var letters = map[string]string{
	"Bool": "1", "Int8": "1", "Int16": "2", "Uint16": "2", "Int32": "4", "Int64": "8", "Float64": "8", "Uuid": "u",
	"String": "s", "NullableString": "s?", "Bytes": "b", "NullableBytes": "b?",
}

// structFields translates statements that read a struct: its fields, and last
// its tag section.
func (t translator) structFields(list []ast.Stmt) (string, error) {
	if !t.flexible {
		return t.fieldsOf(list)
	}
	for _, s := range list {
		if i, ok := s.(*ast.IfStmt); ok && text(i.Cond) == "isFlexible" {
			return t.fieldsOf(list)
		}
	}
	return "", fmt.Errorf("a struct without a tag section")
}

// fieldsOf translates statements that read one value after the other.
func (t translator) fieldsOf(list []ast.Stmt) (string, error) {
	var out []string
	for _, s := range list {
		if noise.MatchString(text(s)) {
			continue
		}
		field, err := t.field(s)
		if err != nil {
			return "", err
		}
		if field != "" {
			out = append(out, field)
		}
	}
	return strings.Join(out, " "), nil
}

// field translates the block that reads one field, or the tag section.
func (t translator) field(s ast.Stmt) (string, error) {
	switch s := s.(type) {
	case *ast.BlockStmt:
		return t.value(s.List, "")
	case *ast.IfStmt:
		cond := text(s.Cond)
		if cond == "isFlexible" {
			return t.tags(s.Body.List)
		}
		if m := betweenForm.FindStringSubmatch(cond); m != nil {
			return t.value(s.Body.List, ":"+m[1]+"-"+m[2])
		}
		if m := fromForm.FindStringSubmatch(cond); m != nil {
			return t.value(s.Body.List, ":"+m[1]+"+")
		}
	}
	return "", fmt.Errorf("unknown form: %s", text(s))
}

// value translates the statements that read one value; versions goes behind
// its type.
func (t translator) value(list []ast.Stmt, versions string) (string, error) {
	for _, s := range list {
		switch s := s.(type) {
		case *ast.ForStmt:
			return t.array(list, s, versions)
		case *ast.IfStmt:
			if cond := text(s.Cond); cond == "present != -1 && b.Ok()" {
				inner, err := t.structFields(s.Body.List)
				return "?{" + inner + "}" + versions, err
			}
			if m := beforeForm.FindStringSubmatch(text(s.Cond)); m != nil {
				// A string that may be null from a version on.
				return "s?" + m[1] + "+" + versions, nil
			}
		}
	}
	return t.leaf(list, versions)
}

// leaf translates a value that one call reads.
func (t translator) leaf(list []ast.Stmt, versions string) (string, error) {
	all := ""
	nested, named := false, false
	for _, s := range list {
		all += text(s) + "\n"
		_, block := s.(*ast.BlockStmt)
		nested = nested || block
		named = named || strings.HasPrefix(text(s), "var t ")
	}
	switch {
	case named: // an enumeration: read as a number, in a block of its own
		inner, err := t.fieldsOf(list)
		return inner + versions, err
	case nested:
		inner, err := t.structFields(list)
		return "{" + inner + "}" + versions, err
	}
	if m := stringForm.FindStringSubmatch(all); m != nil {
		return letters[m[1]] + versions, nil
	}
	if m := readForm.FindStringSubmatch(all); m != nil {
		if t.outcome && strings.Contains(all, "s.ErrorCode = v") {
			return "e" + versions, nil
		}
		if t.outcome && strings.Contains(all, "s.ThrottleMillis = v") {
			return "t" + versions, nil
		}
		return letters[m[1]] + versions, nil
	}
	return "", fmt.Errorf("no read in: %s", all)
}

// array translates a counted loop and the statements around it.
func (t translator) array(list []ast.Stmt, loop *ast.ForStmt, versions string) (string, error) {
	nullable := ""
	for _, s := range list {
		if i, ok := s.(*ast.IfStmt); ok {
			if m := nullableForm.FindStringSubmatch(text(i.Cond)); m != nil {
				nullable = "?" + m[1] + "+"
			}
		}
	}
	inner, err := t.leafOrStruct(loop.Body.List)
	return "[" + inner + "]" + nullable + versions, err
}

func (t translator) leafOrStruct(list []ast.Stmt) (string, error) {
	if len(list) > 0 && text(list[0]) == "v := &a[i]" {
		inner, err := t.structFields(list)
		return "{" + inner + "}", err
	}
	return t.value(list, "")
}

// tags translates a tag section: nothing when no tag is known.
func (t translator) tags(list []ast.Stmt) (string, error) {
	if len(list) != 1 {
		return "", fmt.Errorf("tag section of %d statements", len(list))
	}
	loop, ok := list[0].(*ast.ForStmt)
	if !ok {
		if text(list[0]) == "s.UnknownTags = internalReadTags(&b)" {
			return "", nil
		}
		return "", fmt.Errorf("unknown tag section: %s", text(list[0]))
	}
	var out []string
	for _, c := range loop.Body.List[0].(*ast.SwitchStmt).Body.List {
		clause := c.(*ast.CaseClause)
		if clause.List == nil {
			continue
		}
		inner, err := t.value(clause.Body[1:], "")
		if err != nil {
			return "", err
		}
		out = append(out, "#"+text(clause.List[0])+" "+inner)
	}
	return strings.Join(out, " "), nil
}

// text is the source form of a statement or expression, near enough to match.
func text(n ast.Node) string {
	switch n := n.(type) {
	case ast.Expr:
		return types.ExprString(n)
	case *ast.ExprStmt:
		return text(n.X)
	case *ast.AssignStmt:
		return types.ExprString(n.Lhs[0]) + " " + n.Tok.String() + " " + literal(n.Rhs[0])
	case *ast.ReturnStmt:
		return "return " + types.ExprString(n.Results[0])
	case *ast.DeclStmt:
		spec, ok := n.Decl.(*ast.GenDecl).Specs[0].(*ast.ValueSpec)
		if ok && n.Decl.(*ast.GenDecl).Tok == token.VAR {
			return "var " + spec.Names[0].Name + " " + types.ExprString(spec.Type)
		}
	case *ast.IfStmt:
		return "if " + prefix(n.Init) + text(n.Cond) + " " + block(n.Body) + block(n.Else)
	case *ast.BlockStmt:
		return block(n)
	}
	return fmt.Sprintf("(%T)", n)
}

func prefix(s ast.Stmt) string {
	if s == nil {
		return ""
	}
	return text(s) + "; "
}

func block(s ast.Stmt) string {
	b, ok := s.(*ast.BlockStmt)
	if !ok {
		return ""
	}
	out := "{ "
	for _, s := range b.List {
		out += text(s) + "; "
	}
	return out + "}"
}

// literal keeps the fields of kbin.Reader{Src: …}, which ExprString cuts.
func literal(e ast.Expr) string {
	if c, ok := e.(*ast.CompositeLit); ok && len(c.Elts) == 1 {
		if kv, ok := c.Elts[0].(*ast.KeyValueExpr); ok {
			return types.ExprString(c.Type) + "{" + text(kv.Key) + ": " + text(kv.Value) + "}"
		}
	}
	return types.ExprString(e)
}
