package main

import (
	"strings"
	"testing"

	"kring/uring"
)

// TestTheListOfSettingsIsCompleteAndReadable by people and by scripts.
func TestTheListOfSettingsIsCompleteAndReadable(t *testing.T) {
	var out strings.Builder
	if err := writeSettings(&out); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")[1:]
	for i, s := range uring.Settings() {
		columns := strings.Fields(lines[2*i])
		if len(columns) < 4 || columns[0] != s.Key || strings.Join(columns[3:], " ") != strings.Join(s.Try, " ") {
			t.Errorf("%s has the line %q", s.Key, lines[2*i])
		}
		if says := lines[2*i+1]; len(says) < 20 || !strings.HasPrefix(says, "    ") {
			t.Errorf("%s is explained by %q", s.Key, says)
		}
	}
	if profiles := strings.Join(uring.KernelProfiles(), " "); !strings.Contains(out.String(), "--kernel-profile): "+profiles+"\n") {
		t.Errorf("the profiles %s are not in\n%s", profiles, out.String())
	}
}
