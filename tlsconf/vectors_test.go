package tlsconf

import (
	"bufio"
	"encoding/asn1"
	"encoding/base64"
	"net/url"
	"os"
	"strings"
	"testing"
)

// vector is a line of testdata/principals.txt, which scripts/principals.sh writes: what
// Java 17 and Apache Kafka said.
type vector struct {
	kind   string
	fields []string // without the answer
	answer string
	refuse string // the class of what was thrown, or "rules"; "": it is answered
}

func vectors(t *testing.T, kind string) (all []vector) {
	f, err := os.Open("testdata/principals.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Split(lines.Text(), "\t")
		v := vector{kind: fields[0], fields: fields[1 : len(fields)-1]}
		var threw bool
		v.answer = fields[len(fields)-1]
		if v.refuse, threw = strings.CutPrefix(v.answer, "!"); !threw {
			v.refuse, v.answer = "", unescape(t, v.answer)
		}
		if v.kind == kind {
			all = append(all, v)
		}
	}
	if err := lines.Err(); err != nil || len(all) < 100 {
		t.Fatalf("%d vectors of %s, %v", len(all), kind, err)
	}
	return all
}

func unescape(t *testing.T, s string) string {
	out, err := url.QueryUnescape(s)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// rawSubject takes the subject out of a certificate that crypto/x509 may refuse.
func rawSubject(t *testing.T, der []byte) []byte {
	var c struct {
		TBS struct {
			Version                        int `asn1:"optional,explicit,tag:0"`
			Serial                         asn1.RawValue
			Algorithm                      asn1.RawValue
			Issuer, Validity, Subject, Key asn1.RawValue
			Extensions                     asn1.RawValue `asn1:"optional,explicit,tag:3"`
		}
		Algorithm asn1.RawValue
		Signature asn1.BitString
	}
	if _, err := asn1.Unmarshal(der, &c); err != nil {
		t.Fatal(err)
	}
	return c.TBS.Subject.FullBytes
}

func TestASubjectIsTheTextThatJavaHasForIt(t *testing.T) {
	same, refused := 0, 0
	for _, v := range vectors(t, "cert") {
		der, err := base64.StdEncoding.DecodeString(v.fields[0])
		if err != nil {
			t.Fatal(err)
		}
		subject := rawSubject(t, der)
		got, err := subjectOf(subject)
		switch {
		case err == nil && v.refuse == "" && got == v.answer:
			same++
		case err != nil && (v.refuse != "" || strings.ContainsRune(v.answer, '\uFFFD')):
			refused++
		case v.refuse != "" && got == "": // an empty subject, which Java can't read
			refused++
		default:
			t.Errorf("%x: %q, %v; Java: %q %s", subject, got, err, v.answer, v.refuse)
		}
	}
	t.Logf("%d the same, %d refused", same, refused)
}

// strict are the rules of the vectors that Kafka takes and parseRules refuses, and what it
// calls the reason.
var strict = map[string]string{
	`RULE:^CN=(?=k).*$/x/`:       "lookahead",
	`RULE:^CN=(?!k).*$/x/`:       "negative lookahead",
	`RULE:^CN=.*(?<=t)$/x/`:      "lookbehind",
	`RULE:^CN=.*(?<!t)$/x/`:      "negative lookbehind",
	`RULE:(?>a+)/x/`:             "atomic group",
	`RULE:a*+/x/`:                "possessive quantifier",
	`RULE:a++/x/`:                "possessive quantifier",
	`RULE:a?+/x/`:                "possessive quantifier",
	`RULE:a{1,3}+/x/`:            "possessive quantifier",
	`RULE:(a)\1*/x/`:             "back reference",
	`RULE:(?<n>a)\k<n>*/x/`:      "back reference",
	`RULE:[a-z[A-Z]]+/x/`:        "character class inside another",
	`RULE:[a-z&&[^b]]+/x/`:       "intersection",
	`RULE:\bCN.*/x/`:             "word boundary",
	`RULE:CN\h*.*/x/`:            `\h`,
	`RULE:CN\v*.*/x/`:            `\v`,
	`RULE:.*\Z/x/`:               `\Z`,
	`RULE:\p{javaLowerCase}+/x/`: "javaLowerCase",
	`RULE:(?x)a a a/x/`:          "flags (?x)",
	`RULE:(?U)\w+/x/`:            "flags (?U)",
	`RULE:\u0061+/x/`:            `\u`,
	`RULE:[]a]+/x/`:              "begins with ]",
	`RULE:\R?aaa/x/`:             `\R`,
	`RULE:(?i)é?aaa/x/`:          "(?i)",
	`RULE:^CN=.*$/$1/`:           "group 1",
	`RULE:^CN=(?<n>.*)$/${m}/`:   `"m"`,
	`RULE:^CN=(.*)$/$/`:          "$ without a number",
	`RULE:^CN=(.*)$/a$b/`:        "$ without a number",
	`RULE:^CN=.*$/$5x/`:          "group 5",
	// Kafka's own escaping puts the second backslash where it belonged without the first
	"RULE:^CN=(.*?),.*$/$1@$2@$3/": "group 3",
	"RULE:^(.)(.*)$/$2$1$3$4/":     "group 4",
	"RULE:^CN=(.*)$/${1}/":         `"1"`,
	" ":                            "no rule",
}

// TestRulesMapAsKafkasDo: the same name, or a refusal. A refusal where Kafka has a name is
// allowed only for rules that are refused by the name of what is not supported.
func TestRulesMapAsKafkasDo(t *testing.T) {
	same, refused := 0, 0
	for _, v := range vectors(t, "rule") {
		text, subject := unescape(t, v.fields[0]), unescape(t, v.fields[1])
		rs, err := parseRules(text)
		if err != nil {
			if why, known := strict[text]; v.refuse != "rules" && (!known || !strings.Contains(err.Error(), why)) {
				t.Errorf("%q is refused, and Kafka takes it: %v", text, err)
			}
			refused++
			continue
		}
		got, err := rs.name(subject)
		switch {
		case err == nil && v.refuse == "" && got == v.answer:
			same++
		case err != nil && (v.refuse != "" || strings.Contains(v.answer, "x?x?")):
			refused++ // the second is half a character, which Java shows as ?
		default:
			t.Errorf("%q of %q: %q, %v; Kafka: %q %s", text, subject, got, err, v.answer, v.refuse)
		}
	}
	if same < 500 {
		t.Errorf("only %d names are the same, and %d refused", same, refused)
	}
}

// TestACharacterThatJavaTakesOtherwiseFailsTheAuthentication, because the rule could mean
// somebody else.
func TestACharacterThatJavaTakesOtherwiseFailsTheAuthentication(t *testing.T) {
	rs, err := parseRules("RULE:^CN=(.*)$/$1/,DEFAULT")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range unlike {
		if name, err := rs.name("CN=a" + string(r)); err == nil {
			t.Errorf("%q is %q", r, name)
		}
	}
}
