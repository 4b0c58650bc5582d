package main

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sys/unix"

	"kring/doctor"
)

// diagnosis is what one cage must lead to.
type diagnosis struct {
	name string
	cage func(t *testing.T) string
	// finding and remedy are the doctor's, why the reason on the ready line,
	// refusal the error of a named engine.
	finding, remedy, why, refusal string
	// starves: epoll can be chosen, but has too little to serve with.
	starves string
}

func diagnoses() []diagnosis {
	hidden := "ENOSYS, a seccomp filter hides it"
	if _, err := os.Stat("/proc/sys/kernel/io_uring_disabled"); err != nil {
		hidden = "ENOSYS, this kernel has no io_uring" // older than 6.6: nothing tells a filter apart
	}
	limit := func(name string) func(*testing.T) string { return func(*testing.T) string { return name } }
	deny := func(errno unix.Errno) func(*testing.T) string {
		return func(t *testing.T) string { return filterCage(t, denying(errno)) }
	}
	return []diagnosis{
		{name: "EPERM", cage: deny(unix.EPERM), finding: "a seccomp filter forbids io_uring", remedy: "seccomp",
			why: "EPERM, a seccomp filter forbids it", refusal: "allow io_uring_setup, io_uring_enter and io_uring_register"},
		{name: "ENOSYS", cage: deny(unix.ENOSYS), finding: "a seccomp filter hides io_uring", remedy: "seccomp",
			why: hidden, refusal: hidden},
		{name: "memlock", cage: limit("memlock"), finding: "the memlock limit (0 bytes) leaves no room", remedy: "LimitMEMLOCK=infinity",
			why: "ENOMEM, no memory: raise the memlock limit", refusal: "raise the memlock limit (ulimit -l"},
		{name: "nofile", cage: limit("nofile"), finding: "the limit of open descriptors (11)", remedy: "LimitNOFILE=",
			starves: "too many open files.*raise the limit", refusal: "ulimit -n"},
	}
}

func TestWhatStandsInTheWayIsFoundAndNamed(t *testing.T) {
	for _, d := range diagnoses() {
		t.Run(d.name, func(t *testing.T) {
			cage := d.cage(t)
			r := examineCaged(t, cage)
			if d.name == "memlock" && r.Auto.Engine == "io_uring" {
				return // Linux 5.12 to 6.13 do not count rings against the limit
			}
			if r.Exit != doctor.ExitFallback || r.Auto.Engine != "epoll" || !strings.Contains(r.Auto.Why, "io_uring") {
				t.Errorf("exit %d, auto %+v; want 3 and epoll with the reason", r.Exit, r.Auto)
			}
			if len(r.Findings) == 0 || r.Findings[0].Severity != doctor.Fault ||
				!strings.Contains(r.Findings[0].What, d.finding) || !strings.Contains(r.Findings[0].Remedy, d.remedy) {
				t.Errorf("findings %+v; want first %q with remedy %q", r.Findings, d.finding, d.remedy)
			}
			text, status := doctorCaged(t, cage)
			if status != doctor.ExitFallback || !strings.HasPrefix(text, "kring doctor: io_uring can't serve here; epoll does\n") {
				t.Errorf("exit status %d, text:\n%s", status, text)
			}
			serveCaged(t, cage, d)
		})
	}
}

// serveCaged: auto serves with epoll and says why; io_uring by name fails.
func serveCaged(t *testing.T, cage string, d diagnosis) {
	t.Helper()
	// Eight processors need more than the nofile cage leaves on any machine.
	serve := []string{"serve", "--listen", "127.0.0.1:0", "--handler", "null", "--processors", "8"}
	c := startCaged(t, cage, serve...)
	line := <-c.lines()
	if d.starves != "" {
		if status := c.exit(); line != "" || status != exitFailure {
			t.Errorf("ready line %q, exit status %d; want a failure", line, status)
		}
		c.logged(d.starves)
	} else {
		m := readyForm.FindStringSubmatch(line)
		if m == nil || !strings.HasPrefix(m[3], "epoll (") || !strings.Contains(m[3], d.why) {
			t.Fatalf("ready line %q, want epoll and %q; standard error:\n%s", line, d.why, c.stderr.String())
		}
		ask(t, dial(t, m[1]), kmsg.NewPtrApiVersionsRequest())
		c.signal(syscall.SIGTERM)
		if status := c.exit(); status != exitOK {
			t.Errorf("exit status %d, want 0", status)
		}
	}
	named := startCaged(t, cage, append(serve, "--engine", "io_uring")...)
	if line := <-named.lines(); line != "" {
		t.Errorf("--engine io_uring: ready line %q", line)
	}
	if status := named.exit(); status != exitFailure {
		t.Errorf("--engine io_uring: exit status %d, want 1", status)
	}
	named.logged(`kring: error: .*` + regexp.QuoteMeta(d.refusal))
}

// doctorCaged runs the doctor and gives its output and status.
func doctorCaged(t *testing.T, cage string, args ...string) (string, int) {
	t.Helper()
	c := startCaged(t, cage, append([]string{"doctor"}, args...)...)
	out, err := c.cmd.Output()
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		t.Fatal(err)
	}
	if c.stderr.String() != "" {
		t.Errorf("standard error:\n%s", c.stderr.String())
	}
	return string(out), c.cmd.ProcessState.ExitCode()
}

