package doctor

import (
	"kring"
	"kring/uring"
)

// Format is the version of Report's JSON: it changes when a field changes its
// meaning or goes, not when one is added.
const Format = 1

// Exit statuses of `kring doctor`; 1 is a doctor that failed.
const (
	ExitURing    = 0 // io_uring is usable
	ExitFallback = 3 // only another engine is
)

// Unlimited is a limit that there is none of.
const Unlimited = -1

// Report is what Examine found. The JSON names are documented in
// docs/doctor.md and stay; null is what could not be read.
type Report struct {
	Format    int       `json:"format"`
	Exit      int       `json:"exit"`
	Auto      Choice    `json:"auto"`
	Engines   []Engine  `json:"engines"`
	Findings  []Finding `json:"findings"`
	System    System    `json:"system"`
	Process   Process   `json:"process"`
	Container Container `json:"container"`
	Limits    Limits    `json:"limits"`
	CPU       CPU       `json:"cpu"`
	// Descriptors is what a server with default settings uses them for.
	Descriptors Descriptors `json:"descriptors"`
	// Memory is what a server with default settings may use.
	Memory   Memory          `json:"memory"`
	Features []uring.Feature `json:"features"`
}

// Choice is the engine that a server would choose by itself.
type Choice struct {
	Engine string `json:"engine"`
	Why    string `json:"why"`
}

// Engine is one that could be asked for by name.
type Engine struct {
	Name   string `json:"name"`
	Usable bool   `json:"usable"`
	Says   string `json:"says"`

	err error // why it is not usable
}

// System is the machine.
type System struct {
	OS     string `json:"os"`
	Arch   string `json:"arch"`
	Kernel string `json:"kernel"`
	// IOURingDisabled and IOURingGroup are the sysctls of Linux 6.6.
	IOURingDisabled *int64 `json:"io_uring_disabled"`
	IOURingGroup    *int64 `json:"io_uring_group"`
}

// Process is what this process may do.
type Process struct {
	UID            int    `json:"uid"`
	GID            int    `json:"gid"`
	InIOURingGroup bool   `json:"in_io_uring_group"`
	Seccomp        string `json:"seccomp"` // none, strict, filter, unknown
	SeccompFilters *int64 `json:"seccomp_filters"`
	NoNewPrivs     bool   `json:"no_new_privs"`
	// LSM is the label that a security module gave this process, "" for none.
	LSM         string `json:"lsm"`
	CapSysAdmin bool   `json:"cap_sys_admin"`
	CapIPCLock  bool   `json:"cap_ipc_lock"`
}

// Container is what hints at one.
type Container struct {
	Detected bool     `json:"detected"`
	Runtime  string   `json:"runtime"` // docker, podman, kubernetes, fargate, …, "" for none
	Hints    []string `json:"hints"`
}

// Limits of this process, its cgroup and the network. Unlimited is -1.
type Limits struct {
	MemlockSoftBytes  *int64 `json:"memlock_soft_bytes"`
	MemlockHardBytes  *int64 `json:"memlock_hard_bytes"`
	NofileSoft        *int64 `json:"nofile_soft"`
	NofileHard        *int64 `json:"nofile_hard"`
	Somaxconn         *int64 `json:"somaxconn"`
	TCPMaxSynBacklog  *int64 `json:"tcp_max_syn_backlog"`
	CgroupMemoryBytes *int64 `json:"cgroup_memory_bytes"`
}

// CPU is what there is to run on.
type CPU struct {
	Online     int `json:"online"`
	Affinity   int `json:"affinity"`
	GOMAXPROCS int `json:"gomaxprocs"`
	// CgroupCPUs is the cgroup's bandwidth in CPUs; -1: no limit.
	CgroupCPUs float64 `json:"cgroup_cpus"`
}

// Descriptors is the plan of a server with default settings: what RLIMIT_NOFILE
// (Limit; 0: none) is divided into. A handler that keeps data takes DataDirFiles of
// the connections' for its files, and can have DataDirPartitions partitions.
type Descriptors struct {
	Limit              int `json:"limit"`
	Own                int `json:"own"`
	Reserve            int `json:"reserve"`
	Connections        int `json:"connections"`
	DataDirFiles       int `json:"data_dir_files"`
	DataDirPartitions  int `json:"data_dir_partitions"`
	DataDirConnections int `json:"data_dir_connections"`
}

