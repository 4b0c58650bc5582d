package properties

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// Bounds on a text. Kafka's own server.properties has 7 KiB.
const (
	BytesMax      = 1 << 20 // of the text
	PropertiesMax = 10_000
	KeyBytesMax   = 1 << 10
	// FaultsMax is how many faults Parse names. After them it stops.
	FaultsMax = 100
)

// Property is a key and its value, both without their escapes.
type Property struct {
	Key, Value string
	// Line and Column say where the key begins, from 1. Columns are characters.
	Line, Column int
}

// Fault is what is wrong at one place of the text.
type Fault struct {
	Line, Column int // from 1; 0: the text as a whole
	Says         string
}

func (f *Fault) Error() string {
	if f.Line == 0 {
		return f.Says
	}
	return fmt.Sprintf("%d:%d: %s", f.Line, f.Column, f.Says)
}

// Parse returns the properties of text in their order, with keys that are there more
// than once. The error joins a *Fault for each fault; the properties without faults are
// returned beside it.
//
// Two things differ from Java, where Kafka reads ISO 8859-1: text that is valid UTF-8 is
// read as UTF-8 (other text as ISO 8859-1, as Java does), and a byte order mark is
// skipped. Half of a surrogate pair is a fault: a Go string can't have it.
func Parse(text []byte) ([]Property, error) {
	if len(text) > BytesMax {
		return nil, &Fault{Says: fmt.Sprintf("has %d bytes; at most %d are read", len(text), BytesMax)}
	}
	p := parser{text: decode(bytes.TrimPrefix(text, []byte("\ufeff"))), line: 1}
	for p.readLine() {
		if len(p.all) == PropertiesMax {
			p.fault(p.logical[0].at, "there are more than %d properties", PropertiesMax)
			break
		}
		p.takeLine()
		if len(p.faults) >= FaultsMax {
			break
		}
	}
	return p.all, errors.Join(p.faults...)
}

// Split returns the properties that hold, in their order, and those that a later one
// with the same key overrides.
func Split(all []Property) (hold, overridden []Property) {
	last := make(map[string]int, len(all))
	for i, p := range all {
		last[p.Key] = i
	}
	for i, p := range all {
		if last[p.Key] == i {
			hold = append(hold, p)
		} else {
			overridden = append(overridden, p)
		}
	}
	return hold, overridden
}

// decode returns the characters of text.
func decode(text []byte) []rune {
	if utf8.Valid(text) {
		return []rune(string(text))
	}
	runes := make([]rune, len(text))
	for i, b := range text {
		runes[i] = rune(b)
	}
	return runes
}

// parser follows the names and the order of java.util.Properties (LineReader.readLine,
// load0, loadConvert): what looks odd here is Java's.
type parser struct {
	text []rune
	at   int // of the next character

	logical []char // the line that readLine read, without line ends and their backslashes
	all     []Property
	faults  []error

	line, lineStart, located int // of the last position; see locate
}

// char is a character of a logical line and where it is in the text.
type char struct {
	r  rune
	at int
}

// readLine reads the next logical line that is neither blank nor a comment.
func (p *parser) readLine() bool {
	p.logical = p.logical[:0]
	skip, appended, backslash := true, false, false
	for p.at < len(p.text) {
		at, c := p.at, p.text[p.at]
		p.at++
		if skip {
			if isBlank(c) || !appended && isLineEnd(c) {
				continue
			}
			skip, appended = false, false
		}
		if len(p.logical) == 0 && (c == '#' || c == '!') {
			p.skipComment()
			skip = true
			continue
		}
		switch {
		case !isLineEnd(c):
			p.logical = append(p.logical, char{c, at})
			backslash = c == '\\' && !backslash
		case len(p.logical) == 0:
			skip = true
		case backslash && p.at < len(p.text):
			p.logical = p.logical[:len(p.logical)-1]
			skip, appended, backslash = true, true, false
			if c == '\r' && p.text[p.at] == '\n' {
				p.at++
			}
		default:
			return p.endLine(backslash)
		}
	}
	return len(p.logical) > 0 && p.endLine(backslash)
}

// endLine drops a backslash that has nothing to escape.
func (p *parser) endLine(backslash bool) bool {
	if backslash {
		p.logical = p.logical[:len(p.logical)-1]
	}
	return true
}

func (p *parser) skipComment() {
	for p.at < len(p.text) {
		p.at++
		if isLineEnd(p.text[p.at-1]) {
			return
		}
	}
}

