package uring

import (
	"os"
	"runtime"
	"strings"
	"time"

	"kring/engine"
	"kring/internal/fault"
)

func (c *Config) validateTechniques(f *fault.List) {
	for _, s := range c.switches() {
		f.Add(*s.value > Off, s.name, "is %d: give Auto, On or Off", uint8(*s.value))
	}
	f.Add(c.BusyPollFreeCPUs < 1 || c.BusyPollFreeCPUs > 1024, "BusyPollFreeCPUs", "is %d: give 1 to 1024, or 0 for the default", c.BusyPollFreeCPUs)
	f.Add(c.IOWQWorkersMax < 1 || c.IOWQWorkersMax > 1024, "IOWQWorkersMax", "is %d: give 1 to 1024, or 0 for the default", c.IOWQWorkersMax)
	f.Add(c.Accept != AcceptMultishotMode && c.Accept != AcceptSingleMode, "Accept", "is %q: give %q or %q", c.Accept, AcceptMultishotMode, AcceptSingleMode)
	f.Add(c.Recv != RecvMultishotMode && c.Recv != RecvSingleMode && c.Recv != RecvFixedMode,
		"Recv", "is %q: give %q, %q or %q", c.Recv, RecvMultishotMode, RecvSingleMode, RecvFixedMode)
	f.Add(c.Send != SendPlainMode && c.Send != SendFixedMode, "Send", "is %q: give %q or %q", c.Send, SendPlainMode, SendFixedMode)
	c.validateFixed(f)
	f.Add(c.Wake != WakeEventfd && c.Wake != WakeMsgRing, "Wake", "is %q: give %q or %q", c.Wake, WakeEventfd, WakeMsgRing)
	for _, d := range []struct {
		name  string
		value time.Duration
		most  time.Duration
	}{{"BusyPoll", c.BusyPoll, time.Millisecond}, {"MinWait", c.MinWait, 10 * time.Millisecond}, {"NAPIBusyPoll", c.NAPIBusyPoll, time.Millisecond}} {
		f.Add(d.value < 0 || d.value > d.most, d.name, "is %v: give 0 (off) to %v", d.value, d.most)
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"MinWait", c.MinWait}, {"NAPIBusyPoll", c.NAPIBusyPoll}} {
		f.Add(d.value > 0 && d.value < time.Microsecond, d.name, "is %v: the kernel counts in microseconds, give 1µs or more", d.value)
	}
	f.Add(c.SQPoll < 0 || c.SQPoll > 10*time.Second || c.SQPoll > 0 && c.SQPoll < time.Millisecond,
		"SQPoll", "is %v: the kernel counts in milliseconds, give 0 (off) or 1ms to 10s", c.SQPoll)
	f.Add(c.MinWait > 0 && (c.MinWaitCompletions < 2 || c.MinWaitCompletions > 4096),
		"MinWaitCompletions", "is %d: give 2 to 4096, or 0 for the default", c.MinWaitCompletions)
	f.Add(c.ZeroCopyBytes < 0 || c.ZeroCopyBytes > 1<<30, "ZeroCopyBytes", "is %d: give 0 (never) to 1 GiB", c.ZeroCopyBytes)
	f.Add(c.ZeroCopyBytes > c.SendBytesMax,
		"ZeroCopyBytes", "is %d, and no send is larger than SendBytesMax, %d: change one of them", c.ZeroCopyBytes, c.SendBytesMax)
	for _, cpu := range c.CPUs {
		f.Add(cpu < 0 || cpu > 1023, "CPUs", "has %d: give numbers from 0 to 1023", cpu)
	}
	for _, cpu := range c.SQPollCPUs {
		f.Add(cpu < 0 || cpu > 1023, "SQPollCPUs", "has %d: give numbers from 0 to 1023", cpu)
	}
	f.Add(!isProfile(c.KernelProfile), "KernelProfile", "is %q: give one of %s", c.KernelProfile, strings.Join(KernelProfiles(), ", "))
	c.excluded(f)
}

func (c *Config) validateFixed(f *fault.List) {
	least, page := 64<<10, os.Getpagesize()
	if c.Recv == RecvFixedMode {
		least = max(least, c.BufferBytes)
	}
	f.Add(c.FixedBytes < least || c.FixedBytes > 1<<30,
		"FixedBytes", "is %d: give %d to 1 GiB (the limit of a registered buffer), or 0 for the default", c.FixedBytes, least)
	f.Add(c.FixedBytes%page != 0, "FixedBytes", "is %d: give a multiple of %d, the page", c.FixedBytes, page)
	f.Add(c.Recv == RecvFixedMode && c.FixedBytes/max(c.BufferBytes, 1) > buffersMax,
		"FixedBytes", "is %d, more than %d buffers of %d: change one of them", c.FixedBytes, buffersMax, c.BufferBytes)
}

