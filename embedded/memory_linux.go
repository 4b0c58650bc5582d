package embedded

import (
	"os"
	"path"
	"strconv"
	"strings"
)

// machineMemory is how many bytes this process may use at most: the smallest
// of the machine's memory and the limits of its cgroups (cgroup v2's
// memory.max, v1's memory.limit_in_bytes); 0 if nothing says.
func machineMemory() int64 {
	least := int64(0)
	take := func(n int64, err error) {
		if err == nil && n > 0 && (least == 0 || n < least) {
			least = n
		}
	}
	for line := range strings.Lines(read("/proc/meminfo")) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "MemTotal:" {
			kib, err := strconv.ParseInt(fields[1], 10, 64)
			take(kib<<10, err)
		}
	}
	const root = "/sys/fs/cgroup"
	for line := range strings.Lines(read("/proc/self/cgroup")) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 {
			continue
		}
		below, file := root, "memory.max"
		if fields[1] != "" {
			below, file = root+"/memory", "memory.limit_in_bytes"
			if !strings.Contains(","+fields[1]+",", ",memory,") {
				continue
			}
		}
		// In a container the path may not be visible: its end is then what is
		// mounted.
		for at := path.Clean("/" + fields[2]); ; at = path.Dir(at) {
			take(strconv.ParseInt(strings.TrimSpace(read(path.Join(below, at, file))), 10, 64))
			if at == "/" {
				break
			}
		}
	}
	return least
}

func read(name string) string {
	b, _ := os.ReadFile(name) // a file that is not there limits nothing
	return string(b)
}