func examineCaged(t *testing.T, cage string) (r doctor.Report) {
	t.Helper()
	out, status := doctorCaged(t, cage, "--json")
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("exit status %d: %v\n%s", status, err, out)
	}
	if status != r.Exit {
		t.Errorf("exit status %d, and the report says %d", status, r.Exit)
	}
	return r
}

// TestTheSeccompProfileIsEnoughToServe puts kring under the profile that the
// doctor prints, and a client with it.
func TestTheSeccompProfileIsEnoughToServe(t *testing.T) {
	cage := filterCage(t, compile(t, doctor.SeccompProfile()))
	if r := examineCaged(t, cage); r.Exit != doctor.ExitURing || r.Process.Seccomp != "filter" {
		t.Errorf("exit %d, seccomp %s, findings %+v", r.Exit, r.Process.Seccomp, r.Findings)
	}
	for _, args := range [][]string{
		{"--engine", "io_uring", "--data-dir", t.TempDir(), "--sync-writes"},
		{"--engine", "io_uring", "--handler", "null", "--dispatch", "inline"},
		{"--engine", "epoll"},
		{"--engine", "portable"},
	} {
		c := startCaged(t, cage, append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...)
		m := readyForm.FindStringSubmatch(<-c.lines())
		if m == nil {
			t.Fatalf("%v: no ready line; standard error:\n%s", args, c.stderr.String())
		}
		metadata := kmsg.NewPtrMetadataRequest()
		metadata.Version, metadata.AllowAutoTopicCreation = 8, true
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic = kmsg.StringPtr("caged")
		metadata.Topics = append(metadata.Topics, topic)
		ask(t, dial(t, m[1]), metadata)
		c.signal(syscall.SIGTERM)
		if status := c.exit(); status != exitOK {
			t.Errorf("%v: exit status %d, want 0; standard error:\n%s", args, status, c.stderr.String())
		}
	}
}

// TestTheSeccompProfileWithoutIOURingForbidsIt: what lets io_uring through is
// its rule and nothing else.
func TestTheSeccompProfileWithoutIOURingForbidsIt(t *testing.T) {
	p := doctor.SeccompProfile()
	p.Syscalls = p.Syscalls[1:]
	if r := examineCaged(t, filterCage(t, compile(t, p))); r.Exit != doctor.ExitFallback ||
		!strings.Contains(r.Auto.Why, "EPERM, a seccomp filter forbids it") {
		t.Errorf("exit %d, %+v", r.Exit, r.Auto)
	}
}

// compile turns a profile into a filter, as libseccomp would.
func compile(t *testing.T, p doctor.Profile) []unix.SockFilter {
	t.Helper()
	numbers := systemCalls(t)
	verdict := func(action string, errno uint) unix.SockFilter {
		if action == "SCMP_ACT_ALLOW" {
			return answer(unix.SECCOMP_RET_ALLOW)
		}
		return answer(unix.SECCOMP_RET_ERRNO | uint32(errno))
	}
	filter := []unix.SockFilter{loadWord(offNumber)}
	for _, rule := range p.Syscalls {
		for _, name := range rule.Names {
			nr, known := numbers[name]
			if !known {
				if runtime.GOARCH == "amd64" { // others lack the old calls; runtimes pass over them
					t.Errorf("there is no system call %q", name)
				}
				continue
			}
			then := []unix.SockFilter{verdict(rule.Action, rule.ErrnoRet)}
			for _, a := range rule.Args { // one at most
				check := []unix.SockFilter{loadWord(argument(a.Index)), unlessEqual(uint32(a.Value), 1)}
				if a.Op == "SCMP_CMP_MASKED_EQ" {
					check = []unix.SockFilter{loadWord(argument(a.Index)), and(uint32(a.Value)), unlessEqual(uint32(a.ValueTwo), 1)}
				}
				then = append(append(check, then...), loadWord(offNumber))
			}
			filter = append(append(filter, unlessEqual(nr, uint8(len(then)))), then...)
		}
	}
	return append(filter, verdict(p.DefaultAction, p.DefaultErrnoRet))
}

// systemCalls are the numbers of this architecture, as x/sys has them.
func systemCalls(t *testing.T) map[string]uint32 {
	t.Helper()
	dir, err := exec.Command("go", "list", "-f", "{{.Dir}}", "golang.org/x/sys/unix").Output()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(string(bytes.TrimSpace(dir)), "zsysnum_linux_"+runtime.GOARCH+".go")
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	numbers := map[string]uint32{}
	ast.Inspect(parsed, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok && len(v.Values) == 1 {
			if value, ok := v.Values[0].(*ast.BasicLit); ok {
				nr, err := strconv.ParseUint(value.Value, 0, 32)
				if err == nil {
					numbers[strings.ToLower(strings.TrimPrefix(v.Names[0].Name, "SYS_"))] = uint32(nr)
				}
			}
		}
		return true
	})
	return numbers
}

func TestTheDoctorIsContentWhereIOURingServes(t *testing.T) {
	c := start(t, "doctor")
	out, err := c.cmd.Output()
	if err != nil || !bytes.HasPrefix(out, []byte("kring doctor: io_uring serves here\n")) || bytes.Contains(out, []byte("\nfault")) {
		t.Errorf("%v\n%s%s", err, out, c.stderr.String())
	}
}
