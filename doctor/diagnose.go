package doctor

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"syscall"

	"kring"
	"kring/uring"
)

// What kring asks for by default, and what is little.
const (
	backlogDefault = 1024
	nofileLittle   = 4096
	// partitionsLittle: a busy developer's cluster has some hundreds.
	partitionsLittle = 1000
	frameLittle      = 100 << 20 // Kafka's largest
	ringBytesLocked  = 256 << 10 // of a ring and its buffer ring, rounded up
	trialsLocked     = 1 << 20   // of rings tried out before, which the kernel frees a little later
)

// diagnose turns what was found into what is wrong.
func diagnose(r *Report) []Finding {
	var all []Finding
	for _, look := range []func(*Report) []Finding{
		ringRefused, featuresMissing, fewDescriptors, littleLockable, shortQueues, fewCPUs, littleMemory, openToSome,
	} {
		all = append(all, look(r)...)
	}
	return all
}

func warn(what, remedy string) []Finding { return []Finding{{Warning, what, remedy}} }
func note(what, remedy string) []Finding { return []Finding{{Note, what, remedy}} }
func fault(what, remedy string) []Finding {
	return []Finding{{Fault, what, remedy}}
}

// ringRefused says why io_uring can't serve.
func ringRefused(r *Report) []Finding {
	e := r.engine(kring.EngineURing)
	if e == nil || e.Usable {
		return nil
	}
	if r.System.OS != "linux" {
		return note("io_uring needs Linux", "run kring on Linux 5.19 or later for it; "+r.Auto.Engine+" serves here")
	}
	var errno syscall.Errno
	errors.As(e.err, &errno)
	switch errno {
	case syscall.EPERM:
		return forbidden(r)
	case syscall.ENOSYS:
		return hidden(r)
	case syscall.ENOMEM:
		return fault("the memlock limit ("+bytesText(r.Limits.MemlockSoftBytes)+") leaves no room for a ring", memlockRemedy)
	case syscall.EMFILE:
		return fault("the limit of open descriptors ("+countText(r.Limits.NofileSoft)+") leaves none for a ring", nofileRemedy)
	case syscall.ENFILE:
		return fault("this machine has no file left to open", "raise sysctl fs.file-max")
	case syscall.EACCES:
		return fault("a security module refuses io_uring"+labelled(r), "allow io_uring in its policy")
	}
	if lacks := named(r.Features, func(f uring.Feature) bool { return f.Required && f.Answer == uring.No }); lacks != "" {
		return fault("this kernel's io_uring ("+r.System.Kernel+") lacks "+lacks,
			"run Linux 5.19 or later; until then "+r.Auto.Engine+" serves")
	}
	return fault(e.Says, "report this with the output of kring doctor --json; until then "+r.Auto.Engine+" serves")
}

// forbidden tells the three ways apart in which EPERM comes about, the surest
// first.
func forbidden(r *Report) []Finding {
	disabled := int64(0)
	if r.System.IOURingDisabled != nil {
		disabled = *r.System.IOURingDisabled
	}
	switch {
	case disabled >= 2:
		return fault("kernel.io_uring_disabled=2 forbids io_uring to everybody", "sysctl kernel.io_uring_disabled=0; "+
			"or =1, with this user's group as kernel.io_uring_group")
	case disabled == 1 && !r.Process.InIOURingGroup && !r.Process.CapSysAdmin:
		return fault("kernel.io_uring_disabled=1 forbids io_uring outside the group kernel.io_uring_group ("+
			countText(r.System.IOURingGroup)+") and without CAP_SYS_ADMIN",
			"run as a member of that group: sysctl kernel.io_uring_group=GID; or sysctl kernel.io_uring_disabled=0")
	case r.Process.Seccomp == seccompFilter:
		return fault("a seccomp filter forbids io_uring"+inside(r), seccompRemedy(r))
	}
	return fault("a security module forbids io_uring"+labelled(r), "allow io_uring in its policy; "+
		"outside this process's sight a seccomp filter may do the same: allow the three io_uring system calls there")
}

