// Package broker starts `kring serve` for a test and ends it again.
//
// Job. One server process per engine, on a free port, with its log kept; and the
// memory, descriptors and threads of that process.
//
// Flow. Each uses KRING_BOOTSTRAP (the address of a running server), else KRING_BIN
// (a built kring), else builds kring from the module around this one. It starts the
// server for every engine of KRING_ENGINES, waits for its ready line, runs the test,
// and ends the server with SIGTERM, after which it must exit with 0.
//
// Ownership. A Broker owns its process; nothing else signals it. The log
// belongs to the goroutine that copies it, and is read under a lock.
//
// Never. No fixed port, no process found by name, no silent substitute for an
// engine: a server that can't start fails the test with its output.
//
// Kernel. /proc/PID for memory, descriptors and threads (Linux only; the
// measurements say so elsewhere).
package broker

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	// startTimeout covers a first start on a busy machine.
	startTimeout = 2 * time.Minute
	// stopTimeout is longer than kring's own drain timeout, so that a server
	// that has to give up waiting still says so itself.
	stopTimeout = 2 * time.Minute
)

var readyLine = regexp.MustCompile(`ready on ([^\s,]+:\d+)`)

// Broker is a server to test against.
type Broker struct {
	// Engine is the name that was asked for, or "external".
	Engine string
	// Addr is what clients bootstrap from.
	Addr string

	cmd    *exec.Cmd
	exited chan struct{}
	err    error // of Wait; valid once exited is closed

	mu  sync.Mutex
	log bytes.Buffer
}

// Engines is the list of KRING_ENGINES, or all three.
func Engines() []string {
	if list := strings.FieldsFunc(os.Getenv("KRING_ENGINES"), func(r rune) bool { return r == ',' || r == ' ' }); len(list) > 0 {
		return list
	}
	return []string{"io_uring", "epoll", "portable"}
}

// Each runs f once per engine, each time against a server of its own.
func Each(t *testing.T, f func(t *testing.T, b *Broker), args ...string) {
	if addr := os.Getenv("KRING_BOOTSTRAP"); addr != "" {
		t.Run("external", func(t *testing.T) { f(t, &Broker{Engine: "external", Addr: addr}) })
		return
	}
	bin := binary(t)
	for _, engine := range Engines() {
		t.Run(engine, func(t *testing.T) {
			b, err := Start(bin, engine, args...)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := b.Stop(); err != nil {
					t.Error(err)
				}
				if t.Failed() {
					t.Logf("the server's log ends with:\n%s", b.LogTail(40))
				}
			})
			f(t, b)
		})
	}
}

// Start starts bin as a server on the named engine and waits until it is
// ready. args are added to the command line.
func Start(bin, engine string, args ...string) (*Broker, error) {
	b := &Broker{Engine: engine, exited: make(chan struct{})}
	b.cmd = exec.Command(bin, append([]string{"serve", "--engine", engine, "--listen", "127.0.0.1:0"}, args...)...)
	b.cmd.Stderr = b
	b.cmd.SysProcAttr = tied()
	stdout, err := b.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := b.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", bin, err)
	}
	ready := make(chan string, 1)
	go func() {
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			fmt.Fprintln(b, lines.Text())
			if m := readyLine.FindStringSubmatch(lines.Text()); m != nil {
				select {
				case ready <- m[1]:
				default: // only the first counts
				}
			}
		}
		// Order: Wait closes the pipe, so it comes after the last line.
		b.err = b.cmd.Wait()
		close(b.exited)
	}()
	select {
	case b.Addr = <-ready:
		return b, nil
	case <-b.exited:
		return nil, fmt.Errorf("kring ended before it was ready on %s (%v):\n%s", engine, b.err, b.Log())
	case <-time.After(startTimeout):
		err := fmt.Errorf("kring was not ready on %s within %v:\n%s", engine, startTimeout, b.Log())
		return nil, errors.Join(err, b.cmd.Process.Kill())
	}
}

// Stop ends the server and returns what was wrong with its end.
func (b *Broker) Stop() error {
	if b.cmd == nil {
		return nil
	}
	if err := b.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("asking kring to end: %w", err)
	}
	select {
	case <-b.exited:
		if b.err != nil {
			return fmt.Errorf("kring on %s ended with %w; its log ends with:\n%s", b.Engine, b.err, b.LogTail(20))
		}
		return nil
	case <-time.After(stopTimeout):
		err := fmt.Errorf("kring on %s did not end within %v of SIGTERM", b.Engine, stopTimeout)
		return errors.Join(err, b.cmd.Process.Kill())
	}
}

// Write keeps the server's output; it makes a Broker an io.Writer for exec.
func (b *Broker) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.log.Write(p)
}

// Log is the server's output so far.
func (b *Broker) Log() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.log.String()
}

// LogTail is the last n lines of Log.
func (b *Broker) LogTail(n int) string {
	lines := strings.Split(strings.TrimRight(b.Log(), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

var built struct {
	sync.Once
	dir, bin string
	err      error
}

// Main runs a package's tests and removes what Each built for them.
func Main(m *testing.M) int {
	code := m.Run()
	if built.dir != "" {
		if err := os.RemoveAll(built.dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return max(code, 1)
		}
	}
	return code
}

// binary is KRING_BIN, or a kring built from the module around this one.
func binary(t *testing.T) string {
	if bin := os.Getenv("KRING_BIN"); bin != "" {
		return bin
	}
	built.Do(func() { built.err = build() })
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.bin
}

func build() error {
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	if built.dir, err = os.MkdirTemp("", "kring-clients-*"); err != nil {
		return err
	}
	built.bin = filepath.Join(built.dir, "kring")
	cmd := exec.Command("go", "build", "-o", built.bin, "./cmd/kring")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building kring in %s: %w\n%s", root, err, out)
	}
	return nil
}

// moduleRoot walks up to the folder whose go.mod says "module kring".
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && bytes.HasPrefix(text, []byte("module kring\n")) {
			return dir, nil
		}
	}
	return "", errors.New("no go.mod of module kring above this folder: set KRING_BIN to a built kring, or KRING_BOOTSTRAP to a running one")
}
