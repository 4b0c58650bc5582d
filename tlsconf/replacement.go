package tlsconf

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// replacement is the second part of a rule: literal text and references to groups.
type replacement []piece

// piece is text, or a group if text is "".
type piece struct {
	text  string
	group int
}

func (r replacement) expand(b *strings.Builder, s string, match []int) {
	for _, p := range r {
		if p.text != "" {
			b.WriteString(p.text)
		} else if from := match[2*p.group]; from >= 0 {
			b.WriteString(s[from:match[2*p.group+1]])
		}
	}
}

// parseReplacement reads a replacement as Java's Matcher.appendReplacement does, after
// Kafka has made literal text of references to groups that the pattern has not. What Java
// refuses only when a client comes is refused here.
func parseReplacement(text string, of *regexp.Regexp) (out replacement, err error) {
	text = literalReferences(text, of.NumSubexp())
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\':
			if i++; i == len(text) {
				return nil, fmt.Errorf(`the replacement ends in \, which escapes nothing; write \\ for the character itself`)
			}
			out = append(out, piece{text: text[i : i+1]})
		case text[i] == '$':
			var p piece
			if p.group, i, err = reference(text, i+1, of); err != nil {
				return nil, err
			}
			out = append(out, p)
		default:
			out = append(out, piece{text: text[i : i+1]})
		}
	}
	return out, nil
}

// reference reads what follows a $: a number as long as there is such a group, or a name
// in braces. last is where it ends.
func reference(text string, at int, of *regexp.Regexp) (group, last int, err error) {
	if strings.HasPrefix(text[at:], "{") {
		name, _, closed := strings.Cut(text[at+1:], "}")
		group = of.SubexpIndex(name)
		if !closed || group < 0 {
			return 0, 0, fmt.Errorf("the replacement names the group %q, which the pattern has not; write (?<%s>...) in the pattern", name, name)
		}
		return group, at + 1 + len(name), nil
	}
	if at == len(text) || !isDigit(text[at]) {
		return 0, 0, fmt.Errorf(`the replacement has a $ without a number; write \$ for the character itself`)
	}
	group = int(text[at] - '0')
	for ; at+1 < len(text) && isDigit(text[at+1]); at++ {
		longer := 10*group + int(text[at+1]-'0')
		if longer > of.NumSubexp() {
			break
		}
		group = longer
	}
	if group > of.NumSubexp() {
		return 0, 0, fmt.Errorf(`the replacement refers to group %d, and the pattern has %d; write \$ for the character itself`, group, of.NumSubexp())
	}
	return group, at, nil
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

var backReference = regexp.MustCompile(`\$(\d+)`)

// literalReferences is Kafka's escapeLiteralBackReferences, with its flaw that the second
// escape is inserted where it would belong without the first.
func literalReferences(text string, groups int) string {
	if groups == 0 {
		return text
	}
	value := text
	for _, m := range backReference.FindAllStringSubmatchIndex(text, -1) {
		digits := text[m[2]:m[3]]
		if digits[0] == '0' {
			continue
		}
		n, err := strconv.ParseInt(digits, 10, 32)
		if err != nil {
			continue // Java fails; the group does not exist, which reference says
		}
		for n > int64(groups) && n >= 10 {
			n /= 10
		}
		if n > int64(groups) {
			value = value[:m[2]-1] + `\` + value[m[2]-1:]
		}
	}
	return value
}
