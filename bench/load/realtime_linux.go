package load

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// schedFIFO is SCHED_FIFO (sched(7)).
const schedFIFO = 1

// goFirst makes every thread of this process SCHED_FIFO; those to come have it
// of the one that makes them. Not the measuring thread alone: the Go runtime
// spins with sched_yield(2), which lets nobody run of a lower class.
func goFirst() bool {
	tasks, err := os.ReadDir("/proc/self/task")
	for _, t := range tasks {
		if tid, bad := strconv.Atoi(t.Name()); bad == nil && err == nil {
			err = unix.SchedSetAttr(tid, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: schedFIFO, Priority: 1}, 0)
		}
	}
	return err == nil
}