func isBlank(c rune) bool     { return c == ' ' || c == '\t' || c == '\f' }
func isLineEnd(c rune) bool   { return c == '\n' || c == '\r' }
func isSeparator(c rune) bool { return c == '=' || c == ':' }

// takeLine splits the logical line into key and value.
func (p *parser) takeLine() {
	line := p.logical
	key, value, separated := 0, len(line), false
	backslash := false
	for ; key < len(line); key++ {
		c := line[key].r
		if !backslash && (isSeparator(c) || isBlank(c)) {
			value, separated = key+1, isSeparator(c)
			break
		}
		backslash = c == '\\' && !backslash
	}
	for ; value < len(line); value++ {
		c := line[value].r
		if !separated && isSeparator(c) {
			separated = true
		} else if !isBlank(c) {
			break
		}
	}
	at := p.at
	if len(line) > 0 {
		at = line[0].at
	}
	of := Property{}
	of.Line, of.Column = p.locate(at)
	var keyFine, valueFine bool
	of.Key, keyFine = p.unescape(line[:key])
	of.Value, valueFine = p.unescape(line[value:])
	if len(of.Key) > KeyBytesMax {
		p.fault(at, "the key has %d bytes; at most %d are possible", len(of.Key), KeyBytesMax)
		return
	}
	if keyFine && valueFine {
		p.all = append(p.all, of)
	}
}

// unescape returns the text that the characters stand for.
func (p *parser) unescape(chars []char) (text string, fine bool) {
	out := make([]rune, 0, len(chars))
	fine = true
	fault := func(at int, says string) {
		fine = false
		p.fault(at, "%s", says)
	}
	half, halfAt := rune(0), 0 // the first of a surrogate pair
	for i := 0; i < len(chars); {
		c, at, n := chars[i].r, chars[i].at, 1
		if c == '\\' && i+1 < len(chars) {
			if c, n = escaped(chars[i+1:]); n == 0 {
				fault(at, `malformed \uxxxx: give four hexadecimal digits, or \\u for \u itself`)
				c, n = utf8.RuneError, 1
			}
			n++
		}
		i += n
		switch whole := utf16.DecodeRune(half, c); {
		case half != 0 && whole != utf8.RuneError:
			out, half = append(out, whole), 0
			continue
		case half != 0:
			fault(halfAt, `half of a surrogate pair: give both halves, such as \uD83D\uDE00`)
			half = 0
		}
		switch {
		case utf16.IsSurrogate(c) && c < 0xdc00:
			half, halfAt = c, at
		case utf16.IsSurrogate(c):
			fault(at, `half of a surrogate pair: give both halves, such as \uD83D\uDE00`)
		default:
			out = append(out, c)
		}
	}
	if half != 0 {
		fault(halfAt, `half of a surrogate pair: give both halves, such as \uD83D\uDE00`)
	}
	return string(out), fine
}

// escaped returns the character of the escape after its backslash, and its length; 0 if
// it is malformed.
func escaped(after []char) (c rune, n int) {
	switch c = after[0].r; c {
	case 't':
		return '\t', 1
	case 'n':
		return '\n', 1
	case 'r':
		return '\r', 1
	case 'f':
		return '\f', 1
	case 'u':
		return hexadecimal(after[1:])
	}
	return c, 1
}

func hexadecimal(after []char) (c rune, n int) {
	if len(after) < 4 {
		return 0, 0
	}
	for _, of := range after[:4] {
		switch r := of.r; {
		case '0' <= r && r <= '9':
			c = c<<4 + r - '0'
		case 'a' <= r && r <= 'f':
			c = c<<4 + r - 'a' + 10
		case 'A' <= r && r <= 'F':
			c = c<<4 + r - 'A' + 10
		default:
			return 0, 0
		}
	}
	return c, 5
}

func (p *parser) fault(at int, format string, args ...any) {
	line, column := p.locate(at)
	p.faults = append(p.faults, &Fault{line, column, fmt.Sprintf(format, args...)})
}

// locate returns line and column of a position. Positions mostly grow, so it goes on from
// the last one.
func (p *parser) locate(at int) (line, column int) {
	if at < p.located {
		p.line, p.lineStart, p.located = 1, 0, 0
	}
	for ; p.located < at; p.located++ {
		c := p.text[p.located]
		crlf := c == '\r' && p.located+1 < len(p.text) && p.text[p.located+1] == '\n'
		if isLineEnd(c) && !crlf {
			p.line++
			p.lineStart = p.located + 1
		}
	}
	return p.line, at - p.lineStart + 1
}
