package kring

import (
	"fmt"
	"runtime"
	"slices"
	"time"

	"kring/acceptor"
	"kring/engine"
	"kring/internal/fault"
	"kring/internal/slab"
	"kring/processor"
)

// withDefaults fills what is zero.
func (c Config) withDefaults() Config {
	c, _ = c.planned()
	return c
}

// WithDefaults returns the Config that New and Reconfigure go by: every field that is zero
// has its default, by this machine's descriptors, CPUs and memory at the time of the call.
// Listeners have their names; their other fields stay zero where they go by those for all.
func (c Config) WithDefaults() Config { return c.withDefaults() }

// planned fills what is zero, in one place, and says what memory is for.
func (c Config) planned() (Config, MemoryPlan) {
	if len(c.Listeners) == 0 {
		c.Listeners = []ListenerConfig{{Address: "127.0.0.1:9092"}}
	}
	c.Listeners = append([]ListenerConfig(nil), c.Listeners...)
	for i := range c.Listeners {
		orElse(&c.Listeners[i].Name, listenerName(i))
	}
	orElse(&c.Engine, EngineAuto)
	orElse(&c.Dispatch.Mode, DispatchPool)
	orElse(&c.Processors.Accept, AcceptApart)
	orElse(&c.Processors.Gosched, GoschedAuto)
	orElse(&c.Processors.Wait, WaitAuto)
	if c.Processors.Wait == WaitAuto {
		c.Processors.Wait = c.chooseWait()
	}
	perCPU := runtime.GOMAXPROCS(0)
	if c.Dispatch.Mode != DispatchInline {
		perCPU = max(1, perCPU/2)
	}
	orElse(&c.Processors.Count, perCPU)
	orElse(&c.Dispatch.Handlers, 8)
	orElse(&c.Dispatch.BatchMax, 64)
	orElse(&c.Dispatch.QueuedRequestsMax, 500)
	orElse(&c.Dispatch.QueuedPriorityMax, c.Dispatch.QueuedRequestsMax)
	orElse(&c.Limits.PipelineMax, 1)
	orElse(&c.Processors.BigFrameBytes, 64<<10)
	orElse(&c.Processors.PackedBytesMax, 4<<10)
	orElse(&c.Limits.HeldBytesMax, 256<<10)
	orElse(&c.Limits.QueuedResponseBytesMax, 1<<20)
	orElse(&c.Conns.ThrottledConnsMax, acceptor.ThrottledConnsMaxDefault())
	orElse(&c.Conns.WhenFull, WhenFullWait)
	orElse(&c.Processors.Assignment, AssignLeastConns)
	orElse(&c.Limits.SlowReader, SlowReaderPause)
	orElse(&c.Limits.ThrottleMax, 30*time.Second)
	orElse(&c.Conns.Backlog, 1024)
	orElse(&c.Timeouts.Idle, 10*time.Minute)
	orElse(&c.Timeouts.Write, 30*time.Second)
	orElse(&c.Timeouts.Frame, 30*time.Second)
	orElse(&c.Timeouts.Proxy, 10*time.Second)
	orElse(&c.Timeouts.Drain, 30*time.Second)
	return c, c.planMemory()
}

// chooseWait is WaitAuto's choice. A thread of its own makes a processor with inline handlers
// cheaper, but not beside TLS handshakes: each goes to and fro between two threads, which was
// a quarter of what it costs, and records cost the same either way.
func (c *Config) chooseWait() Wait {
	parkable := c.URing.ValidateFor(engine.WaitParked) == nil // some settings are for locked processors only
	if c.Dispatch.Mode == DispatchInline && !(c.speaksTLS() && parkable) {
		return WaitLocked
	}
	return WaitParked
}

// responseMemoryLeast is the memory for responses below which its quarter for small ones
// might all be hoarded.
func (c Config) responseMemoryLeast() int64 {
	return max(8<<20, 4*(1<<20+int64(c.Processors.Count)*processor.HoardedOutputMax))
}

// requestBytesLeast is the byte capacity below which the largest frame might
// wait for ever.
func (c Config) requestBytesLeast() int64 {
	largest := c.Limits.FrameBytesMax
	for _, l := range c.Listeners {
		largest = max(largest, l.Limits.FrameBytesMax)
	}
	return int64(largest) + c.hoardedMost()
}

