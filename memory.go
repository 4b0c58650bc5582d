package kring

import (
	"fmt"
	"math"
	"os"
	"strings"

	"kring/internal/cgroup"
	"kring/processor"
)

// Where MemoryPlan.Max comes from.
const (
	// MemoryBySetting: Config says it.
	MemoryBySetting = "Memory.BytesMax"
	// MemoryByCgroup: the smallest limit of the cgroups around the process.
	MemoryByCgroup = "cgroup"
	// MemoryByMachine: three quarters of what the machine has.
	MemoryByMachine = "machine"
	// MemoryUnbounded: nobody says.
	MemoryUnbounded = ""
)

// MemoryPlan says what the memory of a process is for, in bytes: what each part may take
// at most. docs/memory.md has the formula.
type MemoryPlan struct {
	// Max is what the process may use, and Source says by whose word; 0: nobody says.
	Max    int64
	Source string
	// Base is the Go runtime, the program and what it always has. Engines are rings and
	// receive buffers. Reserve is what is kept for reuse, and what fragments.
	Base, Engines, Reserve int64
	// Conns are Config.Conns.Max connections, the kernel's part of them included.
	Conns int64
	// Handshakes are those of TLS that may have begun at once.
	Handshakes int64
	// Requests are frames (RequestBytesMax, and what their memory is larger), Held is
	// HeldBytesMax, Responses ResponseBytesMax, Handler HandlerBytes of Config.Memory.
	Requests, Held, Responses, Handler int64
	// ConnsMax is Config.Conns.Max, FrameBytesMax Config.Limits.FrameBytesMax, by default or set.
	ConnsMax, FrameBytesMax int
}

// Total is what the process uses at most.
func (m MemoryPlan) Total() int64 {
	return m.Base + m.Engines + m.Reserve + m.Conns + m.Handshakes + m.Requests + m.Held + m.Responses + m.Handler
}

// GoLimit is how much of it the Go runtime may use, for debug.SetMemoryLimit; 0: nobody says.
// The rest is memory that is mapped beside it, and the kernel's.
func (m MemoryPlan) GoLimit() int64 {
	if m.Max == 0 {
		return 0
	}
	return max(m.Max-m.Engines-m.Reserve/2-m.Conns/2-m.Requests-m.Held-m.Responses, m.Base)
}

// What the parts are made of. Measured on Linux 6.18: a process without connections has 5
// MiB besides what the kernel can take back (the program's text); a connection 1.3 KiB of
// Go's memory and 1.5 (epoll) to 1.8 (io_uring) of the kernel's while it is idle, on the
// portable engine 5.2 in all.
const (
	memoryBase        = 20 << 20
	memoryOfEngine    = 1 << 20
	memoryOfConn      = 6 << 10
	memoryOfConnByGo  = 8 << 10 // on the portable engine
	memoryReserveMost = 64 << 20

	queuedRequestBytesDefault = 256 << 20
	heldMemoryDefault         = 128 << 20
	responseMemoryDefault     = 128 << 20
	frameBytesDefault         = 100 << 20
	// What they get of what is left when it does not do for the defaults.
	requestsShare, heldShare, responsesShare = 60, 18, 22
	// A fifth of all is for connections, and a sixteenth for receive buffers.
	connsPart, buffersPart = 5, 16
	// No smaller default than this.
	frameBytesLeast = 1 << 20
)

// MemoryMaxLeast is a Config.Memory.BytesMax, in bytes, that is enough for a server of few processors with
// defaults. With less one may start; a plan that does not fit is an error.
const MemoryMaxLeast = 96 << 20

// MemoryPlan says what this process's memory is for.
func (c Config) MemoryPlan() MemoryPlan {
	_, m := c.planned()
	return m
}

// foundMemory is what is known about the memory of this process.
func foundMemory() (bytes int64, source string) {
	files := os.DirFS("/")
	if n := cgroup.MemoryLimit(files); n > 0 {
		return n, MemoryByCgroup
	}
	if n := cgroup.MachineMemory(files); n > 0 {
		return n / 4 * 3, MemoryByMachine
	}
	return 0, MemoryUnbounded
}

// planMemory derives what is 0 of the fields that bound memory. c has all other defaults.
func (c *Config) planMemory() (m MemoryPlan) {
	m.Max, m.Source = c.Memory.BytesMax, MemoryBySetting
	if c.Memory.BytesMax == 0 {
		m.Max, m.Source = foundMemory()
	}
	if m.Max < 0 {
		m.Max, m.Source = 0, MemoryUnbounded
	}
	m.Base, m.Handler = memoryBase, c.Memory.HandlerBytes
	c.planEngines(&m)
	c.planTLS(&m)
	c.planConns(&m)
	m.Reserve = memoryReserveMost
	if m.Max > 0 {
		m.Reserve = min(m.Reserve, m.Max/16)
	}
	c.planRest(&m)
	return m
}

