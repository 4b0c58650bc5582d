package doctor

import (
	"math"
	"path"
	"strconv"
	"strings"
)

const cgroupRoot = "/sys/fs/cgroup"

// cgroupDirs are the folders whose files limit this process: its own group's
// and those of every group around it. In a container the path that
// /proc/self/cgroup gives may not be visible; then its end, the root of what
// is mounted, is what counts.
func (h host) cgroupDirs(controller string) (dirs []string, v2 bool) {
	for line := range strings.Lines(h.read("/proc/self/cgroup")) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 {
			continue
		}
		switch {
		case fields[0] == "0" && fields[1] == "" && h.exists(cgroupRoot+"/cgroup.controllers"):
			return climb(cgroupRoot, fields[2]), true
		case hasWord(fields[1], controller):
			dirs = climb(cgroupRoot+"/"+controller, fields[2])
		}
	}
	return dirs, false
}

func hasWord(list, word string) bool {
	for w := range strings.SplitSeq(list, ",") {
		if w == word {
			return true
		}
	}
	return false
}

// climb lists below/at and everything above it, up to below.
func climb(below, at string) (dirs []string) {
	for at = path.Clean("/" + at); ; at = path.Dir(at) {
		dirs = append(dirs, path.Join(below, at))
		if at == "/" {
			return dirs
		}
	}
}

// cgroupCPUs is the narrowest bandwidth of the groups around us, in CPUs.
func (h host) cgroupCPUs() float64 {
	dirs, v2 := h.cgroupDirs("cpu")
	narrowest := math.Inf(1)
	for _, d := range dirs {
		quota, period := h.read(d+"/cpu.cfs_quota_us"), h.read(d+"/cpu.cfs_period_us")
		if v2 {
			quota, period, _ = strings.Cut(h.read(d+"/cpu.max"), " ")
		}
		q, err1 := strconv.ParseFloat(quota, 64)
		p, err2 := strconv.ParseFloat(period, 64)
		if err1 == nil && err2 == nil && q > 0 && p > 0 {
			narrowest = min(narrowest, q/p)
		}
	}
	if math.IsInf(narrowest, 1) {
		return Unlimited
	}
	return narrowest
}

// noMemoryLimit: cgroup v1 says "none" with a number near this.
const noMemoryLimit = 1 << 60

// cgroupMemory is the smallest memory limit of the groups around us.
func (h host) cgroupMemory() *int64 {
	dirs, v2 := h.cgroupDirs("memory")
	file := "/memory.limit_in_bytes"
	if v2 {
		file = "/memory.max"
	}
	smallest := int64(Unlimited)
	for _, d := range dirs {
		if n := h.number(d + file); n != nil && *n < noMemoryLimit && (smallest == Unlimited || *n < smallest) {
			smallest = *n
		}
	}
	return &smallest
}
