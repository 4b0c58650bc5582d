package doctor

import (
	"testing"
	"testing/fstest"
)

// machine is a host made of files and an environment.
func machineOf(files map[string]string, env map[string]string) host {
	tree := fstest.MapFS{}
	for path, text := range files {
		tree[path] = &fstest.MapFile{Data: []byte(text)}
	}
	return host{files: tree, env: func(name string) string { return env[name] }}
}

const statusText = "Name:\tkring\nCapEff:\t0000000000204000\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t3\n"

func TestTheProcessIsReadFromItsStatus(t *testing.T) {
	h := machineOf(map[string]string{
		"proc/self/status":        statusText,
		"proc/self/attr/current":  "docker-default (enforce)\n",
		"sys/kernel/security/lsm": "lockdown,capability,apparmor",
	}, nil)
	var r Report
	h.process(&r)
	p := r.Process
	if p.Seccomp != "filter" || *p.SeccompFilters != 3 || !p.NoNewPrivs || !p.CapSysAdmin || !p.CapIPCLock ||
		p.LSM != "apparmor: docker-default (enforce)" {
		t.Errorf("%+v", p)
	}
	var nothing Report
	machineOf(nil, nil).process(&nothing)
	if nothing.Process != (Process{Seccomp: "unknown"}) {
		t.Errorf("without /proc: %+v", nothing.Process)
	}
}

func TestALabelIsItsModules(t *testing.T) {
	for want, files := range map[string]map[string]string{
		"":                      {},
		"apparmor: a (enforce)": {"proc/self/attr/apparmor/current": "a (enforce)\n", "proc/self/attr/current": "x"},
		"selinux: s:c0":         {"proc/self/attr/current": "s:c0\x00", "sys/fs/selinux/enforce": "1"},
		"label: odd":            {"proc/self/attr/current": "odd"},
	} {
		if got := machineOf(files, nil).label(); got != want {
			t.Errorf("%v: %q, want %q", files, got, want)
		}
	}
}

func TestContainersAreKnownByWhatTheirRuntimesLeave(t *testing.T) {
	for _, c := range []struct {
		files, env map[string]string
		runtime    string
		hints      int
	}{
		{nil, nil, "", 0},
		{map[string]string{".dockerenv": ""}, nil, "docker", 1},
		{map[string]string{"run/.containerenv": ""}, map[string]string{"container": "podman"}, "podman", 2},
		{map[string]string{"proc/self/cgroup": "0::/kubepods.slice/pod1/cri-containerd-2\n"}, nil, "kubernetes", 2},
		{map[string]string{"proc/self/cgroup": "1:cpu:/docker/abc\n"}, nil, "docker", 1},
		{nil, map[string]string{"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "kubernetes", 1},
		{nil, map[string]string{"AWS_EXECUTION_ENV": "AWS_ECS_FARGATE"}, "fargate", 1},
		{nil, map[string]string{"AWS_EXECUTION_ENV": "AWS_ECS_EC2"}, "", 0},
		{nil, map[string]string{"container": "systemd-nspawn"}, "systemd-nspawn", 1},
	} {
		got := machineOf(c.files, c.env).container()
		if got.Runtime != c.runtime || len(got.Hints) != c.hints || got.Detected != (c.hints > 0) {
			t.Errorf("%v %v: %+v, want %q with %d hints", c.files, c.env, got, c.runtime, c.hints)
		}
	}
}

func TestTheNarrowestCgroupCounts(t *testing.T) {
	const v2 = "sys/fs/cgroup/"
	for name, c := range map[string]struct {
		files  map[string]string
		cpus   float64
		memory int64
	}{
		"none": {nil, Unlimited, Unlimited},
		"version 2, the parent is narrower": {map[string]string{
			"proc/self/cgroup": "0::/a/b\n", v2 + "cgroup.controllers": "cpu memory",
			v2 + "a/b/cpu.max": "max 100000", v2 + "a/cpu.max": "150000 100000",
			v2 + "a/b/memory.max": "1073741824", v2 + "a/memory.max": "max",
		}, 1.5, 1 << 30},
		"version 2, the path is the host's": {map[string]string{
			"proc/self/cgroup": "0::/system.slice/docker-1.scope\n", v2 + "cgroup.controllers": "cpu memory",
			v2 + "cpu.max": "50000 100000", v2 + "memory.max": "268435456",
		}, 0.5, 256 << 20},
		"version 1": {map[string]string{
			"proc/self/cgroup":             "4:memory:/x\n1:cpu,cpuacct:/x\n0::/\n",
			v2 + "cpu/x/cpu.cfs_quota_us":  "200000",
			v2 + "cpu/x/cpu.cfs_period_us": "100000",
			v2 + "cpu/cpu.cfs_quota_us":    "-1", v2 + "cpu/cpu.cfs_period_us": "100000",
			v2 + "memory/x/memory.limit_in_bytes": "536870912",
			v2 + "memory/memory.limit_in_bytes":   "9223372036854771712",
		}, 2, 512 << 20},
		"version 1 without limits": {map[string]string{
			"proc/self/cgroup":                  "4:memory:/\n1:cpu:/\n",
			v2 + "cpu/cpu.cfs_quota_us":         "-1",
			v2 + "cpu/cpu.cfs_period_us":        "100000",
			v2 + "memory/memory.limit_in_bytes": "9223372036854771712",
		}, Unlimited, Unlimited},
	} {
		h := machineOf(c.files, nil)
		if cpus, memory := h.cgroupCPUs(), *h.cgroupMemory(); cpus != c.cpus || memory != c.memory {
			t.Errorf("%s: %v CPUs, %d bytes; want %v, %d", name, cpus, memory, c.cpus, c.memory)
		}
	}
}

func TestNumbersAreReadAndTheirAbsenceToo(t *testing.T) {
	var r Report
	machineOf(map[string]string{
		"proc/sys/kernel/io_uring_disabled":     "1\n",
		"proc/sys/kernel/io_uring_group":        "-1\n",
		"proc/sys/net/core/somaxconn":           "128\n",
		"proc/sys/net/ipv4/tcp_max_syn_backlog": "broken\n",
		"sys/devices/system/cpu/online":         "0-3,6,8-9\n",
	}, nil).sysctls(&r)
	if *r.System.IOURingDisabled != 1 || *r.System.IOURingGroup != -1 || *r.Limits.Somaxconn != 128 || r.Limits.TCPMaxSynBacklog != nil {
		t.Errorf("%+v %+v", r.System, r.Limits)
	}
	for list, want := range map[string]int{"0-3,6,8-9\n": 7, "0\n": 1, "": 0, "0-x": 0} {
		if got := machineOf(map[string]string{"sys/devices/system/cpu/online": list}, nil).cpusOnline(); got != want {
			t.Errorf("%q: %d CPUs, want %d", list, got, want)
		}
	}
}