// needsFixed: something asked for needs registered memory of the owner's.
func (c *Config) needsFixed() bool {
	return c.Recv == RecvFixedMode || c.Send == SendFixedMode || c.ZeroCopyFixed
}

// excluded are the combinations that the kernel refuses, or that do nothing.
func (c *Config) excluded(f *fault.List) {
	f.Add(c.DeferTaskrun == On && c.SingleIssuer == Off,
		"DeferTaskrun", "is On and SingleIssuer Off: the kernel defers work only for a single issuer; change one of them")
	f.Add(c.TaskrunFlag == On && c.CoopTaskrun == Off && (c.DeferTaskrun == Off || c.SingleIssuer == Off),
		"TaskrunFlag", "is On without CoopTaskrun and DeferTaskrun: the kernel has nothing to flag; allow one of them")
	f.Add(c.SQPoll > 0 && (c.CoopTaskrun == On || c.TaskrunFlag == On || c.DeferTaskrun == On),
		"SQPoll", "is %v with CoopTaskrun, TaskrunFlag or DeferTaskrun On: the kernel's thread submits, so there is nothing to hold back on the engine's; leave them at auto", c.SQPoll)
	f.Add(len(c.SQPollCPUs) > 0 && c.SQPoll == 0, "SQPollCPUs", "without SQPoll does nothing: set SQPoll, or leave both")
	f.Add(c.Bundles && c.Incremental,
		"Bundles", "and Incremental are both set: the kernel does not say which part of which buffer a bundle fills; choose one")
	f.Add(c.BusyPoll > 0 && !c.BusyPollForced && runtime.NumCPU() <= c.BusyPollFreeCPUs,
		"BusyPoll", "is %v on %d CPUs: it would take the CPU that the answer needs; set BusyPollForced to try nevertheless", c.BusyPoll, runtime.NumCPU())
	f.Add(c.BusyPollForced && c.BusyPoll == 0, "BusyPollForced", "without BusyPoll does nothing: set BusyPoll, or leave both")
	f.Add(c.ZeroCopyFixed && c.ZeroCopyBytes == 0, "ZeroCopyFixed", "without ZeroCopyBytes does nothing: set ZeroCopyBytes, or leave both")
	f.Add(c.FixedBytes != 1<<20 && !c.needsFixed(), "FixedBytes", "without Recv or Send %q or ZeroCopyFixed does nothing: set one of them, or leave it out", SendFixedMode)
	f.Add(c.QuietWait == On && c.MinWait > 0, "QuietWait", "is On with MinWait, which waits longer than is good unsaid: leave it at auto")
	f.Add(c.MinWaitCompletions != 0 && c.MinWait == 0, "MinWaitCompletions", "without MinWait does nothing: set MinWait, or leave both")
}

// ValidateFor reports what an engine that waits like this can't use. Such an
// engine does without; a program should refuse.
func (c Config) ValidateFor(w engine.Wait) error {
	if w == engine.WaitLocked {
		return nil
	}
	c = c.withDefaults()
	var f fault.List
	const threads = " for engines that wait parked: they change threads; wait locked, or leave it out"
	const asleep = " for engines that wait parked: they sleep on Go's poller; wait locked, or leave it out"
	f.Add(c.SingleIssuer == On, "SingleIssuer", "is On"+threads)
	f.Add(c.DeferTaskrun == On, "DeferTaskrun", "is On"+threads)
	f.Add(c.RegisteredRing, "RegisteredRing", "is set"+threads)
	f.Add(len(c.CPUs) > 0, "CPUs", "are set"+threads)
	f.Add(c.Wake == WakeMsgRing, "Wake", "is %q"+asleep, c.Wake)
	f.Add(c.MinWait > 0, "MinWait", "is set"+asleep)
	f.Add(c.NAPIBusyPoll > 0, "NAPIBusyPoll", "is set"+asleep)
	return f.Err(configPrefix)
}

// named is a switch with the name of its field.
type named struct {
	name  string
	value *Switch
}

func (c *Config) switches() []named {
	return []named{
		{"SubmitAll", &c.SubmitAll}, {"CoopTaskrun", &c.CoopTaskrun}, {"TaskrunFlag", &c.TaskrunFlag},
		{"SingleIssuer", &c.SingleIssuer}, {"DeferTaskrun", &c.DeferTaskrun}, {"NoSQArray", &c.NoSQArray},
		{"NoIOWait", &c.NoIOWait}, {"Clamp", &c.Clamp}, {"PollFirst", &c.PollFirst}, {"QuietWait", &c.QuietWait},
	}
}
