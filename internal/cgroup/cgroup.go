package cgroup

import (
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Root is where cgroups are mounted.
const Root = "/sys/fs/cgroup"

// Dirs are the folders whose files limit this process by a controller: its own
// cgroup's and those of every cgroup around it. v2 reports that they are of
// version 2. files is "/". In a container the path in /proc/self/cgroup may not be
// visible; then only the root of the mount counts.
func Dirs(files fs.FS, controller string) (dirs []string, v2 bool) {
	for line := range strings.Lines(Read(files, "/proc/self/cgroup")) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 {
			continue
		}
		switch {
		case fields[0] == "0" && fields[1] == "" && exists(files, Root+"/cgroup.controllers"):
			return parents(Root, fields[2]), true
		case slices.Contains(strings.Split(fields[1], ","), controller):
			dirs = parents(Root+"/"+controller, fields[2])
		}
	}
	return dirs, false
}

// parents lists below/at and every folder above it, up to below.
func parents(below, at string) (dirs []string) {
	for at = path.Clean("/" + at); ; at = path.Dir(at) {
		dirs = append(dirs, path.Join(below, at))
		if at == "/" {
			return dirs
		}
	}
}

// unlimited: version 1 says "no limit" with a number near this.
const unlimited = 1 << 60

// MemoryLimit is the smallest memory limit, in bytes, of the cgroups around this
// process; 0: no limit. files is "/".
func MemoryLimit(files fs.FS) (least int64) {
	dirs, v2 := Dirs(files, "memory")
	file := "/memory.limit_in_bytes"
	if v2 {
		file = "/memory.max"
	}
	for _, d := range dirs {
		n, err := strconv.ParseInt(Read(files, d+file), 10, 64)
		if err == nil && n > 0 && n < unlimited && (least == 0 || n < least) {
			least = n
		}
	}
	return least
}

// MachineMemory is how much memory the machine has, in bytes; 0: unknown. files is
// "/".
func MachineMemory(files fs.FS) int64 {
	for line := range strings.Lines(Read(files, "/proc/meminfo")) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "MemTotal:" {
			kib, _ := strconv.ParseInt(fields[1], 10, 64)
			return kib << 10
		}
	}
	return 0
}

// Read returns a file without the space around it, "" if it can't be read.
func Read(files fs.FS, path string) string {
	b, err := fs.ReadFile(files, strings.TrimPrefix(path, "/"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func exists(files fs.FS, path string) bool {
	_, err := fs.Stat(files, strings.TrimPrefix(path, "/"))
	return err == nil
}
