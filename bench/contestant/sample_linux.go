package contestant

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// TakeSample reads what the kernel knows of a process.
func TakeSample(pid int) (Sample, error) {
	var s Sample
	if err := s.readTimes(pid); err != nil {
		return s, fmt.Errorf("contestant: reading the times of process %d: %w", pid, err)
	}
	s.readThreads(pid)
	s.readMachine()
	return s, nil
}

// ticks per second of /proc, the same on every Linux that Go runs on.
const ticks = 100

// readTimes takes the split between user and system from /proc, which counts in
// ticks of 10 ms, and the sum from the process's own clock, which counts in
// nanoseconds.
func (s *Sample) readTimes(pid int) error {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return err
	}
	// The command may hold spaces and parentheses; what follows the last one
	// begins with field 3.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 20 {
		return fmt.Errorf("%d fields in /proc/%d/stat", len(fields), pid)
	}
	user, _ := strconv.ParseFloat(fields[14-3], 64)
	system, _ := strconv.ParseFloat(fields[15-3], 64)
	s.Threads, _ = strconv.Atoi(fields[20-3])
	s.UserSeconds, s.SystemSeconds = user/ticks, system/ticks
	// Kernel: a process's clock has the number ~pid<<3 | CPUCLOCK_SCHED (2);
	// clock_getcpuclockid(3).
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|2), &ts); err != nil {
		return nil // the ticks must do
	}
	exact := float64(ts.Nano()) / 1e9
	if sum := user + system; sum > 0 {
		s.UserSeconds, s.SystemSeconds = exact*user/sum, exact*system/sum
	} else {
		s.UserSeconds, s.SystemSeconds = 0, exact
	}
	return nil
}

// readThreads adds up the context switches and waits of the threads that live.
func (s *Sample) readThreads(pid int) {
	dir := fmt.Sprintf("/proc/%d/task", pid)
	tasks, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, t := range tasks {
		status, err := os.ReadFile(dir + "/" + t.Name() + "/status")
		if err != nil {
			continue // it ended
		}
		s.Voluntary += uint64(statusField(status, "voluntary_ctxt_switches:"))
		s.Involuntary += uint64(statusField(status, "nonvoluntary_ctxt_switches:"))
		s.RSSBytes = statusField(status, "VmRSS:") << 10
		// /proc/PID/schedstat: nanoseconds run, nanoseconds waited, times run.
		if stat, err := os.ReadFile(dir + "/" + t.Name() + "/schedstat"); err == nil {
			if fields := strings.Fields(string(stat)); len(fields) > 1 {
				waited, _ := strconv.ParseFloat(fields[1], 64)
				s.WaitedSeconds += waited / 1e9
			}
		}
	}
}

// statusField is a number of /proc/PID/status.
func statusField(status []byte, name string) int64 {
	_, rest, ok := bytes.Cut(status, []byte("\n"+name))
	if !ok {
		return 0
	}
	fields := bytes.Fields(rest[:min(len(rest), 64)])
	if len(fields) == 0 {
		return 0
	}
	n, _ := strconv.ParseInt(string(fields[0]), 10, 64)
	return n
}

// readMachine reads the first line of /proc/stat: user, nice, system, idle,
// iowait, irq, softirq, steal.
func (s *Sample) readMachine() {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return
	}
	line, _, _ := strings.Cut(string(text), "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return
	}
	for i, f := range fields[1:9] {
		n, _ := strconv.ParseFloat(f, 64)
		switch i {
		case 3, 4: // idle
		case 7:
			s.StolenSeconds = n / ticks
		default:
			s.BusySeconds += n / ticks
		}
	}
}
