//go:build !linux

package doctor

import (
	"os"
	"runtime"
)

// look has little to read: there is no io_uring to stand in the way of.
func look(r *Report) {
	r.System = System{OS: runtime.GOOS, Arch: runtime.GOARCH, Kernel: "unknown"}
	r.Process = Process{UID: os.Geteuid(), GID: os.Getegid(), Seccomp: seccompNone}
	r.CPU = CPU{Online: runtime.NumCPU(), Affinity: runtime.NumCPU(), GOMAXPROCS: runtime.GOMAXPROCS(0), CgroupCPUs: Unlimited}
}