// Memory is the plan of a server with default settings, in bytes: Max is the limit (0:
// there is none) by Source, AtMost what all parts may take together, and Fits that
// a server starts. docs/memory.md says what the parts are.
type Memory struct {
	Max         int64  `json:"max"`
	Source      string `json:"source"` // cgroup, machine, "" for no limit
	AtMost      int64  `json:"at_most"`
	Fits        bool   `json:"fits"`
	Base        int64  `json:"base"`
	Engines     int64  `json:"engines"`
	Reserve     int64  `json:"reserve"`
	Conns       int64  `json:"conns"`
	Requests    int64  `json:"requests"`
	Held        int64  `json:"held"`
	Responses   int64  `json:"responses"`
	Handler     int64  `json:"handler"`
	Connections int    `json:"connections"`
	FrameBytes  int    `json:"frame_bytes"`

	says string
}

// Keeper says what a handler that keeps data needs: how many files it would like to
// have open, how many partitions some are enough for, and what it takes of so much
// memory (0: nobody says how much). The zero value keeps none.
type Keeper struct {
	FilesWanted   int
	PartitionsFor func(files int) int
	MemoryOf      func(most int64) int64
}

// memory asks the server's own code.
func (k Keeper) memory() Memory {
	var cfg kring.Config
	if k.MemoryOf != nil {
		cfg.Memory.HandlerBytes = k.MemoryOf(cfg.MemoryPlan().Max)
	}
	m := cfg.MemoryPlan()
	return Memory{
		Max: m.Max, Source: m.Source, AtMost: m.Total(), Fits: cfg.Validate() == nil, Base: m.Base, Engines: m.Engines, Reserve: m.Reserve, Conns: m.Conns,
		Requests: m.Requests, Held: m.Held, Responses: m.Responses, Handler: m.Handler, Connections: m.ConnsMax, FrameBytes: m.FrameBytesMax,
		says: m.String(),
	}
}

// plan asks the server's own code.
func (k Keeper) plan() Descriptors {
	plain, keeping := kring.Config{}.Descriptors(), kring.Config{Conns: kring.ConnsConfig{HandlerFiles: k.FilesWanted}}.Descriptors()
	d := Descriptors{Limit: plain.Limit, Own: plain.Own, Reserve: plain.Reserve, Connections: plain.Conns}
	if k.PartitionsFor != nil {
		d.DataDirFiles, d.DataDirConnections = keeping.Files, keeping.Conns
		d.DataDirPartitions = k.PartitionsFor(keeping.Files)
	}
	return d
}

// Severity of a Finding.
type Severity string

// Severities.
const (
	Fault   Severity = "fault"   // stands between kring and io_uring
	Warning Severity = "warning" // will hurt under load
	Note    Severity = "note"    // worth knowing
)

// Finding is something that is not as it should be.
type Finding struct {
	Severity Severity `json:"severity"`
	What     string   `json:"what"`
	Remedy   string   `json:"remedy"`
}

// Examine looks at everything, for a server whose handler keeps data as k says. It
// takes some milliseconds.
func Examine(k Keeper) (Report, error) {
	r := Report{Format: Format, Findings: []Finding{}, Container: Container{Hints: []string{}}, Features: []uring.Feature{}}
	if err := r.choose(); err != nil {
		return r, err
	}
	look(&r)
	r.Descriptors, r.Memory = k.plan(), k.memory()
	r.Features = append(r.Features, uring.Features()...)
	r.Findings = append(r.Findings, diagnose(&r)...)
	return r, nil
}

// choose asks the server's own code, for auto and for each engine by name.
func (r *Report) choose() error {
	chosen, why, err := kring.ChooseEngine(kring.Config{})
	if err != nil {
		return err
	}
	r.Auto.Engine, r.Auto.Why = string(chosen), why
	r.Exit = ExitFallback
	if chosen == kring.EngineURing {
		r.Exit = ExitURing
	}
	for _, name := range []kring.Engine{kring.EngineURing, kring.EngineEpoll, kring.EnginePortable} {
		_, says, err := kring.ChooseEngine(kring.Config{Engine: name})
		e := Engine{Name: string(name), Usable: err == nil, Says: says, err: err}
		if err != nil {
			e.Says = rootCause(err)
		}
		r.Engines = append(r.Engines, e)
	}
	return nil
}

// engine finds one of Engines.
func (r *Report) engine(name kring.Engine) *Engine {
	for i := range r.Engines {
		if r.Engines[i].Name == string(name) {
			return &r.Engines[i]
		}
	}
	return nil
}
