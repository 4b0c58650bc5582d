package main

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// kafkasProperties are those of Apache Kafka's brokers, and their types; scripts/properties.sh
// asks Kafka for them.
func kafkasProperties(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "kafka-properties.txt"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for line := range strings.Lines(string(text)) {
		name, kind, ok := strings.Cut(strings.TrimSpace(line), "\t")
		if !ok {
			t.Fatalf("%q is no name and type", line)
		}
		all[name] = kind
	}
	if len(all) < 250 {
		t.Fatalf("only %d properties", len(all))
	}
	return all
}

// TestEveryPropertyOfKafkasIsKnown: it sets something, is ignored, or is refused with what to
// give instead. To say of one that it does not exist would be wrong, whatever its value.
func TestEveryPropertyOfKafkasIsKnown(t *testing.T) {
	for name := range kafkasProperties(t) {
		for _, key := range []string{name, "listener.name.a." + name} {
			faults := errorsText(parseConfig("f", []byte("listeners=A://127.0.0.1:0\nlistener.security.protocol.map=A:PLAINTEXT\n"+key+"=\\u0001"), testModel()).faults)
			if strings.Contains(faults, "there is no such") {
				t.Errorf("%s", faults)
			}
		}
	}
}

// TestListsOfKafkasMayHaveBlanksAtTheirCommas (ConfigDef.parseType).
func TestListsOfKafkasMayHaveBlanksAtTheirCommas(t *testing.T) {
	seen := 0
	for name, kind := range kafkasProperties(t) {
		row, known := propertyNamed(name)
		if kind != "LIST" || !known || row.read == nil {
			continue
		}
		seen++
		if got, err := row.read("A , B,C"); err != nil || got != "A,B,C" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if seen < 4 {
		t.Errorf("only %d lists", seen)
	}
}

// TestPasswordsOfKafkasAreHiddenHere: what is a password for Kafka is never shown by kring,
// whatever it sets.
func TestPasswordsOfKafkasAreHiddenHere(t *testing.T) {
	model := testModel()
	hides := []reflect.Type{reflect.TypeFor[secret](), reflect.TypeFor[pemSetting](), reflect.TypeFor[[]pemSetting]()}
	for name, kind := range kafkasProperties(t) {
		row, known := propertyNamed(name)
		if kind == "PASSWORD" && known && !slices.Contains(hides, model[row.flag].Target.Type()) {
			t.Errorf("--%s shows %s", row.flag, name)
		}
	}
}

// TestWhatAFileSaysIsSet: every property of the table that takes this value sets its flag, and
// behind listener.name. its setting.
func TestWhatAFileSaysIsSet(t *testing.T) {
	values := []string{"7", "A", "true", "required", "TLSv1.3", "PLAIN", "User:a", "h.example:1", "file:///keys", "600000", "PEM", "BrokerJwtValidator"}
	for _, row := range properties {
		if slices.Contains(readTogether, row.name) {
			continue
		}
		set := slices.ContainsFunc(values, func(value string) bool {
			text, err := row.read(value)
			f := parseConfig("f", []byte("listeners=A://127.0.0.1:0\nlistener.security.protocol.map=A:PLAINTEXT\n"+row.name+"="+value), testModel())
			return err == nil && len(f.faults) == 0 && (row.flag == "" || text == "" || f.flags[row.flag].text != "")
		})
		if !set {
			t.Errorf("%s sets nothing by any of %q", row.name, values)
		}
	}
}

// TestAFileOfKafkasIsReadInWhateverFormItsLinesEnd: CRLF, a byte order mark, a backslash at
// the end, and a continued PEM text.
func TestAFileOfKafkasIsReadInWhateverFormItsLinesEnd(t *testing.T) {
	for _, text := range []string{
		"\ufeffnum.io.threads=3\r\nconnections.max.idle.ms=5000\r\n", "num.io.threads=3\rconnections.max.idle.ms=5000",
		"num.io.threads=\\\r\n   3\r\nconnections.max.idle.ms : 5000\\", "\ufeff# a\r\n\r\n! b\r\nnum.io.threads 3\nconnections.max.idle.ms=50\\\n00\n\n",
	} {
		f := textOfConfig(text)
		if len(f.faults) > 0 || f.flags["handlers"].text != "3" || f.flags["idle-timeout"].text != "5s" {
			t.Errorf("%q: %v, faults %v", text, f.flags, f.faults)
		}
	}
}