// hidden: ENOSYS is what a kernel without io_uring says, and what some filters
// say in its place. The sysctl gives the kernel away.
func hidden(r *Report) []Finding {
	filtered := r.Process.Seccomp == seccompFilter
	switch {
	case filtered && r.System.IOURingDisabled != nil:
		return fault("a seccomp filter hides io_uring"+inside(r)+": the kernel has it, and the call says ENOSYS", seccompRemedy(r))
	case filtered:
		return fault("a seccomp filter hides io_uring"+inside(r)+", or this kernel ("+r.System.Kernel+") has none", seccompRemedy(r))
	}
	return fault("this kernel ("+r.System.Kernel+") has no io_uring: it is older than 5.1, built without CONFIG_IO_URING, or gVisor",
		"run Linux 5.19 or later, built with CONFIG_IO_URING")
}

func inside(r *Report) string {
	switch {
	case r.Container.Runtime != "":
		return " (the default of " + r.Container.Runtime + ")"
	case r.Container.Detected:
		return " (the default of container runtimes)"
	}
	return ""
}

func labelled(r *Report) string {
	if r.Process.LSM == "" {
		return ""
	}
	return " (" + r.Process.LSM + ")"
}

func seccompRemedy(r *Report) string {
	switch r.Container.Runtime {
	case "fargate":
		return "Fargate takes no profile of one's own: run the task on EC2 for io_uring, or stay with " + r.Auto.Engine
	case "kubernetes", "containerd":
		return "put what \"kring doctor --seccomp\" prints under seccomp/ in the kubelet's folder on each node, " +
			"and name it in securityContext.seccompProfile, type Localhost"
	case "docker", "podman":
		return "kring doctor --seccomp > kring.json, then " + r.Container.Runtime + " run --security-opt seccomp=kring.json"
	}
	return "allow io_uring_setup, io_uring_enter and io_uring_register in the filter: in a container with the profile that " +
		"\"kring doctor --seccomp\" prints, under systemd with SystemCallFilter=@system-service"
}

const (
	memlockRemedy = "raise the memlock limit: ulimit -l unlimited; systemd: LimitMEMLOCK=infinity; " +
		"docker, podman: --ulimit memlock=-1:-1; or give CAP_IPC_LOCK"
	nofileRemedy = "raise the limit of open files: ulimit -n 65536; systemd: LimitNOFILE=65536; " +
		"docker, podman: --ulimit nofile=65536:65536"
)

func featuresMissing(r *Report) (found []Finding) {
	if e := r.engine(kring.EngineURing); e == nil || !e.Usable {
		return nil
	}
	used := func(a uring.Answer) func(uring.Feature) bool {
		return func(f uring.Feature) bool { return f.Used && f.Answer == a }
	}
	if lacks := named(r.Features, used(uring.No)); lacks != "" {
		found = note("this kernel lacks "+lacks, "a newer one has them; what kring does without is in the table")
	}
	if unknown := named(r.Features, used(uring.Inconclusive)); unknown != "" {
		found = append(found, note("it could not be found out whether this kernel has "+unknown, "the table says why")...)
	}
	return found
}

func named(features []uring.Feature, which func(uring.Feature) bool) string {
	var names []string
	for _, f := range features {
		if which(f) {
			names = append(names, f.Name)
		}
	}
	return strings.Join(names, ", ")
}

// fewDescriptors: files and sockets come out of one limit.
func fewDescriptors(r *Report) []Finding {
	n, d := r.Limits.NofileSoft, r.Descriptors
	if n == nil || *n == Unlimited || *n >= nofileLittle && (d.DataDirPartitions == 0 || d.DataDirPartitions >= partitionsLittle) {
		return nil
	}
	says := fmt.Sprintf("%d open descriptors are allowed: each connection takes one", *n)
	if d.DataDirPartitions > 0 {
		says += fmt.Sprintf(", and each partition of --data-dir three: enough for %d connections, or with --data-dir for %d and %d partitions",
			d.Connections, d.DataDirConnections, d.DataDirPartitions)
	}
	return warn(says, nofileRemedy)
}

