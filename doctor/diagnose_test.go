package doctor

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"kring/uring"
)

func of(n int64) *int64 { return &n }

// sound is a report of a machine with nothing wrong.
func sound() *Report {
	return &Report{
		Auto: Choice{Engine: "io_uring", Why: "all features"},
		Engines: []Engine{{Name: "io_uring", Usable: true, Says: "all features"}, {Name: "epoll", Usable: true, Says: "all features"},
			{Name: "portable", Usable: true, Says: "a goroutine per operation, on Go's net"}},
		System:  System{OS: "linux", Arch: "amd64", Kernel: "6.18.0", IOURingDisabled: of(0), IOURingGroup: of(-1)},
		Process: Process{Seccomp: seccompNone},
		Limits: Limits{MemlockSoftBytes: of(8 << 20), NofileSoft: of(65536), Somaxconn: of(4096), TCPMaxSynBacklog: of(4096),
			CgroupMemoryBytes: of(Unlimited)},
		Memory:   Memory{Max: 8 << 30, Source: "machine", Fits: true, FrameBytes: 100 << 20},
		CPU:      CPU{Online: 4, Affinity: 4, GOMAXPROCS: 4, CgroupCPUs: Unlimited},
		Features: []uring.Feature{{Name: "io_uring", Since: "5.1", Probed: "a ring", Answer: uring.Yes, Without: "epoll", Used: true, Required: true}},
	}
}

// refused is one where io_uring fails with err.
func refused(err error) *Report {
	r := sound()
	r.Exit, r.Auto = ExitFallback, Choice{Engine: "epoll", Why: "io_uring_setup: " + err.Error()}
	r.Engines[0] = Engine{Name: "io_uring", Says: "io_uring_setup: " + err.Error(), err: fmt.Errorf("setup: %w", err)}
	return r
}

func TestASoundMachineHasNoFindings(t *testing.T) {
	if found := diagnose(sound()); len(found) > 0 {
		t.Errorf("%+v", found)
	}
}

