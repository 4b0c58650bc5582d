package doctor

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	"kring/uring"
)

func TestExamineSaysWhatTheServerWouldDo(t *testing.T) {
	r, err := Examine(Keeper{FilesWanted: 30_000, PartitionsFor: func(files int) int { return files / 3 }})
	if err != nil {
		t.Fatal(err)
	}
	want := 0
	if runtime.GOOS != "linux" {
		want = ExitFallback
	}
	if r.Exit != want || len(r.Engines) != 3 || r.System.OS != runtime.GOOS || r.CPU.GOMAXPROCS < 1 {
		t.Errorf("%+v", r)
	}
	if runtime.GOOS == "linux" && (r.CPU.Online < 1 || r.Process.Seccomp == seccompUnknown || r.Limits.NofileSoft == nil) {
		t.Errorf("%+v", r)
	}
}

// TestTheReportHasThePlanOfDescriptors, and the plan adds up.
func TestTheReportHasThePlanOfDescriptors(t *testing.T) {
	r, err := Examine(Keeper{FilesWanted: 30_000, PartitionsFor: func(files int) int { return files / 3 }})
	if err != nil {
		t.Fatal(err)
	}
	d := r.Descriptors
	if d.Limit == 0 {
		return // none here
	}
	if sum := d.Own + d.Reserve + d.Connections; sum > d.Limit || d.Connections < 1 {
		t.Errorf("%+v: %d in all", d, sum)
	}
	if sum := d.Own + d.Reserve + d.DataDirConnections + d.DataDirFiles; sum > d.Limit || d.DataDirFiles < 1 || d.DataDirPartitions != d.DataDirFiles/3 {
		t.Errorf("%+v: %d in all", d, sum)
	}
	var text bytes.Buffer
	if err := r.WriteText(&text, false); err != nil || !strings.Contains(text.String(), fmt.Sprintf("descriptors %d: ", d.Limit)) {
		t.Errorf("%v: no line says it:\n%s", err, text.String())
	}
}

// TestTheReportHasThePlanOfMemory, and the plan adds up.
func TestTheReportHasThePlanOfMemory(t *testing.T) {
	r, err := Examine(Keeper{MemoryOf: func(int64) int64 { return 100 << 20 }})
	if err != nil {
		t.Fatal(err)
	}
	m := r.Memory
	if sum := m.Base + m.Engines + m.Reserve + m.Conns + m.Requests + m.Held + m.Responses + m.Handler; sum != m.AtMost || m.Handler != 100<<20 || !m.Fits {
		t.Errorf("%+v: %d in all", m, sum)
	}
	var text bytes.Buffer
	if err := r.WriteText(&text, false); err != nil || !strings.Contains(strings.Join(strings.Fields(text.String()), " "), m.says) {
		t.Errorf("%v: no line says %q:\n%s", err, m.says, text.String())
	}
}

// TestEveryFieldIsDocumented holds docs/doctor.md against the JSON.
func TestEveryFieldIsDocumented(t *testing.T) {
	manual, err := os.ReadFile("../docs/doctor.md")
	if err != nil {
		t.Fatal(err)
	}
	r := sound()
	r.Findings = diagnose(refused(syscall.EPERM))
	r.Features = append(r.Features, uring.Feature{Detail: "x", Settings: []string{"x=on"}})
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var tree any
	if err := json.Unmarshal(text, &tree); err != nil {
		t.Fatal(err)
	}
	for _, name := range fields(tree, "") {
		if !bytes.Contains(manual, []byte("`"+name+"`")) {
			t.Errorf("docs/doctor.md does not explain `%s`", name)
		}
	}
}

// fields lists the names below v, as the manual writes them: system.kernel,
// features[].name.
func fields(v any, at string) (names []string) {
	switch v := v.(type) {
	case map[string]any:
		for k, below := range v {
			name := strings.TrimPrefix(at+"."+k, ".")
			names = append(append(names, name), fields(below, name)...)
		}
	case []any:
		for _, below := range v {
			names = append(names, fields(below, at+"[]")...)
		}
	}
	return names
}

func TestJSONComesBackAsItWas(t *testing.T) {
	r, err := Examine(Keeper{FilesWanted: 30_000, PartitionsFor: func(files int) int { return files / 3 }})
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var again Report
	if err := json.Unmarshal(text, &again); err != nil {
		t.Fatal(err)
	}
	if back, _ := json.Marshal(again); !bytes.Equal(back, text) {
		t.Errorf("%s\n%s", text, back)
	}
	if bytes.Contains(text, []byte("null,\"hints")) || bytes.Contains(text, []byte(`"findings":null`)) {
		t.Error("a list is null")
	}
}