// planEngines counts rings and receive buffers, and has fewer of them where memory is
// little.
func (c *Config) planEngines(m *MemoryPlan) {
	bytes := int64(math.MaxInt64)
	if m.Max > 0 {
		bytes = m.Max / buffersPart / int64(c.Processors.Count)
	}
	c.URing, c.Epoll, c.Portable = c.URing.WithBuffersIn(bytes), c.Epoll.WithBuffersIn(bytes), c.Portable.WithBuffersIn(bytes)
	engines := c.Processors.Count
	if c.Processors.Accept != AcceptPerProcessor {
		engines += len(c.Listeners)
	}
	buffers := max(c.URing.BufferMemory(), c.Epoll.BufferMemory())
	switch c.Engine {
	case EngineEpoll:
		buffers = c.Epoll.BufferMemory()
	case EnginePortable:
		buffers = c.Portable.BufferMemory()
	}
	m.Engines = int64(engines)*memoryOfEngine + int64(c.Processors.Count)*buffers
}

// connMemory is what a connection costs.
func (c *Config) connMemory() int64 {
	n := int64(memoryOfConn)
	if c.Engine == EnginePortable {
		n = memoryOfConnByGo + c.Portable.ConnMemory()
	}
	if c.speaksTLS() {
		n += memoryOfTLS
	}
	return n
}

func (c *Config) planConns(m *MemoryPlan) {
	if c.Conns.Max == 0 {
		c.Conns.Max = c.descriptors(0).Conns
		if m.Max > 0 {
			c.Conns.Max = max(1, min(c.Conns.Max, int(m.Max/connsPart/c.connMemory())))
		}
	}
	n := c.Conns.Max
	if n < 0 {
		n = c.descriptors(0).Conns
	}
	m.Conns = int64(n) * c.connMemory()
}

// planRest shares out what is left, among what is not set.
func (c *Config) planRest(m *MemoryPlan) {
	left, weights := m.Max-m.Total(), int64(0)
	field := func(bytes, share int64) {
		if bytes != 0 {
			left -= bytes
		} else {
			weights += share
		}
	}
	field(memoryOfRequests(c.Memory.RequestBytesMax), requestsShare)
	field(c.Memory.HeldBytesMax, heldShare)
	field(c.Memory.ResponseBytesMax, responsesShare)
	part := func(share, most, least int64) int64 {
		if m.Max == 0 {
			return most
		}
		return max(min(most, left*share/max(weights, 1)), least)
	}
	orElse(&c.Memory.ResponseBytesMax, part(responsesShare, responseMemoryDefault, c.responseMemoryLeast()))
	m.Responses = c.Memory.ResponseBytesMax
	orElse(&c.Memory.HeldBytesMax, part(heldShare, heldMemoryDefault, c.heldMemoryLeast()))
	requests := part(requestsShare, memoryOfRequests(queuedRequestBytesDefault), 0)
	if m.Max > 0 { // the others may have had to take more than their share
		requests = min(requests, max(m.Max-m.Total()-c.Memory.HeldBytesMax, 0))
	}
	requests = requests / 5 * 4
	if c.Memory.RequestBytesMax != 0 {
		requests = c.Memory.RequestBytesMax
	}
	if c.Limits.FrameBytesMax == 0 {
		c.Limits.FrameBytesMax = frameBytesDefault
		if room := requests - c.hoardedMost(); room < frameBytesDefault && c.Memory.RequestBytesMax == 0 {
			c.Limits.FrameBytesMax = int(max(room>>20<<20, frameBytesLeast))
		}
	}
	orElse(&c.Memory.RequestBytesMax, max(requests, c.requestBytesLeast()))
	m.ConnsMax, m.FrameBytesMax = c.Conns.Max, c.Limits.FrameBytesMax
	m.Requests, m.Held = memoryOfRequests(c.Memory.RequestBytesMax), c.Memory.HeldBytesMax
}

// memoryOfRequests is what frames of n bytes take: their memory is up to a quarter larger.
func memoryOfRequests(n int64) int64 { return n + n/4 }

// heldMemoryLeast is what Memory.HeldBytesMax must be for processors that hoard.
func (c *Config) heldMemoryLeast() int64 {
	return 1<<20 + 2*int64(c.Processors.Count)*processor.HoardedHeldMax
}

