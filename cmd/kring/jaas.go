package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// jaasEntry is one entry of a JAAS string, as Kafka reads it (JaasConfig):
//
//	CLASS FLAG OPTION=VALUE … ;
type jaasEntry struct {
	module  string // without its package
	options []jaasOption
}

type jaasOption struct {
	name  string
	value secret
}

// Bounds of a JAAS string.
const (
	jaasBytesMax   = 1 << 20
	jaasOptionsMax = 2000
)

var jaasFlags = []string{"required", "requisite", "sufficient", "optional"}

// parseJAAS reads a JAAS string, which has one entry (JaasContext.load). Its errors say
// where, and show names of options only.
func parseJAAS(text string) (e jaasEntry, err error) {
	if len(text) > jaasBytesMax {
		return e, fmt.Errorf("the JAAS string has more than %d bytes; keep accounts in a users file (kring user add)", jaasBytesMax)
	}
	words := jaasWords{text: text}
	class, err := words.next()
	if err != nil {
		return e, err
	}
	if class.kind != jaasText {
		return e, errNoJAAS
	}
	e.module = class.text[strings.LastIndexByte(class.text, '.')+1:]
	flag, err := words.next()
	if err != nil {
		return e, err
	}
	if flag.kind != jaasText || !containsFold(jaasFlags, flag.text) {
		return e, errors.New("the module is followed by no flag; give MODULE required OPTION=\"VALUE\" …;")
	}
	if err := e.readOptions(&words); err != nil {
		return e, err
	}
	if behind, err := words.next(); err != nil || behind.kind != jaasEnd {
		return e, errors.Join(err, errors.New("there is something behind the ; that ends the module; a mechanism has one module: remove the rest"))
	}
	return e, nil
}

var errNoJAAS = errors.New("the value is no JAAS string: give MODULE required OPTION=\"VALUE\" …;")

func containsFold(all []string, s string) bool {
	for _, of := range all {
		if strings.EqualFold(of, s) {
			return true
		}
	}
	return false
}

// readOptions reads up to the semicolon.
func (e *jaasEntry) readOptions(words *jaasWords) error {
	seen := map[string]bool{}
	for {
		name, err := words.next()
		switch {
		case err != nil:
			return err
		case name.kind == ';':
			return nil
		case name.kind == jaasEnd:
			return errors.New("the module is not ended by a ;")
		case name.kind != jaasText:
			return fmt.Errorf("option %d has no name; give OPTION=\"VALUE\"", len(e.options)+1)
		case seen[name.text]:
			return fmt.Errorf("%s is there twice; remove one", optionCalled(len(e.options)+1, name.text))
		case len(e.options) == jaasOptionsMax:
			return fmt.Errorf("there are more than %d options; keep accounts in a users file (kring user add)", jaasOptionsMax)
		}
		equals, err := words.next()
		if err != nil {
			return err
		}
		if equals.kind != '=' {
			return fmt.Errorf("%s has no value; give OPTION=\"VALUE\", with quotes around what is no word, and a quote at the end of each", optionCalled(len(e.options)+1, name.text))
		}
		value, err := words.next()
		if err != nil {
			return fmt.Errorf("%s: %w", optionCalled(len(e.options)+1, name.text), err)
		}
		if value.kind != jaasText {
			return fmt.Errorf("%s has no value; give OPTION=\"VALUE\", with quotes around what is no word, and a quote at the end of each", optionCalled(len(e.options)+1, name.text))
		}
		seen[name.text] = true
		e.options = append(e.options, jaasOption{name.text, secret{&heldSecret{value: &value.text}}})
	}
}

// jaasOptionNames are those of Kafka's modules that are shown; beside them accounts.
var jaasOptionNames = []string{"username", "password", "serviceName", "tokenauth", "unsecuredLoginStringClaim_sub"}