func TestEveryCauseHasItsRemedy(t *testing.T) {
	with := func(r *Report, change func(*Report)) *Report {
		change(r)
		return r
	}
	filter := func(r *Report) { r.Process.Seccomp = seccompFilter }
	in := func(runtime string) func(*Report) {
		return func(r *Report) {
			filter(r)
			r.Container = Container{Detected: true, Runtime: runtime}
		}
	}
	disabled := func(n int64) func(*Report) { return func(r *Report) { r.System.IOURingDisabled = of(n) } }
	for _, c := range []struct {
		r            *Report
		severity     Severity
		what, remedy string
	}{
		{with(refused(syscall.EPERM), disabled(2)), Fault, "io_uring_disabled=2 forbids", "sysctl kernel.io_uring_disabled=0"},
		{with(refused(syscall.EPERM), disabled(1)), Fault, "io_uring_disabled=1 forbids", "member of that group"},
		{with(refused(syscall.EPERM), func(r *Report) { disabled(1)(r); filter(r); r.Process.InIOURingGroup = true }), Fault, "seccomp filter forbids", "io_uring_setup"},
		{with(refused(syscall.EPERM), in("docker")), Fault, "seccomp filter forbids io_uring (the default of docker)", "docker run --security-opt seccomp="},
		{with(refused(syscall.EPERM), in("podman")), Fault, "the default of podman", "podman run --security-opt"},
		{with(refused(syscall.EPERM), in("kubernetes")), Fault, "seccomp", "securityContext.seccompProfile, type Localhost"},
		{with(refused(syscall.EPERM), in("fargate")), Fault, "seccomp", "EC2"},
		{with(refused(syscall.EPERM), filter), Fault, "seccomp", "SystemCallFilter=@system-service"},
		{with(refused(syscall.EPERM), func(r *Report) { r.Process.LSM = "apparmor: x" }), Fault, "security module forbids io_uring (apparmor: x)", "its policy"},
		{with(refused(syscall.ENOSYS), filter), Fault, "filter hides io_uring: the kernel has it", "io_uring_setup"},
		{with(refused(syscall.ENOSYS), func(r *Report) { filter(r); r.System.IOURingDisabled = nil }), Fault, "or this kernel (6.18.0) has none", "io_uring_setup"},
		{refused(syscall.ENOSYS), Fault, "has no io_uring", "CONFIG_IO_URING"},
		{refused(syscall.ENOMEM), Fault, "memlock limit (8 MiB)", "LimitMEMLOCK=infinity"},
		{refused(syscall.EMFILE), Fault, "open descriptors (65536)", "LimitNOFILE="},
		{refused(syscall.ENFILE), Fault, "no file left", "fs.file-max"},
		{refused(syscall.EACCES), Fault, "security module refuses", "policy"},
		{with(refused(errors.New("lacks")), func(r *Report) {
			r.Features = append(r.Features, uring.Feature{Name: "buffer rings", Answer: uring.No, Required: true, Used: true})
		}), Fault, "lacks buffer rings", "Linux 5.19 or later"},
		{refused(errors.New("odd")), Fault, "odd", "doctor --json"},
		{with(refused(errors.New("x")), func(r *Report) { r.System.OS = "darwin" }), Note, "needs Linux", "serves here"},

		{with(sound(), func(r *Report) { r.Limits.NofileSoft = of(1024) }), Warning, "1024 open descriptors", "ulimit -n"},
		{with(sound(), func(r *Report) { r.Limits.MemlockSoftBytes = of(64 << 10) }), Warning, "64 KiB, and a ring for each CPU may need 2.3 MiB", "ulimit -l"},
		{with(sound(), func(r *Report) { r.Limits.Somaxconn = of(128) }), Warning, "somaxconn=128", "somaxconn=4096"},
		{with(sound(), func(r *Report) { r.Limits.TCPMaxSynBacklog = of(128) }), Note, "SYN cookies", "tcp_max_syn_backlog=4096"},
		{with(sound(), func(r *Report) { r.CPU.CgroupCPUs = 0.5 }), Warning, "0.5 CPUs", "at least one CPU"},
		{with(sound(), func(r *Report) { r.CPU.GOMAXPROCS = 64 }), Warning, "GOMAXPROCS is 64, and 4", "unset"},
		{with(sound(), func(r *Report) {
			r.Memory = Memory{Max: 256 << 20, Source: "cgroup", Fits: true, FrameBytes: 45 << 20, Connections: 8738}
		}), Warning, "of 256 MiB of memory (cgroup), requests of more than 45 MiB and connections beyond 8738", "512 MiB"},
		{with(sound(), func(r *Report) { r.Memory = Memory{Max: 32 << 20, Source: "cgroup", FrameBytes: 1 << 20} }), Warning, "32 MiB of memory (cgroup) is too little", "at least 96 MiB"},
		{with(sound(), disabled(1)), Note, "works for this user", "io_uring_group"},
		{with(sound(), func(r *Report) {
			r.Features = append(r.Features, uring.Feature{Name: "NO_IOWAIT", Answer: uring.No, Used: true})
		}), Note, "lacks NO_IOWAIT", "newer"},
		{with(sound(), func(r *Report) {
			r.Features = append(r.Features, uring.Feature{Name: "NO_IOWAIT", Used: true})
		}), Note, "whether this kernel has NO_IOWAIT", "table"},
	} {
		found := false
		all := diagnose(c.r)
		for _, f := range all {
			found = found || f.Severity == c.severity && strings.Contains(f.What, c.what) && strings.Contains(f.Remedy, c.remedy)
		}
		if !found {
			t.Errorf("want a %s with %q and %q, got %+v", c.severity, c.what, c.remedy, all)
		}
	}
}

// TestFewDescriptorsAreWarnedOfWithWhatTheyAreEnoughFor, files and sockets together.
func TestFewDescriptorsAreWarnedOfWithWhatTheyAreEnoughFor(t *testing.T) {
	for _, c := range []struct {
		nofile int64
		plan   Descriptors
		says   string
	}{
		{1024, Descriptors{Connections: 820, DataDirConnections: 410, DataDirPartitions: 131}, "enough for 820 connections, or with --data-dir for 410 and 131 partitions"},
		{5000, Descriptors{Connections: 4000, DataDirConnections: 2000, DataDirPartitions: 661}, "with --data-dir for 2000 and 661 partitions"},
		{20000, Descriptors{Connections: 16000, DataDirConnections: 8000, DataDirPartitions: 2661}, ""},
	} {
		r := sound()
		r.Limits.NofileSoft, r.Descriptors = of(c.nofile), c.plan
		found := diagnose(r)
		if warned := len(found) == 1 && strings.Contains(found[0].What, c.says) && strings.Contains(found[0].Remedy, "ulimit -n"); warned != (c.says != "") {
			t.Errorf("%d descriptors: %+v", c.nofile, found)
		}
	}
}

func TestMemlockIsNoWarningForWhomItDoesNotBind(t *testing.T) {
	r := sound()
	r.Limits.MemlockSoftBytes, r.Process.CapIPCLock = of(0), true
	if found := diagnose(r); len(found) > 0 {
		t.Errorf("%+v", found)
	}
}

func TestRootCauseLeavesOutWhatIsWrappedAroundIt(t *testing.T) {
	inner := fmt.Errorf("io_uring_setup: %w", syscall.EPERM)
	if got := rootCause(fmt.Errorf("kring: %w", fmt.Errorf("can't: %w (so)", inner))); got != inner.Error() {
		t.Errorf("%q", got)
	}
}
