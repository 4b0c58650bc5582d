//go:build linux

package uring

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"kring/engine"
)

// rung of a setup ladder: flags, and what an engine on them lacks.
type setupRung struct {
	flags   uint32
	missing []string
}

const setupBase = SetupCQSize | SetupClamp

// setupLadders are tried from the top: the kernel does not say which flag it
// does not know. A locked engine's thread never changes, so it takes deferred
// task work; a parked engine's goroutine changes threads, so it must not.
var setupLadders = [2][]setupRung{
	engine.WaitLocked: {
		{setupBase | SetupSubmitAll | SetupTaskrunFlag | SetupSingleIssuer | SetupDeferTaskrun | SetupNoSQArray, nil},
		{setupBase | SetupSubmitAll | SetupTaskrunFlag | SetupSingleIssuer | SetupDeferTaskrun, []string{"NO_SQARRAY (6.6)"}},
		{setupBase | SetupSubmitAll | SetupTaskrunFlag | SetupSingleIssuer | SetupCoopTaskrun, []string{"DEFER_TASKRUN (6.1)"}},
		{setupBase | SetupSubmitAll | SetupTaskrunFlag | SetupCoopTaskrun, []string{"SINGLE_ISSUER (6.0)"}},
		{setupBase, []string{"COOP_TASKRUN (5.19)"}},
	},
	engine.WaitParked: {
		{setupBase | SetupSubmitAll | SetupTaskrunFlag | SetupCoopTaskrun | SetupNoSQArray, nil},
		{setupBase | SetupSubmitAll | SetupTaskrunFlag | SetupCoopTaskrun, []string{"NO_SQARRAY (6.6)"}},
		{setupBase, []string{"COOP_TASKRUN (5.19)"}},
	},
}

// trySetup finds the first rung that the kernel accepts, and the ring it made,
// which the caller closes.
func trySetup(w engine.Wait) (*ring, setupRung, error) {
	var err error
	for _, rung := range setupLadders[w] {
		if rung.flags&ringFlagsRefused != 0 {
			continue
		}
		p := Params{Flags: rung.flags, CQEntries: 16}
		var r *ring
		if r, err = openRing(8, &p); err == nil {
			return r, rung, nil
		}
		if !errors.Is(err, unix.EINVAL) {
			break
		}
	}
	return nil, setupRung{}, setupError(err)
}

// setupError says what a failed io_uring_setup means and what helps.
func setupError(err error) error {
	errno, ok := err.(unix.Errno)
	if !ok {
		return err // of a mapping, and says so
	}
	return fmt.Errorf("io_uring_setup: %w", &SetupError{Errno: errno, Cause: setupCause(errno, readProc)})
}

// SetupError is why the kernel refused a ring. Its text is one line: errno,
// cause, remedy.
type SetupError struct {
	Errno unix.Errno
	Cause string
}

func (e *SetupError) Error() string { return unix.ErrnoName(e.Errno) + ", " + e.Cause }

// Unwrap gives the errno.
func (e *SetupError) Unwrap() error { return e.Errno }

func setupCause(errno unix.Errno, proc func(string) string) string {
	switch errno {
	case unix.EPERM:
		return refusedCause(proc)
	case unix.ENOSYS:
		if proc(disabledSysctl) != "" {
			return "a seccomp filter hides it (this kernel has io_uring): " + allowInProfile
		}
		return "this kernel has no io_uring (older than 5.1, built without CONFIG_IO_URING, or gVisor): kring needs 5.19"
	case unix.ENOMEM:
		return "no memory: raise the memlock limit (ulimit -l, LimitMEMLOCK=infinity; it is " + memlockLimit() +
			") or make Config.Entries and Config.CQEntries smaller"
	case unix.EMFILE:
		return "this process has too many open files: raise ulimit -n (LimitNOFILE)"
	case unix.ENFILE:
		return "this machine has too many open files: raise sysctl fs.file-max"
	case unix.EINVAL:
		return "this kernel refuses every set of flags: it is older than 5.19"
	case unix.EACCES:
		return "a security module refuses it: allow io_uring in its policy"
	}
	return errno.Error()
}

const (
	// disabledSysctl is there since Linux 6.6, and only with io_uring.
	disabledSysctl = "/proc/sys/kernel/io_uring_disabled"
	allowInProfile = "allow io_uring_setup, io_uring_enter and io_uring_register in the profile"
)

// refusedCause tells the three ways apart in which io_uring is forbidden.
// Kernel: the sysctl exists since 6.6.
func refusedCause(proc func(string) string) string {
	switch v := strings.TrimSpace(proc(disabledSysctl)); v {
	case "2":
		return "kernel.io_uring_disabled=2: forbidden for everybody; allow it with sysctl kernel.io_uring_disabled=0"
	case "1":
		return "kernel.io_uring_disabled=1: only for CAP_SYS_ADMIN and the group in kernel.io_uring_group; " +
			"join that group, or allow it with sysctl kernel.io_uring_disabled=0"
	}
	if strings.Contains(proc("/proc/self/status"), "Seccomp:\t2") {
		return "a seccomp filter forbids it (the default of container runtimes): " + allowInProfile
	}
	return "a seccomp filter or a security module forbids it: " +
		"allow io_uring_setup, io_uring_enter and io_uring_register"
}

func readProc(path string) string {
	b, _ := os.ReadFile(path) // absent: an older kernel
	return string(b)
}

func memlockLimit() string {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_MEMLOCK, &l) != nil {
		return "unknown"
	}
	if l.Cur == unix.RLIM_INFINITY {
		return "unlimited"
	}
	return fmt.Sprintf("%d bytes", l.Cur)
}