func TestNoLineIsWiderThanThePage(t *testing.T) {
	here, err := Examine(Keeper{FilesWanted: 30_000, PartitionsFor: func(files int) int { return files / 3 }})
	if err != nil {
		t.Fatal(err)
	}
	bare := *refused(syscall.ENOSYS)
	bare.Features = []uring.Feature{{Name: "io_uring", Answer: uring.No, Detail: "io_uring_setup: ENOSYS"}}
	bare.Limits, bare.System.IOURingDisabled, bare.System.IOURingGroup = Limits{}, nil, nil
	for i, r := range []Report{here, *sound(), bare} {
		r.Findings = append(r.Findings, diagnose(&r)...)
		var out strings.Builder
		if err := r.WriteText(&out, true); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(out.String()) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > columns || strings.TrimRight(line, " \n") != strings.TrimSuffix(line, "\n") {
				t.Errorf("report %d: %d columns, or spaces at the end: %q", i, n, line)
			}
		}
	}
}

// TestEachFeatureIsSaidToBeUsedAsItIs: one that is off by default stands beside
// what switches it on, and one that is never used stands there only if asked for.
func TestEachFeatureIsSaidToBeUsedAsItIs(t *testing.T) {
	r := sound()
	feature := func(name string, answer uring.Answer, settings ...string) {
		r.Features = append(r.Features, uring.Feature{Name: name, Since: "6.0", Probed: "a ring", Answer: answer, Detail: "says " + name,
			Without: "without " + name, Settings: settings})
	}
	feature("either", uring.Yes, "send=fixed", "recv=fixed")
	feature("locked", uring.Yes, "wake=msg-ring")
	feature("lacking", uring.No, "bundles=on")
	feature("idle", uring.No)
	for verbose, unseen := range map[bool]string{false: "without idle", true: "--verbose"} {
		var out strings.Builder
		if err := r.WriteText(&out, verbose); err != nil {
			t.Fatal(err)
		}
		for _, says := range []string{"send=fixed or recv=fixed", "wake=msg-ring --wait locked", "without lacking", "says lacking"} {
			if !strings.Contains(out.String(), says) {
				t.Errorf("verbose %v: %q is not there:\n%s", verbose, says, out.String())
			}
		}
		if strings.Contains(out.String(), unseen) || strings.Contains(out.String(), "says idle") != verbose {
			t.Errorf("verbose %v: %q stands there, or why not:\n%s", verbose, unseen, out.String())
		}
	}
}

func TestWrapKeepsEveryWord(t *testing.T) {
	text := strings.Repeat("word and an"+strings.Repeat("x", 30)+" ", 20)
	lines := wrap(text, 20)
	if !slices.Equal(strings.Fields(strings.Join(lines, " ")), strings.Fields(text)) {
		t.Errorf("%q", lines)
	}
	for _, l := range lines {
		if len(l) > 20 && strings.Contains(l, " ") {
			t.Errorf("%q could be broken", l)
		}
	}
	if got := wrap("", 20); len(got) != 1 {
		t.Errorf("nothing wraps to %d lines", len(got))
	}
}

func TestBytesAreRounded(t *testing.T) {
	for n, want := range map[int64]string{0: "0 bytes", 1023: "1023 bytes", 64 << 10: "64 KiB", 8 << 20: "8 MiB", 3 << 29: "1.5 GiB",
		1<<63 - 1: "8589934592 GiB", Unlimited: "unlimited"} {
		if got := bytesText(&n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
	if got := fmt.Sprint(bytesText(nil), countText(nil)); got != "unknownunknown" {
		t.Error(got)
	}
}

func TestTheSeccompProfileIsCompleteAndNarrow(t *testing.T) {
	var out bytes.Buffer
	if err := WriteSeccompProfile(&out); err != nil {
		t.Fatal(err)
	}
	var p Profile
	if err := json.Unmarshal(out.Bytes(), &p); err != nil {
		t.Fatal(err)
	}
	if p.DefaultAction != actionErrno || p.DefaultErrnoRet != errnoEPERM || len(p.Syscalls) == 0 {
		t.Errorf("%+v", p)
	}
	allowed := map[string]int{}
	for _, r := range p.Syscalls {
		for _, n := range r.Names {
			if r.Action == actionAllow {
				allowed[n]++
			}
			if len(r.Args) == 0 && allowed[n] > 1 {
				t.Errorf("%s is allowed twice", n)
			}
		}
	}
	for _, n := range []string{"io_uring_setup", "io_uring_enter", "io_uring_register", "accept4", "futex", "execve", "clone"} {
		if allowed[n] == 0 {
			t.Errorf("%s is not allowed", n)
		}
	}
	for _, n := range []string{"mount", "umount2", "unshare", "setns", "ptrace", "bpf", "perf_event_open", "init_module",
		"kexec_load", "reboot", "clock_settime", "settimeofday", "keyctl", "add_key", "clone3", "userfaultfd", "process_vm_readv",
		"open_by_handle_at", "chroot", "pivot_root", "swapon", "personality"} {
		if allowed[n] > 0 {
			t.Errorf("%s is allowed", n)
		}
	}
}