// validateMemory says what does not fit. given is c before its defaults.
func (c *Config) validateMemory(given *Config, m MemoryPlan, fault faulter) {
	fault(c.Memory.HandlerBytes < 0, "Memory.HandlerBytes", c.Memory.HandlerBytes, "choose 0 (it keeps nothing) or more")
	fault(c.Memory.HeldBytesMax < c.heldMemoryLeast(), "Memory.HeldBytesMax", c.Memory.HeldBytesMax,
		fmt.Sprintf("choose at least %d: each processor takes some of it in advance", c.heldMemoryLeast()))
	if m.Max == 0 || m.Source == MemoryByMachine || m.Total() <= m.Max {
		return
	}
	value := any(m.Max)
	if m.Source != MemoryBySetting {
		value = fmt.Sprintf("%d, by the %s", m.Max, m.Source)
	}
	set, derived := c.memoryParts(given)
	says := fmt.Sprintf("all parts together may take %d: ", m.Total())
	lower := "nothing is set that could be lowered: "
	if len(set) > 0 {
		says += "set are " + strings.Join(set, ", ") + "; "
		lower = "lower what is set, or "
	}
	fault(true, "Memory.BytesMax", value, says+fmt.Sprintf("defaults are %s; rings and receive buffers %d: "+
		"%schoose at least %d, or a negative number for no limit", strings.Join(derived, ", "), m.Engines, lower, max(MemoryMaxLeast, m.Total())))
}

// memoryParts names the fields that the plan consists of, with their values: those that
// were given, and those that have defaults. Limits.FrameBytesMax decides how small
// Memory.RequestBytesMax may be.
func (c *Config) memoryParts(given *Config) (set, derived []string) {
	for _, f := range []struct {
		name      string
		given, is int64
	}{
		{"Conns.Max", int64(given.Conns.Max), int64(c.Conns.Max)},
		{"Limits.FrameBytesMax", int64(given.Limits.FrameBytesMax), int64(c.Limits.FrameBytesMax)},
		{"Memory.RequestBytesMax", given.Memory.RequestBytesMax, c.Memory.RequestBytesMax},
		{"Memory.HeldBytesMax", given.Memory.HeldBytesMax, c.Memory.HeldBytesMax},
		{"Memory.ResponseBytesMax", given.Memory.ResponseBytesMax, c.Memory.ResponseBytesMax},
		{"Memory.HandlerBytes", given.Memory.HandlerBytes, c.Memory.HandlerBytes},
		{"Processors.Count", int64(given.Processors.Count), int64(c.Processors.Count)},
		{"URing.Buffers", int64(given.URing.Buffers), int64(c.URing.Buffers)},
		{"Epoll.Buffers", int64(given.Epoll.Buffers), int64(c.Epoll.Buffers)},
		{"Portable.Buffers", int64(given.Portable.Buffers), int64(c.Portable.Buffers)},
	} {
		says := fmt.Sprintf("%s %d", f.name, f.is)
		if f.given != 0 {
			set = append(set, says)
		} else if f.is != 0 && (strings.HasPrefix(f.name, "Memory.") || f.name == "Conns.Max") {
			derived = append(derived, says)
		}
	}
	return set, derived
}

// MemoryPlan is the plan that the Server goes by.
func (s *Server) MemoryPlan() MemoryPlan { return s.now().plan }

// planBy has the Server go by another plan.
func (s *Server) planBy(m MemoryPlan) {
	s.change(func(next *state) { next.plan = m })
	s.memory.SetKeptMax(m.Reserve / 2)
}

// String says it in a line.
func (m MemoryPlan) String() string {
	says := fmt.Sprintf("memory at most %s, no limit", mebibytes(m.Total()))
	if m.Max > 0 {
		by := map[string]string{MemoryBySetting: "set", MemoryByCgroup: "cgroup", MemoryByMachine: "three quarters of the machine's"}[m.Source]
		says = fmt.Sprintf("memory at most %s of %s (%s)", mebibytes(m.Total()), mebibytes(m.Max), by)
	}
	if m.FrameBytesMax < frameBytesDefault {
		says += ", frames up to " + mebibytes(int64(m.FrameBytesMax))
	}
	return says
}

func mebibytes(n int64) string {
	if n < 1<<20 {
		return fmt.Sprintf("%d KiB", (n+1<<9)>>10)
	}
	return fmt.Sprintf("%d MiB", (n+1<<19)>>20)
}
