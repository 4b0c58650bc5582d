package cgroup

import (
	"slices"
	"testing"
	"testing/fstest"
)

func TestEveryGroupAroundTheProcessIsLookedAt(t *testing.T) {
	if got := parents("/g", "/a/b"); !slices.Equal(got, []string{"/g/a/b", "/g/a", "/g"}) {
		t.Error(got)
	}
}

func TestTheSmallestMemoryLimitCounts(t *testing.T) {
	const v2 = "sys/fs/cgroup/"
	for name, c := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"nothing can be read": {nil, 0},
		"version 2, the parent is narrower": {map[string]string{
			"proc/self/cgroup": "0::/a/b\n", v2 + "cgroup.controllers": "memory",
			v2 + "a/b/memory.max": "1073741824", v2 + "a/memory.max": "536870912", v2 + "memory.max": "max",
		}, 512 << 20},
		"version 1": {map[string]string{
			"proc/self/cgroup":                    "4:memory:/x\n0::/\n",
			v2 + "memory/x/memory.limit_in_bytes": "536870912",
			v2 + "memory/memory.limit_in_bytes":   "9223372036854771712",
		}, 512 << 20},
		"version 1 without limits": {map[string]string{
			"proc/self/cgroup":                  "4:memory:/\n",
			v2 + "memory/memory.limit_in_bytes": "9223372036854771712",
		}, 0},
	} {
		files := fstest.MapFS{}
		for at, content := range c.files {
			files[at] = &fstest.MapFile{Data: []byte(content)}
		}
		if got := MemoryLimit(files); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
	files := fstest.MapFS{"proc/meminfo": {Data: []byte("MemTotal:        1024 kB\nMemFree: 1 kB\n")}}
	if got := MachineMemory(files); got != 1<<20 {
		t.Errorf("the machine has %d bytes", got)
	}
}
