package contestant

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"
)

// askedChild makes the test's own program a contestant's process of this kind.
const askedChild = "KRING_CONTESTANT_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(askedChild) == "" {
		os.Exit(m.Run())
	}
	// It answers each question when it is asked the next one, or there is none.
	fmt.Println("ready here")
	before := ""
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		if before != "" {
			fmt.Printf("{%q: 1}\n", before)
		}
		before = lines.Text()
	}
	if before == "stay" {
		<-time.After(time.Hour) // it is killed before
	}
}

func child(t *testing.T) *Process {
	t.Helper()
	t.Setenv(askedChild, "1")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p, err := StartProcess("child", []string{self}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestAnAnswerThatComesTooLateIsNotTakenForTheNextOne: on a busy machine a server
// may answer when nobody waits any more.
func TestAnAnswerThatComesTooLateIsNotTakenForTheNextOne(t *testing.T) {
	p := child(t)
	defer p.Stop()
	if own, err := p.Ask("first", time.Millisecond); err == nil {
		t.Fatalf("an answer before the next question: %v", own)
	}
	if own, err := p.Ask("second", 100*time.Millisecond); err == nil {
		t.Errorf("the answer to the first question is taken for the second's: %v", own)
	}
	go func() { fmt.Fprintln(p.stdin, "third") }() // which has it answer the second
	var own Own
	p.owed-- // as answer counts the question itself
	if err := p.answer(time.Minute, &own); err != nil || own["second"] != 1 {
		t.Errorf("%v, %v: want the answer to the second question", own, err)
	}
}

func TestAServerThatDoesNotEndByItselfIsKilled(t *testing.T) {
	p := child(t)
	if _, err := fmt.Fprintln(p.stdin, "stay"); err != nil {
		t.Fatal(err)
	}
	p.stopWithin(time.Millisecond)
	if p.cmd.ProcessState.Exited() {
		t.Errorf("it ended: %v", p.cmd.ProcessState)
	}
}

// TestAPinnedProcessIsNotToldOfMoreProcessorsThanItHas: a generator of SCHED_FIFO on
// one processor, with the four Ps of an inherited GOMAXPROCS, spun for ever.
func TestAPinnedProcessIsNotToldOfMoreProcessorsThanItHas(t *testing.T) {
	if runtime.GOOS != "linux" {
		return // nothing is pinned elsewhere
	}
	t.Setenv("GOMAXPROCS", "7")
	for _, cpus := range [][]int{CPUs()[:1], nil} {
		out := &strings.Builder{}
		cmd := exec.Command("/bin/sh", "-c", "echo ${GOMAXPROCS-none}")
		cmd.Stdout = out
		if err := StartPinned(cmd, cpus); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
		if got, want := strings.TrimSpace(out.String()), map[bool]string{true: "none", false: "7"}[len(cpus) > 0]; got != want {
			t.Errorf("pinned to %v it finds GOMAXPROCS %s, want %s", cpus, got, want)
		}
	}
}
