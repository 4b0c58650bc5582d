package uring

import (
	"errors"
	"strings"
	"time"

	"kring/internal/fault"
)

// Config of a Network. The zero value works.
type Config struct {
	// Entries is the submission queue of each engine, in SQEs; the kernel
	// rounds it up to a power of two. A full queue is submitted early, nothing
	// is lost; 64 bytes each, so the default of 512 stays in the first cache.
	// 1 to 32768.
	Entries int

	// CQEntries is the completion queue, in CQEs of 16 bytes. It should hold
	// what may complete between two Polls, a receive and a send for each
	// connection that the Buffers let in at once: when it is full the kernel
	// keeps the rest on a slow list. Default: 8192, at least twice Entries.
	// Kernel: 5.5.
	CQEntries int

	// Buffers is the most receive buffers an engine may have, a power of two
	// up to 32768; 1024 by default. It bounds receive memory: Buffers ×
	// BufferBytes per engine, mapped at once but resident only where used.
	// Kernel: 5.19.
	Buffers int

	// BuffersHot is how many of them the kernel holds at a time to begin with;
	// 128 by default. It takes buffers in turn, so a small number stays in
	// the processor's cache. The engine doubles it up to Buffers when the
	// kernel ran out, and halves it again when most stay unused.
	BuffersHot int

	// BufferBytes is the size of each buffer; 20 KiB by default: a producer's usual
	// batch of 16 KiB, with what its request adds. Larger frames are received straight into their own memory.
	// 64 bytes to 1 MiB.
	BufferBytes int

	// LargeBuffers has buffers of 72 KiB beside them, a sixteenth of Buffers and at most 64,
	// for frames that fit into none of the others: one receive brings a frame of up to 64
	// KiB whole, where else its size is received first. They are taken when bytes are
	// there, so a connection that waits costs nothing. With Recv "multishot" only, and not
	// with Bundles or Incremental.
	// Kernel: 5.19.
	LargeBuffers Switch

	// SendBytesMax limits what one Send hands to the kernel, by default 1 MiB and
	// 64 KiB: a mebibyte of records with what frames it in one piece. The copy
	// happens inside the submitting call and holds up everybody else. The rest
	// of a larger Send is the owner's next one.
	SendBytesMax int

	// SendBuffersMax limits the buffers that one Send gathers, 128 by default
	// and at most 1024 (the kernel's UIO_MAXIOV).
	SendBuffersMax int

	// SubmitAll goes on after an operation that was refused, where the kernel
	// would otherwise leave the rest of the batch for the next call. Helps
	// always; Off shows what it is worth. Kernel: 5.18.
	SubmitAll Switch

	// CoopTaskrun lets the kernel finish work when its thread next enters it,
	// instead of interrupting that thread. Helps busy engines; hurts a parked
	// engine beside handlers that compute for milliseconds without a call: what
	// came for it waits for them, up to 10 ms. Auto: unless DeferTaskrun does
	// more. Kernel: 5.19.
	CoopTaskrun Switch

	// TaskrunFlag shows in mapped memory when there is work to finish. Off
	// costs a call of the kernel for every look. Needs CoopTaskrun or
	// DeferTaskrun. Kernel: 5.19.
	TaskrunFlag Switch

	// SingleIssuer promises that one thread submits, which saves the kernel a
	// lock. Locked engines only: a parked engine changes threads. Kernel: 6.0.
	SingleIssuer Switch

	// DeferTaskrun finishes work only when the engine asks for completions, so
	// that they come in batches, on a cache that is warm. Helps most of all
	// flags; hurts nothing measured. Locked engines only, and with
	// SingleIssuer. Kernel: 6.1.
	DeferTaskrun Switch

	// NoSQArray takes submissions in the order of the queue, without a second
	// array of indices. Saves a memory access for each. Kernel: 6.6.
	NoSQArray Switch

	// NoIOWait keeps a sleeping engine from being counted as waiting for I/O,
	// which makes an idle machine look busy and holds up frequency governors.
	// Off: some governors raise the clock for it. Kernel: 6.15.
	NoIOWait Switch

	// Clamp makes the kernel cut Entries and CQEntries to its own limits; Off
	// makes New fail instead. Kernel: 5.6.
	Clamp Switch

	// SQPoll has a thread of the kernel take submissions for so long after the
	// last one before it sleeps, so that a busy engine submits without a call.
	// Helps where a CPU for each engine is to spare and calls are dear
	// (mitigations, virtual machines); hurts everywhere else: the thread takes
	// a CPU from those who compute, every operation crosses CPUs, and a thread
	// that slept must be woken by a call. Replaces CoopTaskrun, TaskrunFlag and
	// DeferTaskrun, which are about work on the submitting thread. 0 (default,
	// off), or 1 ms to 10 s. Kernel: 5.11 without privileges.
	SQPoll time.Duration

	// SQPollCPUs binds those threads, one CPU each in turn. Default: none, the
	// scheduler chooses.
	SQPollCPUs []int

	// RegisteredRing calls the kernel with an index of the ring's descriptor
	// that is the thread's own. Saves the look-up and its reference count,
	// which shows in processes of many threads. Locked engines only. Off by
	// default: no gain measured with few threads. Kernel: 5.18.
	RegisteredRing bool

	// Restrict lets the ring run only the operations that the engine uses, for
	// good: whoever takes over the process can't use it for more. Costs the
	// look at a bitmap for each operation. Off by default. Kernel: 5.10.
	Restrict bool

	// IOWQWorkersMax bounds the kernel's threads that read files for each ring.
	// Only files need them, and only on a file system that can't read without one
	// (FUSE, NFS, overlay): so many reads may wait for a disk there at once, and one
	// more waits for them. The kernel starts a thread when there is a read for it,
	// and ends it when there is none for 5 s; each has a stack of 16 KiB and counts as
	// a process of the user (RLIMIT_NPROC, pids cgroup). The kernel keeps the limit by
	// the thread that submits: where the rings of one process differ in it, a parked
	// engine has that of the ring which its thread served first. 1 to 1024, 16 by default.
	// Kernel: 5.15.
	IOWQWorkersMax int

	// Accept is AcceptMultishotMode (default: one submission accepts until it is
	// cancelled) or AcceptSingleMode (one for each connection). Single costs a
	// submission more each, and helps only on kernels whose multishot accept is
	// in doubt: 6.6 to 6.8 could give a wrong descriptor under a flood.
	// Kernel: 5.5 for single; 5.19 for multishot.
	Accept string

	// DirectFDs gives each ring a table of the sockets that it serves, and names
	// them by their place in it, which saves the kernel the look-up of a
	// descriptor and its reference count for each operation. Helps processes of
	// many threads; one connection costs two operations more, so short ones are
	// hurt. Sockets are accepted as ordinary descriptors all the same, and put
	// into the table of the engine that serves them: a direct descriptor belongs
	// to one ring for good, and addresses, options, shutdown(2) and other engines
	// need a number, so accepting into the table would have to make one again
	// (FIXED_FD_INSTALL). Off by default: no gain measured with few threads.
	// Kernel: 6.13; before, a table could keep a closed socket open.
	DirectFDs bool

	// Recv is RecvMultishotMode (default: one submission for the life of a
	// connection, but while receives take turns) or RecvSingleMode (one for each
	// completion, with the kernel's hint whether more is there). Single helps
	// connections that rarely receive and are often muted. Kernel: 6.0 for multishot; single is used
	// before. RecvFixedMode reads into registered buffers (READ_FIXED), which
	// saves the kernel's look-up of their pages. It helps nothing measured,
	// because a socket's data is copied all the same; it hurts, because a
	// buffer stays with each connection that waits: those for which FixedBytes
	// has none left receive as RecvSingleMode. Kernel: 5.1.
	Recv string

	// Bundles lets one completion bring as much as several buffers hold. Helps
	// connections that send more than a buffer at a time, by fewer completions;
	// does nothing for small frames. Off by default: kernels 6.13 and 6.14 could
	// mix up the order of the bytes. Not with Incremental. Kernel: 6.10.
	Bundles bool

	// Incremental lets receives share a buffer, one behind the other, where
	// otherwise each takes one whole. Helps many small receives that are kept
	// for a while: the same memory holds more of them, so BufferBytes may be
	// large. Hurts when one slow request keeps a buffer that hundreds of others
	// lie in. Off by default; New refuses it on kernels whose completions come
	// in another order than the bytes (before 6.15, without its fix). Kernel: 6.12.
	Incremental bool

	// PollFirst makes a receive wait for data before it looks. Auto: unless
	// the kernel said that there is more, or the receive has waited for its
	// turn. On: also then. Off: never; that takes a buffer for each look that
	// finds nothing, and helps where data is always there. Kernel: 5.19.
	PollFirst Switch

	// ZeroCopyBytes: sends from this size on go without a copy; what they point
	// at stays the kernel's until the peer has acknowledged it. Helps large
	// responses to other machines, from about 16 KiB on. Hurts small ones; and
	// peers that only read, because a connection's next send waits for that
	// acknowledgement, which TCP may delay by 40 ms; and loopback, where the
	// kernel copies after all: a connection on which it reported that a few
	// times in a row copies at once. Pinned memory counts against the memlock
	// limit; beyond it sends are copied, too. A connection that is shut down
	// before its peer has everything is reset. 0 (default): never. Kernel: 6.0;
	// 6.1 for gathered sends, 6.2 for the reports.
	ZeroCopyBytes int

	// ZeroCopyFixed makes sends without a copy use registered memory where
	// they lie in it, which saves the look-up and the pinning of pages for
	// each. Needs ZeroCopyBytes, and helps and hurts where it does. Kernel: 6.0;
	// 6.15 for gathered sends, which go unregistered before.
	ZeroCopyFixed bool

	// Send is SendPlainMode (default) or SendFixedMode: what lies in registered
	// memory is written (WRITE_FIXED), which saves the look-up of pages. Hurts:
	// a write knows no flags, so the kernel neither goes on by itself after a
	// short one nor spares the process SIGPIPE. Kernel: 5.1; 6.15 for gathered
	// sends, which go unregistered before.
	Send string

	// FixedBytes is how much memory is registered for Recv, Send and
	// ZeroCopyFixed: so much of the owner's, and with RecvFixedMode as much
	// again for the engine's own buffers. Each engine pins both, and pinned
	// pages are resident and count against the memlock limit (often 8 MiB
	// unless privileged). 1 MiB by default; 64 KiB to 1 GiB, whole pages.
	// Kernel: 5.1.
	FixedBytes int

	// Wake is how another goroutine wakes a locked engine: WakeEventfd
	// (default: a write, read by the ring) or WakeMsgRing (a completion posted
	// on the ring by a registration, which needs no read to be armed again).
	// They cost the same where measured. Locked engines only. Kernel: 6.13 for
	// msg-ring.
	Wake string

	// QuietWait makes an engine wait a little (1 to 2 ms) without telling the Go
	// scheduler before it waits as long as it takes, as long as that pays. Told,
	// the runtime's monitor takes the thread's P away if it finds it in the same
	// call a tick later, starts another thread with it, and looks every 20 µs from
	// then on; a parked engine is woken by the runtime's poller besides. Helps engines
	// that are neither idle nor busy; delays goroutines that wait for just this P, so
	// a parked engine does it only while no handler has a request of its owner's. Not
	// with MinWait, which waits longer. Auto is on.
	QuietWait Switch

	// BusyPoll is how long an engine looks for completions before it sleeps.
	// Saves the price of sleeping and waking where answers come back within
	// that time; burns a CPU, and hurts whenever somebody else needs it. So looks
	// in vain become shorter and then rare until one pays again. 0 (default) to
	// 1 ms.
	BusyPoll time.Duration
	// BusyPollFreeCPUs is how many of the machine's CPUs looking engines leave
	// alone: one that would take another sleeps at once, and a machine that has
	// no more refuses BusyPoll. 1 to 1024, 2 by default: the peer, or the
	// handlers, and the rest.
	BusyPollFreeCPUs int
	// BusyPollForced looks whatever CPUs are free.
	BusyPollForced bool

	// MinWait makes a sleeping engine gather: it wakes for
	// MinWaitCompletions, or for fewer after MinWait. Raises throughput under
	// load, by fewer calls; adds up to MinWait to the latency of a quiet
	// connection. Locked engines only. 0 (default, off) to 10 ms. Kernel: 6.12.
	MinWait time.Duration
	// MinWaitCompletions is how many end the gathering; 8 by default, 2 to 4096.
	MinWaitCompletions int

	// NAPIBusyPoll is how long the kernel polls the network card's queue itself
	// while a locked engine waits. Lower latency on real cards that support
	// it, for a CPU of load; loopback has no queue to poll. 0 (default, off) to
	// 1 ms. Kernel: 6.9.
	NAPIBusyPoll time.Duration

	// CPUs binds the threads of locked engines, one CPU each in turn. Helps
	// where the card's interrupts are bound as well; hurts where other
	// processes need those CPUs, because the scheduler can't move the engine.
	// Default: none.
	CPUs []int

	// KernelProfile is the kernel to serve as: what came after it is left
	// unused, so that the ways for older kernels can be run and measured on
	// this one. One of KernelProfiles; default "max", everything there is. It
	// takes away only: a kernel older than the profile stays what it is. Below
	// 5.19 New fails, as it does there.
	KernelProfile string

	// buffersPlanned says that Buffers is what WithBuffersIn found, and nobody's setting.
	buffersPlanned bool
}

