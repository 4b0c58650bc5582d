package main

import (
	"bytes"
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// output is what a command prints that succeeds and complains of nothing.
func output(t *testing.T, args ...string) string {
	t.Helper()
	status, stdout, stderr := command(t, args...)
	if status != exitOK || stderr != "" {
		t.Fatalf("kring %q: status %d: %s", args, status, stderr)
	}
	return stdout
}

// TestTheSeccompProfileOfTheContainerIsCurrent: it is what kring doctor --seccomp prints.
func TestTheSeccompProfileOfTheContainerIsCurrent(t *testing.T) {
	if runtime.GOARCH != "amd64" || runtime.GOOS != "linux" {
		return // the profile is of the architecture that it is printed on
	}
	want := output(t, "doctor", "--seccomp")
	got, err := os.ReadFile("../../deploy/seccomp.json")
	if err != nil || !bytes.Equal(got, []byte(want)) {
		t.Errorf("%v: run kring doctor --seccomp > deploy/seccomp.json", err)
	}
}

// TestTheUnitsRunFlagsThatThereAre: what the units and the container start is accepted, and the
// variables that they set are of settings.
func TestTheUnitsRunFlagsThatThereAre(t *testing.T) {
	known := output(t, "completion", "bash")
	for _, file := range []string{"../../docs/systemd/kring.service", "../../docs/systemd/kring-upgrade.service", "../../deploy/Containerfile", "../../deploy/compose.yaml"} {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.ReplaceAll(string(raw), "\\\n", " ")
		for _, variable := range regexp.MustCompile(`KRING_[A-Z_]+`).FindAllString(text, -1) {
			flag := strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(variable, settingPrefix)), "_", "-")
			if variableOf(flag) != variable || !strings.Contains(known, "kring serve --"+flag+"'") {
				t.Errorf("%s: there is no setting for %s", file, variable)
			}
		}
		for _, flag := range regexp.MustCompile(`--[a-z][a-z-]+`).FindAllString(runLines(text), -1) {
			if !strings.Contains(known, "kring serve "+flag+"'") && !strings.Contains(known, " "+flag+" ") {
				t.Errorf("%s: there is no %s", file, flag)
			}
		}
	}
}

// runLines are the lines that start kring.
func runLines(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		if regexp.MustCompile(`^\s*(ExecStart=|command:|--|CMD|ENTRYPOINT)`).MatchString(line) {
			out.WriteString(line)
		}
	}
	return out.String()
}
