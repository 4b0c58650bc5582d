package properties

import (
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// properties returns the map that Java's Properties would have.
func propertiesOf(all []Property) map[string]string {
	m := map[string]string{}
	for _, p := range all {
		m[p.Key] = p.Value
	}
	return m
}

// TestEveryTextIsReadAsJavaReadsIt: the vectors are those of java.util.Properties.load.
func TestEveryTextIsReadAsJavaReadsIt(t *testing.T) {
	file, err := os.ReadFile("testdata/vectors.txt")
	if err != nil {
		t.Fatal(err)
	}
	unhex := func(s string) string {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	vectors := strings.Split(strings.TrimSuffix(string(file), "\n"), "\n")
	if len(vectors) < 1500 {
		t.Fatalf("only %d vectors", len(vectors))
	}
	for _, v := range vectors {
		in, says, _ := strings.Cut(v, " ")
		text := unhex(in)
		all, err := Parse([]byte(text))
		if says == "malformed" {
			if err == nil {
				t.Errorf("%q: %v; it is malformed for Java", text, all)
			}
			continue
		}
		want := map[string]string{}
		for pair := range strings.SplitSeq(says, ";") {
			if key, value, ok := strings.Cut(pair, "="); ok {
				want[unhex(key)] = unhex(value)
			}
		}
		if got := propertiesOf(all); err != nil || !maps.Equal(got, want) {
			t.Errorf("%q: %q, %v; Java reads %q", text, got, err, want)
		}
	}
}

func TestPropertiesSayWhereTheyBegin(t *testing.T) {
	text := "\ufeffa=1\r\n\n# no\n  b \\\n  = 2\\\n  3\r\r  ä\\u00e4=4\n! no \\\nc"
	want := []Property{{"a", "1", 1, 1}, {"b", "23", 4, 3}, {"ää", "4", 8, 3}, {"c", "", 10, 1}}
	all, err := Parse([]byte(text))
	if err != nil || !slices.Equal(all, want) {
		t.Errorf("%+v, %v, want %+v", all, err, want)
	}
}

// TestOldTextIsReadAsJavaDoes: ISO 8859-1 when it is not UTF-8.
func TestOldTextIsReadAsJavaDoes(t *testing.T) {
	all, err := Parse([]byte("k=\xe4\xff"))
	if err != nil || all[0].Value != "äÿ" {
		t.Errorf("%v, %v", all, err)
	}
}

// TestEveryFaultIsNamedWithItsPlace, and what is beside it is read.
func TestEveryFaultIsNamedWithItsPlace(t *testing.T) {
	all, err := Parse([]byte("a=1\nb=x\\u12\n  c\\uZZZZ = \\uD800 \\\n  \\uDC00\\u1\nd=2\n"))
	if got := propertiesOf(all); !maps.Equal(got, map[string]string{"a": "1", "d": "2"}) {
		t.Errorf("%q", got)
	}
	var places []string
	for _, e := range err.(interface{ Unwrap() []error }).Unwrap() {
		var f *Fault
		if !errors.As(e, &f) || f.Says == "" {
			t.Fatalf("%v", e)
		}
		places = append(places, fmt.Sprintf("%d:%d", f.Line, f.Column))
	}
	if want := []string{"2:4", "3:4", "3:13", "4:3", "4:9"}; !reflect.DeepEqual(places, want) {
		t.Errorf("faults at %v, want %v:\n%v", places, want, err)
	}
}

func TestALaterPropertyOverridesAnEarlierOne(t *testing.T) {
	all, _ := Parse([]byte("a=1\nb=2\na=3\na=4"))
	hold, overridden := Split(all)
	if !slices.Equal(hold, []Property{{"b", "2", 2, 1}, {"a", "4", 4, 1}}) || !slices.Equal(overridden, []Property{{"a", "1", 1, 1}, {"a", "3", 3, 1}}) {
		t.Errorf("%v hold, %v are overridden", hold, overridden)
	}
}

func TestATextHasBounds(t *testing.T) {
	for text, says := range map[string]string{
		strings.Repeat("a", BytesMax+1):                       "at most 1048576",
		strings.Repeat("a\n", PropertiesMax+1):                "10001:1: there are more than 10000",
		strings.Repeat("a", KeyBytesMax+1) + "=1":             "1:1: the key has 1025 bytes",
		strings.Repeat("a=\\u\n", FaultsMax) + "a=1\na=\\u\n": "100:3: malformed",
	} {
		_, err := Parse([]byte(text))
		if err == nil || !strings.Contains(err.Error(), says) || strings.Count(err.Error(), "\n") > FaultsMax {
			t.Errorf("%.20q…: %v, want one with %q", text, err, says)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"a=b\\\n c", "a\\u0041\\", "\\\n#\r\n!", "a=\\uD83D\\uDE00", "\xff=\xfe"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		all, err := Parse(text)
		lines := strings.Count(string(text), "\n") + strings.Count(string(text), "\r") + 1
		for _, p := range all {
			if !utf8.ValidString(p.Key) || !utf8.ValidString(p.Value) || p.Line < 1 || p.Line > lines || p.Column < 1 {
				t.Fatalf("%v of %q", p, text)
			}
		}
		if err != nil || !utf8.Valid(text) {
			return
		}
		// Written in one line each with every character escaped, it is the same.
		var again strings.Builder
		for _, p := range all {
			again.WriteString(escapeAll(p.Key) + "=" + escapeAll(p.Value) + "\n")
		}
		if again.Len() > BytesMax {
			return
		}
		same, err := Parse([]byte(again.String()))
		if err != nil || len(same) != len(all) {
			t.Fatalf("%v became %q: %v, %v", all, again.String(), same, err)
		}
		for i := range all {
			if all[i].Key != same[i].Key || all[i].Value != same[i].Value {
				t.Fatalf("%v became %v", all[i], same[i])
			}
		}
	})
}

func escapeAll(s string) string {
	var out strings.Builder
	for _, r := range s {
		if r > 0xffff {
			out.WriteRune(r)
			continue
		}
		fmt.Fprintf(&out, `\u%04x`, r)
	}
	return out.String()
}
