package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes the test binary the program itself when it is called kring. Under another
// name it does not take a command for flags of tests: a child that was meant to serve, and
// runs all tests instead, starts children without end.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && !strings.HasPrefix(os.Args[1], "-") && filepath.Base(os.Args[0]) != "kring" {
		fmt.Fprintf(os.Stderr, "%q is no flag of a test; call this binary kring (Args[0]) to run the program\n", os.Args[1])
		os.Exit(2)
	}
	testscript.Main(m, map[string]func(){"kring": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
	})
}

// exits STATUS PROGRAM ARGS... runs a program that must end with the status.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("%v: exit status %d, want %d", args[1:], got, want)
	}
}

// deadline bounds every wait of these tests.
const deadline = 3 * time.Minute

// enginesHere are the engines that must work where the tests run.
func enginesHere() []string {
	if runtime.GOOS == "linux" {
		return []string{"io_uring", "epoll", "portable"}
	}
	return []string{"portable"}
}

// child is `kring serve` in a process of its own.
type child struct {
	t      *testing.T
	cmd    *exec.Cmd
	ready  string // the ready line
	addr   string // the first address in it
	rest   chan []byte
	stderr safeBuffer
}

var readyForm = regexp.MustCompile(`^kring: ready on (127\.0\.0\.1:[0-9]+)((?:, \S+)*) · (\S+ \(.+\), .+) · memory at most [^·]+ · handler (embedded|null|echo)(?: \(one-node development broker\))?$`)

// serve starts a child on a free port and waits until it is ready.
func serve(t *testing.T, args ...string) *child {
	t.Helper()
	c := start(t, append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...)
	c.awaitReady()
	return c
}

// awaitReady starts the child and waits for its ready line.
func (c *child) awaitReady() {
	c.t.Helper()
	select {
	case line := <-c.lines():
		m := readyForm.FindStringSubmatch(line)
		if m == nil {
			c.t.Fatalf("ready line %q does not have its documented form; standard error:\n%s", line, c.stderr.String())
		}
		c.ready, c.addr = line, m[1]
	case <-time.After(deadline):
		c.t.Fatalf("not ready; standard error:\n%s", c.stderr.String())
	}
}

func start(t *testing.T, args ...string) *child {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := &child{t: t, cmd: exec.Command(exe), rest: make(chan []byte, 1)}
	c.cmd.Args = append([]string{"kring"}, args...)
	c.cmd.Stderr = &c.stderr
	return c
}

// lines starts the child and gives the first line of its standard output; the
// rest goes to c.rest.
func (c *child) lines() <-chan string {
	c.t.Helper()
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		c.t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		if c.cmd.ProcessState == nil {
			_ = c.cmd.Process.Kill()
			_ = c.cmd.Wait()
		}
	})
	lines := make(chan string, 1)
	go func() {
		in := bufio.NewScanner(stdout)
		if in.Scan() {
			lines <- in.Text()
		} else {
			lines <- ""
		}
		var rest []byte
		for in.Scan() {
			rest = append(append(rest, in.Bytes()...), '\n')
		}
		c.rest <- rest
	}()
	return lines
}

func (c *child) signal(s os.Signal) {
	c.t.Helper()
	if err := c.cmd.Process.Signal(s); err != nil {
		c.t.Fatal(err)
	}
}

// exit waits for the child and gives its status; -1 when a signal ended it.
func (c *child) exit() int {
	c.t.Helper()
	var rest []byte
	select {
	case rest = <-c.rest: // before Wait, which closes the pipe
	case <-time.After(deadline):
		c.signal(syscall.SIGQUIT)
		c.t.Fatalf("did not exit; standard error:\n%s", c.stderr.String())
	}
	if len(rest) > 0 {
		c.t.Errorf("standard output has more than the ready line:\n%s", rest)
	}
	_ = c.cmd.Wait() // the status says it
	return c.cmd.ProcessState.ExitCode()
}

// logged waits until the child's standard error has matched the expression.
func (c *child) logged(expr string) {
	c.t.Helper()
	if !c.stderr.await(regexp.MustCompile(expr)) {
		c.t.Fatalf("no line with %q on standard error:\n%s", expr, c.stderr.String())
	}
}

// safeBuffer is a bytes.Buffer for two goroutines that can be waited for.
type safeBuffer struct {
	mu     sync.Mutex
	buf    bytes.Buffer
	change chan struct{}
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.change != nil {
		close(b.change)
		b.change = nil
	}
	return b.buf.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func (b *safeBuffer) await(expr *regexp.Regexp) bool {
	timeout := time.After(deadline)
	for {
		b.mu.Lock()
		found := expr.Match(b.buf.Bytes())
		if b.change == nil {
			b.change = make(chan struct{})
		}
		change := b.change
		b.mu.Unlock()
		if found {
			return true
		}
		select {
		case <-change:
		case <-timeout:
			return false
		}
	}
}
