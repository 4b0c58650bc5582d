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

const setupBase = SetupCQSize | SetupClamp

// setupStep is a flag of the setup ladder, and the switch that says whether an
// engine may do without it.
type setupStep struct {
	flag  uint32
	name  string
	field func(*Config) (string, Switch)
}

// setupSteps are in the order of trying without: the newest first, since the
// kernel does not say which flag it does not know, and a kernel that knows one
// knows those below it.
var setupSteps = [...]setupStep{
	{SetupNoSQArray, "NO_SQARRAY (6.6)", func(c *Config) (string, Switch) { return "NoSQArray", c.NoSQArray }},
	{SetupDeferTaskrun, "DEFER_TASKRUN (6.1)", func(c *Config) (string, Switch) { return "DeferTaskrun", c.DeferTaskrun }},
	{SetupSingleIssuer, "SINGLE_ISSUER (6.0)", func(c *Config) (string, Switch) { return "SingleIssuer", c.SingleIssuer }},
	{SetupTaskrunFlag, "TASKRUN_FLAG (5.19)", func(c *Config) (string, Switch) { return "TaskrunFlag", c.TaskrunFlag }},
	{SetupCoopTaskrun, "COOP_TASKRUN (5.19)", func(c *Config) (string, Switch) { return "CoopTaskrun", c.CoopTaskrun }},
	{SetupSQPoll, "SQPOLL (5.11)", func(c *Config) (string, Switch) { return "SQPoll", c.sqPoll() }},
	{SetupSubmitAll, "SUBMIT_ALL (5.18)", func(c *Config) (string, Switch) { return "SubmitAll", c.SubmitAll }},
	{SetupClamp, "CLAMP (5.6)", func(c *Config) (string, Switch) { return "Clamp", c.Clamp }},
}

// setupFlags are the best flags for w without those dropped or switched off. A
// locked engine's thread never changes, so it takes deferred task work; a
// parked engine's goroutine changes threads, so it must not.
func setupFlags(c *Config, w engine.Wait, dropped uint32) uint32 {
	flags := uint32(SetupCQSize)
	for _, s := range setupSteps {
		if _, v := s.field(c); v != Off {
			flags |= s.flag
		}
	}
	if w == engine.WaitParked {
		flags &^= SetupSingleIssuer | SetupDeferTaskrun
	}
	if c.SQPoll > 0 {
		flags &^= SetupDeferTaskrun | SetupCoopTaskrun // of a thread that does not submit
	}
	flags &^= dropped
	if flags&SetupSingleIssuer == 0 {
		flags &^= SetupDeferTaskrun // needs it
	}
	if flags&SetupDeferTaskrun != 0 && c.CoopTaskrun != On {
		flags &^= SetupCoopTaskrun // says less
	}
	if flags&(SetupDeferTaskrun|SetupCoopTaskrun) == 0 {
		flags &^= SetupTaskrunFlag // needs one of them
	}
	return flags
}

// trySetup finds the best flags that the kernel accepts, what it lacks, and the
// ring they made, which the caller closes.
func (n *Network) trySetup(w engine.Wait) (r *ring, flags uint32, missing []string, err error) {
	var dropped uint32
	for {
		flags = setupFlags(&n.config, w, dropped)
		err = unix.EINVAL
		if flags&ringFlagsRefused == 0 {
			r, err = n.kernel.open(8, &Params{Flags: flags, CQEntries: 16, SQThreadIdle: n.config.sqPollIdle()})
		}
		if err == nil {
			if err = n.config.unmet(w, flags); err != nil {
				_ = r.Close()
				return nil, 0, nil, err
			}
			return r, flags, missing, nil
		}
		if !errors.Is(err, unix.EINVAL) {
			return nil, 0, nil, setupError(err)
		}
		step, ok := n.config.newestOf(flags)
		if !ok {
			if unmet := n.config.unmet(w, setupBase&^SetupClamp); unmet != nil {
				err = unmet
			} else {
				err = setupError(err)
			}
			return nil, 0, nil, err
		}
		dropped |= step.flag
		missing = append(missing, step.name)
	}
}

// newestOf is the first step to try without.
func (c *Config) newestOf(flags uint32) (setupStep, bool) {
	for _, s := range setupSteps {
		if _, v := s.field(c); v != On && flags&s.flag != 0 {
			return s, true
		}
	}
	return setupStep{}, false
}

// unmet says what of a Config's demands is not among the flags: it fell with
// one that the kernel lacks.
func (c *Config) unmet(w engine.Wait, flags uint32) error {
	if w == engine.WaitParked {
		flags |= SetupSingleIssuer | SetupDeferTaskrun // not for it
	}
	for _, s := range setupSteps {
		if field, v := s.field(c); v == On && flags&s.flag == 0 {
			return demand(field, v, s.name)
		}
	}
	return nil
}

func demand(field string, value any, lacks string) error {
	return fmt.Errorf("io_uring: Config.%s is %v, and this kernel lacks %s: leave it at its default", field, value, lacks)
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
