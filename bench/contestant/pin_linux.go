package contestant

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// StartPinned starts cmd on the given processors; none leaves it free. What GOMAXPROCS
// says of this process is not passed on to a pinned one: with more Ps than processors a
// server is another one than was meant, and threads of SCHED_FIFO that spin for one
// another, as the Go runtime's do, never let the one run that they wait for.
//
// Kernel: a child has the affinity of the thread that made it.
func StartPinned(cmd *exec.Cmd, cpus []int) error {
	if len(cpus) == 0 {
		return cmd.Start()
	}
	cmd.Env = slices.DeleteFunc(cmd.Environ(), func(v string) bool { return strings.HasPrefix(v, "GOMAXPROCS=") })
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var was, set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &was); err != nil {
		return fmt.Errorf("sched_getaffinity: %w", err)
	}
	for _, cpu := range cpus {
		set.Set(cpu)
	}
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("sched_setaffinity to CPUs %v: %w", cpus, err)
	}
	err := cmd.Start()
	if back := unix.SchedSetaffinity(0, &was); err == nil {
		err = back
	}
	return err
}

// CPUs are those this process may use.
func CPUs() []int {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil
	}
	var list []int
	for i := range len(set) * 64 {
		if set.IsSet(i) {
			list = append(list, i)
		}
	}
	return list
}

// Siblings says whether two processors share one core: then they are no two
// processors for a measurement.
func Siblings(a, b int) bool {
	text, err := os.ReadFile("/sys/devices/system/cpu/cpu" + strconv.Itoa(a) + "/topology/thread_siblings_list")
	if err != nil {
		return false
	}
	for part := range strings.SplitSeq(strings.TrimSpace(string(text)), ",") {
		first, last, isRange := strings.Cut(part, "-")
		low, err1 := strconv.Atoi(first)
		high, err2 := strconv.Atoi(last)
		if !isRange {
			high, err2 = low, err1
		}
		if err1 == nil && err2 == nil && b >= low && b <= high {
			return true
		}
	}
	return false
}

// OpenFilesMax is how many descriptors a process may have, of this one's kind; 0:
// not known.
func OpenFilesMax() int {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil || l.Max > 1<<30 {
		return 0
	}
	return int(l.Max)
}