// ErrSetting marks an error of New that is the Config's and not the machine's:
// another engine must not take its place, because it would serve without what was
// asked for. What a kernel lacks is no such error.
var ErrSetting = errors.New("wrong setting")

// settingError is an ErrSetting with its own text.
type settingError struct{ error }

func (e settingError) Unwrap() []error { return []error{e.error, ErrSetting} }

const (
	entriesMax     = 32768
	buffersMax     = 32768
	sendBuffersMax = 1024
	// bufferBytesMax of receive buffers for an engine, as the other engines have it.
	bufferBytesMax = 1 << 30
)

func (c Config) withDefaults() Config {
	for i := range settings {
		settings[i].setDefault(&c)
	}
	if c.KernelProfile == "" {
		c.KernelProfile = profileMax
	}
	return c
}

// needsFixed: something asked for needs registered memory of the owner's.
func (c *Config) needsFixed() bool {
	return c.Recv == RecvFixedMode || c.Send == SendFixedMode || c.ZeroCopyFixed
}

// BufferMemory is what receive buffers of an engine take at most, in bytes.
func (c Config) BufferMemory() int64 {
	c = c.withDefaults()
	return int64(c.Buffers)*int64(c.BufferBytes) + int64(c.largeCount())*largeBufferBytes
}

// WithBuffersIn gives Buffers, if it is not set: its default, or fewer if that takes more
// than so many bytes. Changed does not name it.
func (c Config) WithBuffersIn(bytes int64) Config {
	d := c.withDefaults()
	for c.Buffers == 0 && d.Buffers > 16 && d.BufferMemory() > bytes {
		d.Buffers /= 2
	}
	c.Buffers, c.buffersPlanned = d.Buffers, c.buffersPlanned || c.Buffers == 0
	return c
}

// Validate reports every fault at once.
func (c Config) Validate() error {
	c = c.withDefaults()
	var f fault.List
	for i := range settings {
		settings[i].validate(&c, &f)
	}
	f.Add(!isProfile(c.KernelProfile), "KernelProfile", "is %q: give one of %s", c.KernelProfile, strings.Join(KernelProfiles(), ", "))
	return f.Err(configPrefix)
}

// configPrefix stands before the fields of Config in errors.
const configPrefix = "uring: Config."