// optionCalled is an option in an error. Where a quote is missing, a part of a password looks
// like a name, so a name is shown only if it is a module's.
func optionCalled(n int, name string) string {
	if strings.HasPrefix(name, userOption) || slices.Contains(jaasOptionNames, name) {
		return fmt.Sprintf("the option %q", name)
	}
	return fmt.Sprintf("option %d", n)
}

// option is the value of an option, and whether it is there.
func (e *jaasEntry) option(name string) (secret, bool) {
	for _, o := range e.options {
		if o.name == name {
			return o.value, true
		}
	}
	return secret{}, false
}

// jaasWord is a word, a text in quotes, a sign, or the end.
type jaasWord struct {
	kind byte // jaasText, jaasEnd, or the sign
	text string
}

const (
	jaasEnd  = 0
	jaasText = 'a'
)

// jaasWords splits a JAAS string as Java's StreamTokenizer does with Kafka's settings, but
// that a quote must end, and that what StreamTokenizer takes for a number is a word.
type jaasWords struct {
	text string
	at   int
}

var errJAASComment = errors.New("a comment (/*) does not end; end it by */")

func (w *jaasWords) next() (jaasWord, error) {
	for w.at < len(w.text) {
		c := w.text[w.at]
		switch {
		case c <= ' ':
			w.at++
		case strings.HasPrefix(w.text[w.at:], "/*"):
			end := strings.Index(w.text[w.at+2:], "*/")
			if end < 0 {
				return jaasWord{}, errJAASComment
			}
			w.at += 2 + end + 2
		case c == '/': // alone as well: StreamTokenizer's comment character
			if w.skipLine(); w.at == len(w.text) {
				return jaasWord{}, nil
			}
		case c == '"' || c == '\'':
			text, err := w.quoted(c)
			return jaasWord{jaasText, text}, err
		case isJAASWord(c):
			from := w.at
			for w.at < len(w.text) && isJAASWord(w.text[w.at]) {
				w.at++
			}
			return jaasWord{jaasText, w.text[from:w.at]}, nil
		default:
			w.at++
			return jaasWord{kind: c}, nil
		}
	}
	return jaasWord{}, nil
}

func (w *jaasWords) skipLine() {
	if end := strings.IndexAny(w.text[w.at:], "\r\n"); end >= 0 {
		w.at += end
		return
	}
	w.at = len(w.text)
}

func isJAASWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c >= utf8.RuneSelf || strings.IndexByte("-_.$", c) >= 0
}

// quoted reads up to the end of the quotes, with Java's escapes.
func (w *jaasWords) quoted(quote byte) (string, error) {
	var b strings.Builder
	for w.at++; w.at < len(w.text); w.at++ {
		switch c := w.text[w.at]; c {
		case quote:
			w.at++
			return b.String(), nil
		case '\n', '\r':
			return "", errors.New("a text in quotes does not end on its line")
		case '\\':
			if w.at++; w.at < len(w.text) {
				w.escape(&b)
			}
		default:
			b.WriteByte(c)
		}
	}
	return "", errors.New("a text in quotes does not end; end it by its quote")
}

// jaasEscapes are those that mean another character; all others mean themselves.
var jaasEscapes = map[byte]byte{'a': 7, 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t', 'v': '\v'}

// escape reads what follows a backslash: up to three octal digits, or one character.
func (w *jaasWords) escape(b *strings.Builder) {
	c := w.text[w.at]
	if c < '0' || c > '7' {
		if other, is := jaasEscapes[c]; is {
			c = other
		}
		b.WriteByte(c) // of a longer character the rest follows
		return
	}
	most, code := 2, rune(c-'0')
	if c <= '3' {
		most = 3
	}
	for n := 1; n < most && w.at+1 < len(w.text) && w.text[w.at+1] >= '0' && w.text[w.at+1] <= '7'; n++ {
		w.at++
		code = code*8 + rune(w.text[w.at]-'0')
	}
	b.WriteRune(code)
}
