package contract

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// schedIdle is SCHED_IDLE: whoever else is runnable goes first, at once.
const schedIdle = 5

// giveWay makes the process one that everybody goes before: of the processor
// that it shares with who measures, it takes what is left.
//
// Kernel: a thread has the policy of the one that made it, so those to come have
// it too. It needs no privilege.
func giveWay() {
	tasks, _ := os.ReadDir("/proc/self/task") // without it, the disturbance is only greater
	for _, t := range tasks {
		if tid, err := strconv.Atoi(t.Name()); err == nil {
			_ = unix.SchedSetAttr(tid, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: schedIdle}, 0)
		}
	}
}

// dropCached throws a range of a file out of the page cache.
func dropCached(f *os.File, offset, length int64) error {
	if err := unix.Fadvise(int(f.Fd()), offset, length, unix.FADV_DONTNEED); err != nil {
		return fmt.Errorf("posix_fadvise %s: %w", f.Name(), err)
	}
	return nil
}
