package doctor

import (
	"io/fs"
	"strconv"
	"strings"

	"kring/internal/cgroup"
)

// host is the files and the environment that say where we are; tests have
// their own.
type host struct {
	files fs.FS // of "/"
	env   func(string) string
}

// read gives a file without the space around it, "" if it can't be read.
func (h host) read(path string) string {
	return cgroup.Read(h.files, path)
}

func (h host) exists(path string) bool {
	_, err := fs.Stat(h.files, strings.TrimPrefix(path, "/"))
	return err == nil
}

// number gives a file that holds one, nil if there is none.
func (h host) number(path string) *int64 {
	n, err := strconv.ParseInt(h.read(path), 10, 64)
	if err != nil {
		return nil
	}
	return &n
}

func (h host) sysctls(r *Report) {
	r.System.IOURingDisabled = h.number("/proc/sys/kernel/io_uring_disabled")
	r.System.IOURingGroup = h.number("/proc/sys/kernel/io_uring_group")
	r.Limits.Somaxconn = h.number("/proc/sys/net/core/somaxconn")
	r.Limits.TCPMaxSynBacklog = h.number("/proc/sys/net/ipv4/tcp_max_syn_backlog")
}

// What Process.Seccomp says.
const (
	seccompNone    = "none"
	seccompStrict  = "strict"
	seccompFilter  = "filter"
	seccompUnknown = "unknown"
)

// Capabilities by number, as capability.h has them.
const (
	capIPCLock  = 14
	capSysAdmin = 21
)

// process reads /proc/self/status and the security module's label.
func (h host) process(r *Report) {
	p := &r.Process
	p.Seccomp = seccompUnknown
	for line := range strings.Lines(h.read("/proc/self/status")) {
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch name {
		case "Seccomp":
			p.Seccomp = map[string]string{"0": seccompNone, "1": seccompStrict, "2": seccompFilter}[value]
		case "Seccomp_filters":
			if n, err := strconv.ParseInt(value, 10, 64); err == nil {
				p.SeccompFilters = &n
			}
		case "NoNewPrivs":
			p.NoNewPrivs = value == "1"
		case "CapEff":
			bits, _ := strconv.ParseUint(value, 16, 64)
			p.CapIPCLock, p.CapSysAdmin = bits>>capIPCLock&1 == 1, bits>>capSysAdmin&1 == 1
		}
	}
	p.LSM = h.label()
}

// label is what AppArmor or SELinux call this process.
func (h host) label() string {
	if l := h.read("/proc/self/attr/apparmor/current"); l != "" {
		return "apparmor: " + l
	}
	l := strings.TrimRight(h.read("/proc/self/attr/current"), "\x00")
	if l == "" {
		return ""
	}
	module := "label"
	if h.exists("/sys/fs/selinux/enforce") {
		module = "selinux"
	} else if h.exists("/sys/kernel/security/apparmor") || strings.Contains(h.read("/sys/kernel/security/lsm"), "apparmor") {
		module = "apparmor"
	}
	return module + ": " + l
}

// container looks for what runtimes leave in the containers they start.
func (h host) container() Container {
	c := Container{Hints: []string{}}
	found := func(yes bool, runtime, hint string) {
		if yes {
			c.Detected = true
			c.Hints = append(c.Hints, hint)
			if c.Runtime == "" {
				c.Runtime = runtime
			}
		}
	}
	aws := h.env("AWS_EXECUTION_ENV")
	found(aws == "AWS_ECS_FARGATE", "fargate", "AWS_EXECUTION_ENV="+aws)
	found(h.env("KUBERNETES_SERVICE_HOST") != "", "kubernetes", "KUBERNETES_SERVICE_HOST is set")
	found(h.exists("/run/.containerenv"), "podman", "/run/.containerenv exists")
	found(h.exists("/.dockerenv"), "docker", "/.dockerenv exists")
	if named := h.env("container"); named != "" {
		found(true, named, "container="+named)
	}
	groups := h.read("/proc/self/cgroup")
	for _, mark := range []struct{ text, runtime string }{
		{"kubepods", "kubernetes"}, {"libpod", "podman"}, {"docker", "docker"}, {"containerd", "containerd"}, {"lxc", "lxc"},
	} {
		found(strings.Contains(groups, mark.text), mark.runtime, "/proc/self/cgroup names "+mark.text)
	}
	return c
}

// cpusOnline counts a list such as 0-3,6.
func (h host) cpusOnline() (n int) {
	for part := range strings.SplitSeq(h.read("/sys/devices/system/cpu/online"), ",") {
		first, last, ranged := strings.Cut(part, "-")
		from, err := strconv.Atoi(first)
		if err != nil {
			continue
		}
		to := from
		if ranged {
			if to, err = strconv.Atoi(last); err != nil {
				continue
			}
		}
		n += to - from + 1
	}
	return n
}
