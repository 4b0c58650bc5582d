package tlsconf

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/language"
)

// rules are Kafka's ssl.principal.mapping.rules. The first that matches a subject makes the
// name.
type rules struct {
	text string
	list []rule
}

// rule is DEFAULT, which is the subject itself, or RULE:pattern/replacement/[LU].
type rule struct {
	isDefault   bool
	whole       *regexp.Regexp // the pattern, anchored at both ends
	pattern     string
	find        *regexp.Regexp
	replacement replacement
	change      func(string) string // nil: neither L nor U
}

// The expressions are those of Kafka's SslPrincipalMapper: what is a rule, and where one
// ends, is what they say.
const ruleForm = `(DEFAULT)|RULE:((\\.|[^\\/])*)/((\\.|[^\\/])*)/([LU]?).*?|(.*?)`

var (
	ruleSplitter = regexp.MustCompile(`\s*(` + ruleForm + `)\s*(,\s*|$)`)
	ruleParser   = regexp.MustCompile(`^(?:` + ruleForm + `)`)
)

// parseRules reads rules, separated by commas; "" is DEFAULT.
func parseRules(text string) (*rules, error) {
	out := &rules{text: text}
	if text == "" {
		text = "DEFAULT"
	}
	for _, m := range ruleSplitter.FindAllStringSubmatch(strings.TrimSpace(text), -1) {
		if m[1] == "" { // nothing between two commas, or after the last
			continue
		}
		r, err := parseRule(m[1])
		if err != nil {
			return nil, err
		}
		out.list = append(out.list, r)
	}
	if len(out.list) == 0 {
		return nil, fmt.Errorf("%q has no rule; give DEFAULT or RULE:pattern/replacement/, several separated by commas", text)
	}
	return out, nil
}

func parseRule(text string) (rule, error) {
	at := ruleParser.FindStringSubmatchIndex(text)
	if at == nil || at[1] != len(text) || at[2] < 0 && at[4] < 0 {
		return rule{}, fmt.Errorf("%q is not a rule; give DEFAULT or RULE:pattern/replacement/ with L or U at its end for lower or upper case, and write / in a pattern as \\/", text)
	}
	if at[2] >= 0 {
		return rule{isDefault: true}, nil
	}
	r := rule{pattern: text[at[4]:at[5]]}
	var err error
	if r.find, err = compileJava(r.pattern); err != nil {
		return rule{}, fmt.Errorf("%q: %w", text, err)
	}
	r.whole = regexp.MustCompile(`\A(?:` + r.pattern + `)\z`)
	if r.replacement, err = parseReplacement(text[at[8]:at[9]], r.find); err != nil {
		return rule{}, fmt.Errorf("%q: %w", text, err)
	}
	switch text[at[12]:at[13]] {
	case "L":
		r.change = changeCase(strings.ToLower, cases.Lower)
	case "U":
		r.change = changeCase(strings.ToUpper, cases.Upper)
	}
	return r, nil
}

// changeCase uses Unicode's special cases where there may be some, as Java does: ß becomes
// SS.
func changeCase(ascii func(string) string, full func(language.Tag, ...cases.Option) cases.Caser) func(string) string {
	return func(s string) string {
		if strings.IndexFunc(s, func(r rune) bool { return r >= 0x80 }) < 0 {
			return ascii(s)
		}
		caser := full(language.English) // a Caser has state: one for each use
		return caser.String(s)
	}
}

// name is the name of a subject.
func (rs *rules) name(subject string) (string, error) {
	for _, r := range rs.list {
		if r.isDefault {
			return subject, nil
		}
		if strings.ContainsAny(subject, unlike) {
			return "", fmt.Errorf("the subject %q of the client certificate has a character that Java's expressions take otherwise than Go's; only DEFAULT can map it", subject)
		}
		if r.whole.MatchString(subject) {
			return r.apply(subject)
		}
	}
	return "", fmt.Errorf("no rule of %q matches the subject %q of the client certificate; add one, or DEFAULT at the end", rs.text, subject)
}

// unlike are the characters that `.`, `$`, `\s` or a fold of case treat otherwise in Java
// than in Go: line ends, vertical tab, and the two that fold to k and s.
const unlike = "\n\r\v\u0085\u2028\u2029\u212A\u017F"

// apply replaces every match, as Java's String.replaceAll does. Java finds an empty match
// at the end of another where Go does not: .* matches a text, and once more its end.
func (r rule) apply(subject string) (string, error) {
	var b strings.Builder
	last := 0
	for _, m := range r.find.FindAllStringSubmatchIndex(subject, -1) {
		b.WriteString(subject[last:m[0]])
		r.replacement.expand(&b, subject, m)
		last = m[1]
		if m[0] == m[1] {
			if next, _ := utf8.DecodeRuneInString(subject[last:]); next > 0xFFFF {
				return "", fmt.Errorf("the pattern %q matches nothing before %q, where Java cuts the character in two; write a pattern that begins with ^ and ends in $", r.pattern, next)
			}
		} else if again := r.emptyAt(subject, last); again != nil {
			r.replacement.expand(&b, subject, again)
		}
	}
	b.WriteString(subject[last:])
	name := b.String()
	if r.change != nil {
		name = r.change(name)
	}
	return name, nil
}

// emptyAt is the match that begins and ends at a place, if the pattern's first match there
// is empty. The text before it is quoted into the expression, so that anchors know where
// they are.
func (r rule) emptyAt(subject string, at int) []int {
	m := regexp.MustCompile(`\A` + regexp.QuoteMeta(subject[:at]) + `(?:` + r.pattern + `)`).FindStringSubmatchIndex(subject)
	if m == nil || m[1] != at {
		return nil
	}
	m[0] = at
	return m
}
