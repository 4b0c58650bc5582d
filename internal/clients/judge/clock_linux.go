package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cpu is the processor time that a server has used so far, with that of
// threads that ended.
func (s *server) cpu() (time.Duration, error) {
	// Kernel: clock_getcpuclockid(3): a process's clock is made of its id.
	const ofProcess = 2
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^s.pid<<3|ofProcess), &ts); err != nil {
		return 0, fmt.Errorf("%s: the processor time of process %d: %w", s.name, s.pid, err)
	}
	return time.Duration(ts.Nano()), nil
}

// resident is a server's resident memory in bytes.
func (s *server) resident() (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.pid))
	if err != nil {
		return 0, err
	}
	_, rest, found := strings.Cut(string(status), "VmRSS:")
	if !found {
		return 0, fmt.Errorf("%s: /proc names no VmRSS", s.name)
	}
	kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	return kib << 10, err
}
