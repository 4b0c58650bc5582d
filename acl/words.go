package acl

import (
	"errors"
	"fmt"
	"strings"
)

// word is a word of a rule, without its quotes, or a comma.
type word struct {
	text  string
	comma bool
	star  bool // it ends with a * that no quotes hold
}

// split takes a line apart. A # that begins a word begins a comment. Quotes hold
// anything; \" and \\ stand for " and \ in them.
func split(line string) (words []word, err error) {
	for i := 0; i < len(line); {
		switch c := line[i]; {
		case c == ' ' || c == '\t':
			i++
		case c == '#':
			return words, nil
		case c == ',':
			words, i = append(words, word{text: ",", comma: true}), i+1
		default:
			w, n, err := oneWord(line[i:])
			if err != nil {
				return nil, err
			}
			words, i = append(words, w), i+n
		}
	}
	return words, nil
}

// oneWord reads the word that s begins with, and how many bytes it takes.
func oneWord(s string) (w word, n int, err error) {
	var b strings.Builder
	quoted := false
	for ; n < len(s); n++ {
		c := s[n]
		switch {
		case c == '"':
			quoted, w.star = !quoted, false
			continue
		case quoted && c == '\\':
			if n+1 == len(s) || s[n+1] != '"' && s[n+1] != '\\' {
				return w, n, fmt.Errorf(`%q: a \ in quotes stands before " or \ alone; write \\ for itself`, s[:n+1])
			}
			n++
			b.WriteByte(s[n])
			continue
		case !quoted && (c == ' ' || c == '\t' || c == ','):
			w.text = b.String()
			return w, n, nil
		case c < ' ' || c == 0x7f:
			return w, n, fmt.Errorf("the line has a control character (%#02x); remove it", c)
		}
		if w.star {
			return w, n, fmt.Errorf("%q: a * ends a name and makes it a prefix; put the name in quotes if the * is part of it", s[:n+1])
		}
		w.star = c == '*' && !quoted
		b.WriteByte(c)
	}
	if quoted {
		return w, n, fmt.Errorf("%s: the quotes are not closed; add a \"", s)
	}
	w.text = b.String()
	return w, n, nil
}

// parser has the words of a rule that are left.
type parser struct{ words []word }

func (p *parser) next() word {
	w := p.words[0]
	p.words = p.words[1:]
	return w
}

// list reads words that commas separate, at least one.
func list[T any](p *parser, what string, to *[]T, read func(word) (T, error)) error {
	for {
		if len(p.words) == 0 {
			return fmt.Errorf("the rule ends early; add %s", what)
		}
		w := p.next()
		if w.comma {
			return errors.New(`"," has nothing before it; remove it, or add ` + what)
		}
		v, err := read(w)
		if err != nil {
			return err
		}
		*to = append(*to, v)
		if len(p.words) == 0 || !p.words[0].comma {
			return nil
		}
		p.next()
	}
}

// nearest is advice about a word that may be mistyped; empty if none of the known is like it.
func nearest(s string, known ...string) string {
	best, at := "", 3
	for _, k := range known {
		if k == "" {
			continue
		}
		if d := distance(strings.ToLower(s), strings.ToLower(k)); d < at && d < len(k) {
			best, at = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean %s?)", best)
}

// distanceBytesMax is up to which length words are compared.
const distanceBytesMax = 64

// distance is how many letters have to be changed, added or removed.
func distance(a, b string) int {
	if len(a) > distanceBytesMax || len(b) > distanceBytesMax {
		return distanceBytesMax
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			before, row[j+1] = row[j+1], min(before+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
