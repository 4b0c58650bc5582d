package doctor

import (
	"encoding/json"
	"io"
	"runtime"
)

// Profile is a seccomp profile in the form that Docker, Podman, containerd and
// CRI-O all read. It has no conditions on capabilities, which only the first
// two understand: a profile with them would allow more under the others.
type Profile struct {
	DefaultAction   string   `json:"defaultAction"`
	DefaultErrnoRet uint     `json:"defaultErrnoRet"`
	Architectures   []string `json:"architectures,omitempty"`
	Syscalls        []Rule   `json:"syscalls"`
}

// Rule allows or answers some system calls.
type Rule struct {
	Comment  string   `json:"comment,omitempty"`
	Names    []string `json:"names"`
	Action   string   `json:"action"`
	ErrnoRet uint     `json:"errnoRet,omitempty"`
	Args     []Arg    `json:"args,omitempty"`
}

// Arg is a condition on one argument of a system call.
type Arg struct {
	Index    uint   `json:"index"`
	Value    uint64 `json:"value"`
	ValueTwo uint64 `json:"valueTwo"`
	Op       string `json:"op"`
}

const (
	actionAllow = "SCMP_ACT_ALLOW"
	actionErrno = "SCMP_ACT_ERRNO"
	errnoEPERM  = 1
	errnoENOSYS = 38

	// cloneNamespaces are the CLONE_NEW… flags.
	cloneNamespaces = 0x7e020000
)

// SeccompProfile is a complete profile for a container that runs kring on this
// architecture: what a Go program, a shell beside it and the runtime that
// starts them need, and the three system calls of io_uring. It can't make
// namespaces, mount, trace other processes, load code into the kernel or set
// the clock.
func SeccompProfile() Profile {
	p := Profile{DefaultAction: actionErrno, DefaultErrnoRet: errnoEPERM, Syscalls: rules()}
	// Only the machine's own: kring is a 64-bit program, and the system calls
	// of 32-bit ones are a second way into the kernel.
	switch runtime.GOARCH {
	case "amd64":
		p.Architectures = []string{"SCMP_ARCH_X86_64"}
	case "arm64":
		p.Architectures = []string{"SCMP_ARCH_AARCH64"}
	}
	return p
}

// WriteSeccompProfile writes SeccompProfile as JSON.
func WriteSeccompProfile(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(SeccompProfile())
}

func rules() []Rule {
	allow := func(comment string, names ...string) Rule {
		return Rule{Comment: comment, Names: names, Action: actionAllow}
	}
	all := []Rule{
		allow("io_uring, which the default profiles of container runtimes leave out",
			"io_uring_enter", "io_uring_register", "io_uring_setup"),
		allow("sockets", "accept", "accept4", "bind", "connect", "getpeername", "getsockname", "getsockopt", "listen",
			"recvfrom", "recvmmsg", "recvmsg", "sendmmsg", "sendmsg", "sendto", "setsockopt", "shutdown", "socketpair"),
		allow("waiting", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_pwait", "epoll_pwait2", "epoll_wait",
			"eventfd", "eventfd2", "pipe", "pipe2", "poll", "ppoll", "pselect6", "select"),
		allow("files", "access", "chdir", "chmod", "chown", "close", "close_range", "copy_file_range", "creat", "dup", "dup2",
			"dup3", "faccessat", "faccessat2", "fadvise64", "fallocate", "fchdir", "fchmod", "fchmodat", "fchmodat2", "fchown",
			"fchownat", "fcntl", "fdatasync", "flock", "fstat", "fstatfs", "fsync", "ftruncate", "getcwd", "getdents",
			"getdents64", "inotify_add_watch", "inotify_init1", "inotify_rm_watch", "ioctl", "lchown", "link", "linkat",
			"lseek", "lstat", "mkdir", "mkdirat", "newfstatat", "open", "openat", "openat2", "pread64", "preadv", "preadv2",
			"pwrite64", "pwritev", "pwritev2", "read", "readlink", "readlinkat", "readv", "rename", "renameat", "renameat2",
			"rmdir", "sendfile", "splice", "stat", "statfs", "statx", "symlink", "symlinkat", "sync_file_range", "truncate",
			"umask", "unlink", "unlinkat", "utimensat", "write", "writev"),
		allow("memory", "brk", "madvise", "membarrier", "mincore", "mlock", "mlock2", "mmap", "mprotect", "mremap", "munlock",
			"munmap"),
		allow("threads and processes", "execve", "execveat", "exit", "exit_group", "fork", "futex", "futex_waitv",
			"get_robust_list", "getcpu", "getpgid", "getpgrp", "getpid", "getppid", "getpriority", "getsid", "gettid",
			"pidfd_open", "pidfd_send_signal", "prctl", "rseq", "sched_getaffinity", "sched_setaffinity", "sched_yield",
			"seccomp", "set_robust_list", "set_tid_address", "setpgid", "setpriority", "setsid", "vfork", "wait4", "waitid"),
		allow("signals", "kill", "pause", "restart_syscall", "rt_sigaction", "rt_sigpending", "rt_sigprocmask",
			"rt_sigqueueinfo", "rt_sigreturn", "rt_sigsuspend", "rt_sigtimedwait", "rt_tgsigqueueinfo", "sigaltstack",
			"tgkill", "tkill"),
		allow("time", "alarm", "clock_getres", "clock_gettime", "clock_nanosleep", "getitimer", "gettimeofday", "nanosleep",
			"setitimer", "time", "timer_create", "timer_delete", "timer_getoverrun", "timer_gettime", "timer_settime",
			"timerfd_create", "timerfd_gettime", "timerfd_settime", "times"),
		allow("users and limits", "capget", "capset", "getegid", "geteuid", "getgid", "getgroups", "getrandom", "getresgid",
			"getresuid", "getrlimit", "getrusage", "getuid", "prlimit64", "setfsgid", "setfsuid", "setgid", "setgroups",
			"setregid", "setresgid", "setresuid", "setreuid", "setrlimit", "setuid", "sysinfo", "uname"),
	}
	return append(append(all, conditional()...), machine()...)
}

// conditional are calls that are allowed with some arguments only.
func conditional() []Rule {
	all := []Rule{
		{Comment: "threads and processes, not namespaces", Names: []string{"clone"}, Action: actionAllow,
			Args: []Arg{{Index: 0, Value: cloneNamespaces, ValueTwo: 0, Op: "SCMP_CMP_MASKED_EQ"}}},
		{Comment: "its flags can't be seen: the C library falls back to clone", Names: []string{"clone3"},
			Action: actionErrno, ErrnoRet: errnoENOSYS},
	}
	for _, f := range []struct {
		comment string
		family  uint64
	}{{"AF_UNIX", 1}, {"AF_INET", 2}, {"AF_INET6", 10}, {"AF_NETLINK, to list interfaces", 16}} {
		all = append(all, Rule{Comment: f.comment, Names: []string{"socket"}, Action: actionAllow,
			Args: []Arg{{Index: 0, Value: f.family, Op: "SCMP_CMP_EQ"}}})
	}
	return all
}

// machine are the calls of one architecture alone.
func machine() []Rule {
	if runtime.GOARCH == "amd64" {
		return []Rule{{Comment: "thread-local storage", Names: []string{"arch_prctl"}, Action: actionAllow}}
	}
	return nil
}
