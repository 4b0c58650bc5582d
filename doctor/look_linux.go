package doctor

import (
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// look reads the system that this process runs on.
func look(r *Report) {
	h := host{files: os.DirFS("/"), env: os.Getenv}
	r.System = System{OS: runtime.GOOS, Arch: runtime.GOARCH, Kernel: kernelRelease()}
	h.sysctls(r)
	h.process(r)
	r.Process.UID, r.Process.GID = os.Geteuid(), os.Getegid()
	groups, _ := os.Getgroups()
	r.Process.InIOURingGroup = inGroup(r.System.IOURingGroup, append(groups, r.Process.GID))
	r.Container = h.container()
	limits(&r.Limits)
	r.Limits.CgroupMemoryBytes = h.cgroupMemory()
	r.CPU = CPU{Online: h.cpusOnline(), Affinity: runtime.NumCPU(), GOMAXPROCS: runtime.GOMAXPROCS(0), CgroupCPUs: h.cgroupCPUs()}
}

func kernelRelease() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(u.Release[:])
}

func limits(l *Limits) {
	read := func(resource int) (soft, hard *int64) {
		var v unix.Rlimit
		if unix.Getrlimit(resource, &v) != nil {
			return nil, nil
		}
		return limit(v.Cur), limit(v.Max)
	}
	l.MemlockSoftBytes, l.MemlockHardBytes = read(unix.RLIMIT_MEMLOCK)
	l.NofileSoft, l.NofileHard = read(unix.RLIMIT_NOFILE)
}

func limit(v uint64) *int64 {
	n := int64(v)
	if v == unix.RLIM_INFINITY || n < 0 {
		n = Unlimited
	}
	return &n
}

func inGroup(group *int64, ours []int) bool {
	for _, g := range ours {
		if group != nil && int64(g) == *group {
			return true
		}
	}
	return false
}