// littleLockable: rings count against memlock before Linux 5.12 and again on
// some kernels since 6.14, so it is a warning only where there is no room.
func littleLockable(r *Report) []Finding {
	n := r.Limits.MemlockSoftBytes
	needed := trialsLocked + int64(r.CPU.GOMAXPROCS+1)*ringBytesLocked
	e := r.engine(kring.EngineURing)
	if e == nil || !e.Usable || r.Process.CapIPCLock || n == nil || *n == Unlimited || *n >= needed {
		return nil
	}
	return warn(fmt.Sprintf("the memlock limit is %s, and a ring for each CPU may need %s", bytesText(n), bytesText(&needed)), memlockRemedy)
}

func shortQueues(r *Report) (found []Finding) {
	if n := r.Limits.Somaxconn; n != nil && *n < backlogDefault {
		found = warn(fmt.Sprintf("net.core.somaxconn=%d shortens the queue of new connections (kring asks for %d): a burst is dropped",
			*n, backlogDefault), "sysctl net.core.somaxconn=4096")
	}
	if n := r.Limits.TCPMaxSynBacklog; n != nil && *n < backlogDefault {
		found = append(found, note(fmt.Sprintf("net.ipv4.tcp_max_syn_backlog=%d: more half-open connections fall back to SYN cookies", *n),
			"sysctl net.ipv4.tcp_max_syn_backlog=4096")...)
	}
	return found
}

// fewCPUs: Go takes the cgroup's limit into account by itself, but for less
// than two.
func fewCPUs(r *Report) (found []Finding) {
	c := &r.CPU
	if c.CgroupCPUs > 0 && c.CgroupCPUs < 1 {
		found = warn(fmt.Sprintf("the cgroup allows %.2g CPUs: processors stand still for parts of every period", c.CgroupCPUs),
			"give the container at least one CPU, or no CPU limit")
	}
	allowed := c.Affinity
	if c.CgroupCPUs > 0 {
		allowed = min(allowed, max(2, int(math.Ceil(c.CgroupCPUs))))
	}
	if allowed > 0 && c.GOMAXPROCS > allowed {
		found = append(found, warn(fmt.Sprintf("GOMAXPROCS is %d, and %d CPUs are allowed: threads take turns", c.GOMAXPROCS, allowed),
			"leave GOMAXPROCS unset")...)
	}
	return found
}

func littleMemory(r *Report) []Finding {
	m := &r.Memory
	least := int64(kring.MemoryMaxLeast)
	if !m.Fits {
		return warn(fmt.Sprintf("%s of memory (%s) is too little for a server with default settings", bytesText(&m.Max), m.Source),
			fmt.Sprintf("give it 512 MiB or more (at least %s), or set --memory-max", bytesText(&least)))
	}
	if frame := int64(m.FrameBytes); frame < frameLittle {
		return warn(fmt.Sprintf("of %s of memory (%s), requests of more than %s and connections beyond %d are not served",
			bytesText(&m.Max), m.Source, bytesText(&frame), m.Connections), "give it 512 MiB or more; docs/memory.md says what it is for")
	}
	return nil
}

// openToSome: what works for this user need not work for the server's.
func openToSome(r *Report) []Finding {
	e := r.engine(kring.EngineURing)
	if d := r.System.IOURingDisabled; d == nil || *d != 1 || e == nil || !e.Usable {
		return nil
	}
	return note("kernel.io_uring_disabled=1: io_uring works for this user, not for everybody",
		"run the server as this user, or as a member of the group kernel.io_uring_group ("+countText(r.System.IOURingGroup)+")")
}

// rootCause is what an engine said, without what the root package wraps
// around it.
func rootCause(err error) string {
	says := err.Error()
	for range 2 {
		if inner := errors.Unwrap(err); inner != nil {
			err, says = inner, inner.Error()
		}
	}
	return says
}
