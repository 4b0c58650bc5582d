package compare

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// Environment is where and of what a comparison was made; the first line of
// the raw results.
type Environment struct {
	Type    string    `json:"type"` // "environment"
	Started time.Time `json:"started"`
	Args    []string  `json:"args"`

	Commit string `json:"commit,omitempty"` // "-dirty" behind it when the tree differs
	Go     string `json:"go"`
	OS     string `json:"os"`
	Arch   string `json:"arch"`
	Kernel string `json:"kernel,omitempty"`

	CPU         string            `json:"cpu,omitempty"`
	CPUs        int               `json:"cpus"`
	Virtual     bool              `json:"virtual,omitempty"` // a hypervisor is below
	Governor    string            `json:"governor,omitempty"`
	Clock       string            `json:"clock,omitempty"`
	Mitigations map[string]string `json:"mitigations,omitempty"`
	Settings    map[string]string `json:"settings,omitempty"`
	LoadAverage string            `json:"load_average,omitempty"`

	ServerCPUs    []int `json:"server_cpus"`
	GeneratorCPUs []int `json:"generator_cpus"`

	Rounds    int           `json:"rounds"`
	WarmUp    time.Duration `json:"warm_up"`
	Duration  time.Duration `json:"duration"`
	Scenarios []Scenario    `json:"scenarios"`
	// About is each contestant's description, Absent what those that did not
	// take part lack, both by name.
	About  map[string]string `json:"about"`
	Absent map[string]string `json:"absent,omitempty"`
	Order  []string          `json:"order"` // the contestants, as in tables
	URing  map[string]bool   `json:"uring"` // those whose sockets io_uring serves
	Ours   map[string]bool   `json:"ours"`
	Base   string            `json:"base"` // what ratios are against
	// Against are the contestants whose ratios are against another one.
	Against map[string]string `json:"against,omitempty"`
}

// ReadEnvironment fills what the system tells; root is the folder of the sources,
// "" when they are not at hand.
func ReadEnvironment(root string) Environment {
	e := Environment{
		Type: "environment", Started: time.Now(), Args: os.Args[1:], Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH,
		CPUs: runtime.NumCPU(), Commit: commit(root),
		Kernel:      firstLine("/proc/sys/kernel/osrelease"),
		Governor:    firstLine("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
		Clock:       firstLine("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
		LoadAverage: firstLine("/proc/loadavg"),
		Mitigations: map[string]string{}, Settings: map[string]string{},
		About: map[string]string{}, Absent: map[string]string{}, URing: map[string]bool{}, Ours: map[string]bool{},
	}
	info, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.SplitSeq(string(info), "\n") {
		key, value, _ := strings.Cut(line, ":")
		switch strings.TrimSpace(key) {
		case "model name":
			e.CPU = strings.TrimSpace(value)
		case "flags":
			e.Virtual = strings.Contains(value, " hypervisor")
		}
	}
	files, _ := filepath.Glob("/sys/devices/system/cpu/vulnerabilities/*")
	for _, f := range files {
		if text := firstLine(f); text != "" && text != "Not affected" {
			e.Mitigations[filepath.Base(f)] = text
		}
	}
	for _, name := range []string{"net/core/somaxconn", "net/ipv4/ip_local_port_range", "net/ipv4/tcp_rmem",
		"net/ipv4/tcp_wmem", "net/ipv4/tcp_congestion_control", "net/core/busy_poll", "kernel/io_uring_disabled"} {
		if text := firstLine("/proc/sys/" + name); text != "" {
			e.Settings[strings.ReplaceAll(name, "/", ".")] = strings.Join(strings.Fields(text), " ")
		}
	}
	return e
}

func firstLine(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return strings.TrimSpace(line)
}

// commit is what the sources are, as far as git knows.
func commit(root string) string {
	git := func(args ...string) string {
		out, err := exec.Command("git", append([]string{"-C", root}, args...)...).Output()
		if err != nil {
			return ""
		}
		return strings.TrimSpace(string(out))
	}
	if root == "" {
		return ""
	}
	id := git("rev-parse", "--short=12", "HEAD")
	if id != "" && git("status", "--porcelain", "--untracked-files=no") != "" {
		id += "-dirty"
	}
	return id
}
