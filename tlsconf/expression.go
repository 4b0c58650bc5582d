package tlsconf

import (
	"fmt"
	"regexp"
	"strings"
)

// compileJava compiles a Java expression. What Go's regular expressions lack, and what they
// take otherwise than Java, is refused by name: a rule that means something else would let
// in somebody else.
func compileJava(pattern string) (*regexp.Regexp, error) {
	if err := javaOnly(pattern); err != nil {
		return nil, err
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, fmt.Errorf("the pattern is no regular expression that kring can use: %w; change it", err)
	}
	return re, nil
}

// groupForms are what may follow (? in Java. In both languages the others mean the same.
var groupForms = []struct{ prefix, name string }{
	{"(?=", "a lookahead (?=...)"},
	{"(?!", "a negative lookahead (?!...)"},
	{"(?<=", "a lookbehind (?<=...)"},
	{"(?<!", "a negative lookbehind (?<!...)"},
	{"(?>", "an atomic group (?>...)"},
}

// javaOnly finds what has no equal in Go.
func javaOnly(p string) error {
	refuse := func(what, instead string) error {
		return fmt.Errorf("the pattern has %s: kring does not support that; %s", what, instead)
	}
	const rewrite = "write the pattern without it"
	class := 0 // where the class began whose ] is yet to come, plus 1
	for i := 0; i < len(p); i++ {
		switch {
		case strings.HasPrefix(p[i:], `\Q`):
			end := strings.Index(p[i:], `\E`)
			if end < 0 {
				return nil
			}
			i += end + 1
		case p[i] == '\\' && i+1 < len(p):
			i++
			if what := escapeOnly(p[i], class > 0); what != "" {
				return refuse(what, rewrite)
			}
		case class > 0:
			switch {
			case p[i] == '[':
				return refuse("a character class inside another", `write \[ for the character itself`)
			case strings.HasPrefix(p[i:], "&&"):
				return refuse("an intersection of character classes (&&)", rewrite)
			case p[i] == ']' && i > class:
				class = 0
			}
		case p[i] == '[':
			if class = i + 1; strings.HasPrefix(p[class:], "^") {
				class++
			}
			if strings.HasPrefix(p[class:], "]") {
				return refuse("a character class that begins with ]", `write \] for the character itself`)
			}
		case p[i] == '(':
			if what := groupOnly(p[i:]); what != "" {
				return refuse(what, rewrite)
			}
		case p[i] == '+' && i > 0 && quantifies(p, i-1):
			return refuse("a possessive quantifier (such as *+)", "leave out the second +")
		}
	}
	return nil
}

// quantifies says that the character at i ends a quantifier.
func quantifies(p string, i int) bool {
	switch p[i] {
	case '*', '+', '?':
		return !escaped(p, i)
	case '}': // {1,3}, and not \p{L} or \x{41}
		open := strings.LastIndexByte(p[:i], '{')
		return open > 0 && !(strings.IndexByte("pPx", p[open-1]) >= 0 && escaped(p, open-1))
	}
	return false
}

// escaped says that the character at i is one after a backslash.
func escaped(p string, i int) bool {
	n := 0
	for i--; i >= 0 && p[i] == '\\'; i-- {
		n++
	}
	return n%2 == 1
}

// groupOnly names a form of group.
func groupOnly(p string) string {
	for _, g := range groupForms {
		if strings.HasPrefix(p, g.prefix) {
			return g.name
		}
	}
	if !strings.HasPrefix(p, "(?") || strings.HasPrefix(p, "(?<") || strings.HasPrefix(p, "(?P") {
		return ""
	}
	flags := p[2:]
	if end := strings.IndexAny(flags, ":)"); end >= 0 {
		flags = flags[:end]
	}
	if strings.ContainsAny(flags, "xduUc") {
		return "the flags (?" + flags + "), of which Go knows only i, s and m"
	}
	if strings.Contains(flags, "i") && strings.IndexFunc(p, func(r rune) bool { return r >= 0x80 }) >= 0 {
		return "(?i) beside letters that are not ASCII, whose case Java keeps"
	}
	return ""
}

// escapeOnly names what stands after a backslash.
func escapeOnly(c byte, inClass bool) string {
	switch {
	case isDigit(c):
		return `a back reference or octal number (\` + string(c) + ")"
	case c == 'k':
		return `a back reference (\k)`
	case c == 'b' || c == 'B':
		return `a word boundary (\` + string(c) + " means different things to Java's versions)"
	case strings.IndexByte("vhHVRXGZNeucx", c) >= 0:
		return `\` + string(c)
	case c == 'Q' && inClass:
		return `\Q in a character class`
	}
	return ""
}
