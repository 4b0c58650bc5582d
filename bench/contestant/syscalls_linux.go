package contestant

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// SyscallCounter counts the system calls of a process between Enable and
// Disable. It slows the process down, so it has a pass of its own.
type SyscallCounter struct {
	cmd      *exec.Cmd
	dir      string
	ctl, ack *os.File
}

// NewSyscallCounter attaches perf to a process, not counting yet.
func NewSyscallCounter(pid int) (*SyscallCounter, error) {
	perf, err := exec.LookPath("perf")
	if err != nil {
		return nil, &Absent{"system calls are not counted without perf", "install it (apt-get install linux-perf)"}
	}
	dir, err := os.MkdirTemp("", "kring-perf-")
	if err != nil {
		return nil, fmt.Errorf("contestant: %w", err)
	}
	c := &SyscallCounter{dir: dir}
	if c.ctl, err = fifo(filepath.Join(dir, "ctl")); err == nil {
		c.ack, err = fifo(filepath.Join(dir, "ack"))
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	c.cmd = exec.Command(perf, "stat", "-D", "-1", "--control", "fifo:"+filepath.Join(dir, "ctl")+","+filepath.Join(dir, "ack"),
		"-x", ",", "-o", filepath.Join(dir, "out"), "-e", "raw_syscalls:sys_enter", "-p", strconv.Itoa(pid))
	if err := c.cmd.Start(); err != nil {
		c.cmd = nil
		c.Close()
		return nil, fmt.Errorf("contestant: starting perf: %w", err)
	}
	return c, nil
}

// fifo makes a named pipe and holds both of its ends, so that opening it waits
// for nobody.
func fifo(name string) (*os.File, error) {
	if err := unix.Mkfifo(name, 0o600); err != nil {
		return nil, fmt.Errorf("contestant: mkfifo: %w", err)
	}
	// Kernel: O_RDWR on a fifo does not block on Linux (fifo(7)); O_NONBLOCK
	// gives reads a deadline.
	return os.OpenFile(name, os.O_RDWR|unix.O_NONBLOCK, 0)
}

// Enable begins to count; it returns once perf has said that it counts.
func (c *SyscallCounter) Enable() error { return c.command("enable\n") }

// Disable ends counting.
func (c *SyscallCounter) Disable() error { return c.command("disable\n") }

func (c *SyscallCounter) command(s string) error {
	if _, err := c.ctl.WriteString(s); err != nil {
		return fmt.Errorf("contestant: perf: %w", err)
	}
	_ = c.ack.SetReadDeadline(time.Now().Add(3 * time.Second))
	var b [8]byte
	if _, err := c.ack.Read(b[:]); err != nil {
		return fmt.Errorf("contestant: perf does not answer (may it count? sysctl kernel.perf_event_paranoid): %w", err)
	}
	return nil
}

// Count ends perf and gives what it counted.
func (c *SyscallCounter) Count() (uint64, error) {
	_ = c.cmd.Process.Signal(syscall.SIGINT)
	_ = c.cmd.Wait() // perf reports the signal as a failure
	c.cmd = nil
	text, err := os.ReadFile(filepath.Join(c.dir, "out"))
	if err != nil {
		return 0, fmt.Errorf("contestant: perf: %w", err)
	}
	for line := range strings.SplitSeq(string(text), "\n") {
		if strings.Contains(line, "raw_syscalls:sys_enter") {
			first, _, _ := strings.Cut(line, ",")
			return strconv.ParseUint(first, 10, 64)
		}
	}
	return 0, fmt.Errorf("contestant: perf counted nothing: %s", firstLine(string(text)))
}

// Close ends perf and removes its files.
func (c *SyscallCounter) Close() {
	if c.cmd != nil {
		_ = c.cmd.Process.Kill()
		_ = c.cmd.Wait()
	}
	for _, f := range []*os.File{c.ctl, c.ack} {
		if f != nil {
			_ = f.Close()
		}
	}
	_ = os.RemoveAll(c.dir)
}