// hoardedMost is what of the byte capacity may be reserved for no frame.
func (c *Config) hoardedMost() int64 {
	return int64(c.Processors.Count)*processor.HoardedBytesMax + 4096
}

// claimsSpare is how many bytes of requests frames that are not whole leave to others.
func (c Config) claimsSpare() int64 {
	return max(0, min(c.Memory.RequestBytesMax/8, c.Memory.RequestBytesMax-c.requestBytesLeast()))
}

func orElse[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Validate reports every fault at once, in a ConfigError; nil when there is none. Zero values
// are the defaults and always right.
func (c Config) Validate() error {
	given := c
	c, memory := c.planned()
	var faults fault.List
	fault := func(bad bool, field string, value any, remedy string) {
		faults.Add(bad, field, "is %v: %s", value, remedy)
	}
	choice(&faults, "Engine", c.Engine, engines)
	choice(&faults, "Dispatch.Mode", c.Dispatch.Mode, dispatches)
	choice(&faults, "Processors.Gosched", c.Processors.Gosched, goscheds)
	choice(&faults, "Processors.Accept", c.Processors.Accept, accepts)
	choice(&faults, "Processors.Wait", c.Processors.Wait, waits)
	c.validateListeners(fault)
	fault(c.Processors.Count < 1 || c.Processors.Count > 1024, "Processors.Count", c.Processors.Count, "choose 1 to 1024")
	fault(c.Processors.Rebalance < 0, "Processors.Rebalance", c.Processors.Rebalance, "choose 0 (never) or an interval")
	fault(c.Dispatch.Handlers < 1 || c.Dispatch.Handlers > 1<<16, "Dispatch.Handlers", c.Dispatch.Handlers, "choose 1 to 65536")
	fault(c.Dispatch.BatchMax < 1 || c.Dispatch.BatchMax > 1<<15-1, "Dispatch.BatchMax", c.Dispatch.BatchMax, "choose 1 to 32767")
	fault(c.Dispatch.QueuedRequestsMax < 1 || c.Dispatch.QueuedRequestsMax > 1<<20, "Dispatch.QueuedRequestsMax", c.Dispatch.QueuedRequestsMax, "choose 1 to 1048576")
	fault(c.Dispatch.QueuedPriorityMax < 1 || c.Dispatch.QueuedPriorityMax > 1<<20, "Dispatch.QueuedPriorityMax", c.Dispatch.QueuedPriorityMax, "choose 1 to 1048576")
	fault(c.Memory.RequestBytesMax < c.requestBytesLeast(), "Memory.RequestBytesMax", c.Memory.RequestBytesMax,
		fmt.Sprintf("choose at least %d, for the largest frame and what processors take in advance", c.requestBytesLeast()))
	fault(c.Processors.PackedBytesMax < 1 || c.Processors.PackedBytesMax > slab.ArenaChunkBytes, "Processors.PackedBytesMax", c.Processors.PackedBytesMax, "choose 1 (nothing) to 32768")
	fault(c.Memory.ResponseBytesMax < c.responseMemoryLeast(), "Memory.ResponseBytesMax", c.Memory.ResponseBytesMax,
		fmt.Sprintf("choose at least %d, for small responses and what processors take in advance", c.responseMemoryLeast()))
	fault(c.Dispatch.LatencyTarget < 0, "Dispatch.LatencyTarget", c.Dispatch.LatencyTarget, "choose 0 (no such bound) or more")
	fault(c.Processors.BigFrameBytes < 4<<10, "Processors.BigFrameBytes", c.Processors.BigFrameBytes, "choose at least 4 KiB")
	fault(c.Conns.HandlerFiles < 0, "Conns.HandlerFiles", c.Conns.HandlerFiles, "choose 0 (it holds none) or more")
	choice(&faults, "Conns.WhenFull", c.Conns.WhenFull, whenFulls)
	choice(&faults, "Processors.Assignment", c.Processors.Assignment, assignments)
	c.validateLimits(fault)
	c.validateMeasure(&faults)
	c.validateMemory(&given, memory, fault)
	return configError(append(faults, c.partFaults()...))
}

func choice[T ~string](faults *fault.List, field string, value T, of []T) {
	faults.Add(!slices.Contains(of, value), field, "is %q: choose one of %q", value, of)
}
