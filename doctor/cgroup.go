package doctor

import (
	"math"
	"strconv"
	"strings"

	"kring/internal/cgroup"
)

// cgroupCPUs is the narrowest bandwidth of the groups around us, in CPUs.
func (h host) cgroupCPUs() float64 {
	dirs, v2 := cgroup.Dirs(h.files, "cpu")
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

// cgroupMemory is the smallest memory limit of the groups around us.
func (h host) cgroupMemory() *int64 {
	n := cgroup.MemoryLimit(h.files)
	if n == 0 {
		n = Unlimited
	}
	return &n
}
