package kring

import (
	"fmt"
	"runtime"
	"slices"
	"time"

	"kring/acceptor"
	"kring/engine"
	"kring/fallback/epoll"
	"kring/fallback/portable"
	"kring/internal/fault"
	"kring/internal/slab"
	"kring/processor"
	"kring/uring"
)

// Engine names an engine.
type Engine string

// The engines.
const (
	// EngineAuto is io_uring if this system lets us, else epoll, else portable.
	EngineAuto     Engine = "auto"
	EngineURing    Engine = "io_uring"
	EngineEpoll    Engine = "epoll"
	EnginePortable Engine = "portable"
)

// Dispatch is where the Handler runs.
type Dispatch string

// The ways to dispatch.
const (
	// DispatchPool runs the Handler on a pool of goroutines behind the request
	// channel, as Kafka does. The Handler may block.
	DispatchPool Dispatch = "pool"
	// DispatchInline runs the Handler on the processor: the lowest latency, for
	// a Handler that never blocks, and never calls runtime.Goexit: that ends the
	// processor, as Failed tells.
	DispatchInline Dispatch = "inline"
)

// Accept is who accepts connections.
type Accept string

// The ways to accept.
const (
	// AcceptApart has a goroutine and an engine for each listener, which hand
	// connections to the processors in turn.
	AcceptApart Accept = "apart"
	// AcceptPerProcessor has a listening socket for each processor, on its own
	// engine.
	AcceptPerProcessor Accept = "per-processor"
)

// Gosched is whether a processor lets other goroutines run before it sends and
// sleeps: see Config.Gosched.
type Gosched string

// The ways to yield.
const (
	GoschedAuto Gosched = "auto"
	GoschedOn   Gosched = "on"
	GoschedOff  Gosched = "off"
)

// Wait is how processors sleep.
type Wait string

// The ways to wait.
const (
	// WaitAuto is WaitLocked when inline, WaitParked beside a pool.
	WaitAuto Wait = "auto"
	// WaitLocked holds an OS thread for each processor.
	WaitLocked Wait = "locked"
	// WaitParked sleeps on the poller of the Go runtime.
	WaitParked Wait = "parked"
)

// SlowReader is what happens to a connection whose peer reads too slowly.
type SlowReader string

// The ways to treat slow readers: see Config.SlowReader.
const (
	SlowReaderPause    SlowReader = "pause"
	SlowReaderThrottle SlowReader = "throttle"
	SlowReaderClose    SlowReader = "close"
)

// Config of a Server. The zero value serves on 127.0.0.1:9092 with defaults
// that suit a small broker; each field says its default. Where Kafka has a
// setting of the same meaning, its name is in brackets.
type Config struct {
	// Listeners to bind; default one, PLAINTEXT on 127.0.0.1:9092 [listeners].
	Listeners []ListenerConfig

	// Engine is EngineAuto (default: io_uring if this system lets us, else
	// epoll, else portable) or the name of one, which then must work.
	Engine Engine
	// Dispatch is DispatchPool (default) or DispatchInline.
	Dispatch Dispatch
	// Wait is how processors sleep: WaitAuto (default: locked when inline,
	// parked beside a pool), WaitLocked or WaitParked.
	Wait Wait

	// Gosched is whether a processor that handed requests to the pool lets other
	// goroutines run before it sends and sleeps. A processor that has always
	// something to receive never sleeps, and one that sleeps locked keeps its P of
	// the Go scheduler for a while: the handlers that it has just woken wait for
	// that P, on one or two CPUs up to the 10 ms after which Go takes it away. And
	// what they answer meanwhile leaves in one go. GoschedAuto (default: for a
	// single request only when it waits locked or Go has one P), GoschedOn (always)
	// or GoschedOff. Hurts where CPUs are plenty, by a switch for each pass.
	// Without a pool it does nothing.
	Gosched Gosched
	// Accept is AcceptApart (default) or AcceptPerProcessor: each processor
	// accepts on its own engine, from a listening socket of its own that shares
	// the address with the others' (SO_REUSEPORT), so that no connection changes
	// hands. Helps many short connections on many CPUs, and saves an engine for
	// each listener. Hurts when connections are few: the kernel spreads them by a
	// hash of their addresses and looks at no processor's load; a processor that
	// is busy keeps those waiting that the hash gave it; and what waits on a
	// socket that is closed is reset, where one socket for all would have been
	// drained first. The address is not exclusive either: another process of the
	// same user can share it. Assignment says nothing then. Not where the system has no SO_REUSEPORT.
	Accept Accept
	// Processors is the number of event loops [num.network.threads]; default
	// one per CPU when inline, one per two CPUs beside a pool.
	Processors int
	// Handlers is the number of handler goroutines of the pool
	// [num.io.threads]; default 8, Kafka's.
	Handlers int

	// HandlerBatchMax is how many requests a handler goroutine takes at once at
	// most, fewer when they take long; default 64.
	HandlerBatchMax int

	// QueuedRequestsMax bounds the request channel [queued.max.requests];
	// default 500.
	QueuedRequestsMax int
	// QueuedPriorityMax bounds the priority lane of the request channel, for
	// requests that Priority or their listener lets go before others; default as
	// many as QueuedRequestsMax. They have room and order of their own, and
	// handlers look for them first; but of nine batches that a handler takes at
	// least one is an ordinary one, if there are any.
	QueuedPriorityMax int
	// Priority says whether a request goes before others: its Payload, Conn, API
	// and Version (see APIOf) are there to be looked at. Requests of one connection
	// are still served in their order. It runs on processors and must not block
	// or keep the request. Default: only those of listeners that have priority.
	Priority func(r Request) bool
	// MemoryMax is how much memory the process may use, in bytes (Kafka has none);
	// default: the smallest limit of the cgroups around it, else three quarters of the
	// machine's memory. Defaults of other fields are smaller where it is little, so that
	// no mix of clients gets the process killed; Memory says what is for what. What you
	// set that does not fit is an error, unless only the machine's memory is known. A
	// server within a larger program should be told its part. MemoryMaxLeast is enough
	// for defaults. Negative: no bound.
	MemoryMax int64
	// HandlerMemory is how much of it the Handler takes at most, in bytes. Default 0: it
	// keeps nothing.
	HandlerMemory int64
	// HeldMemoryMax bounds the memory of bytes that were received and can't be cut into
	// requests yet, over all connections; default 128 MiB, or less, see MemoryMax. From
	// half of it on, frames are received one at a time, each into its own memory, so that
	// nothing more is held; that costs a receive more for each. What the kernel had
	// received by then finds room in the other half; if it does not, the connection is
	// closed.
	HeldMemoryMax int64
	// QueuedRequestBytesMax bounds the bytes of all requests received and not
	// answered [queued.max.request.bytes]; default 256 MiB, or less, see MemoryMax (Kafka's
	// is no bound). At least FrameBytesMax plus 192 KiB for each processor. Of what is more
	// than that, up to an eighth of all is for frames that are whole when they are
	// first seen: who begins frames and does not send them can't take it.
	QueuedRequestBytesMax int64
	// LatencyTarget bounds how many requests are with the channel and the handlers
	// by how long they take there: each processor lets as many go as are answered
	// within so long on average, and keeps the others back. Default 0: no such
	// bound. LatencyCounts says which requests are measured and bounded, default
	// all: long polls, which take long because they are asked to, must not be. It
	// runs as Priority does; requests with priority are not bounded.
	LatencyTarget time.Duration
	LatencyCounts func(r Request) bool
	// PipelineMax is how many requests of one connection may be unanswered at
	// once; default 1, Kafka's order. With more, requests of one connection may
	// be handled at the same time; responses leave in the order of requests.
	//
	// Beside a pool, a connection has a share of an eighth of QueuedRequestsMax
	// with the channel and the handlers; and while the channel is full no
	// connection gets more than one there. So a request waits for no more than
	// that share of each other connection, however deep they pipeline.
	PipelineMax int

	// DrainTimeout is how long the connections of what a Reconfigure takes away
	// may take to finish what they have in flight: those of a listener until they
	// close, those of a processor until they go on with another. Default 30
	// seconds, negative: as long as they like.
	DrainTimeout time.Duration
	// Rebalance is how often connections that nothing is going on with move from
	// processors that have more than their share to those that have less; default
	// 0: never, as in Kafka.
	Rebalance time.Duration

	// FrameBytesMax is the largest frame [socket.request.max.bytes]; default
	// 100 MiB, or less where MemoryMax is little. A larger one closes its connection.
	FrameBytesMax int
	// FrameBytesMaxUnauthenticated is the largest frame of a connection that the
	// Handler has not vouched for by Conn.SetAuthenticated, which has one request
	// in flight at a time [sasl.server.max.receive.size]; default 0: all count as
	// authenticated, as on a PLAINTEXT listener.
	FrameBytesMaxUnauthenticated int
	// BigFrameBytes: frames from this size on are received straight into their
	// own memory, so they are never copied; smaller ones pass through the
	// engine's buffers, where one completion brings many. Default 64 KiB: there
	// minimal servers in C, on one machine, took 14 µs of CPU a frame straight
	// and 34 to 39 through buffers of 16 KiB; frames of 16 KiB, straight, only
	// drew level with epoll. docs/experiments.md says how to measure it.
	BigFrameBytes int
	// PackedBytesMax: responses up to this size, their own four bytes of size
	// included, are copied beside their neighbours, so that many leave in one
	// piece; larger ones are sent from where the handler wrote them. Packing
	// pays where clients pipeline small requests: a copy costs less than one
	// more vector. Default 4 KiB; 1: nothing is packed; at most 32 KiB.
	PackedBytesMax int
	// HeldBytesMax is how many bytes may be read ahead of a connection's
	// requests before it is muted; default 256 KiB.
	HeldBytesMax int
	// QueuedResponseBytesMax is how many response bytes may wait on a
	// connection before its next request is started; default 1 MiB.
	QueuedResponseBytesMax int
	// ResponseMemoryMax bounds the memory of responses over all connections: what
	// handlers have from Request.Buffer, what is queued and not sent, and what is read
	// of files; default 128 MiB, or less, see MemoryMax; at least 8 MiB, and 4 MiB and
	// 1.25 for each processor. When little is left, a connection gets its next request
	// served when it has read all that is queued on it; requests of APIs whose responses
	// are large wait in line; a quarter is for responses of up to 64 KiB alone. A
	// response that is larger than all of it goes alone.
	// Request.ResponseRoom tells a Handler how large a response should be.
	ResponseMemoryMax int64
	// SlowReader is what happens to a connection that reaches QueuedResponseBytesMax with more than
	// one response: SlowReaderPause (default), SlowReaderThrottle, which also
	// mutes it for a second, or SlowReaderClose.
	SlowReader SlowReader
	// ThrottleMax bounds how long one answer may throttle its connection
	// (Request.Throttle); default 30 seconds. Kafka bounds some of its quotas by
	// one window of a second, and those for bytes not at all.
	ThrottleMax time.Duration

	// ConnsMax is how many connections may be open at once [max.connections];
	// default: as many as this process has descriptors, less HandlerFiles and a
	// reserve (Kafka's 2^31 ends in a process without descriptors), and as a fifth of
	// MemoryMax is enough for; negative: no bound. WhenFull says what becomes of one more; see Descriptors.
	ConnsMax int
	// HandlerFiles is how many descriptors are kept for files of the Handler: files
	// and sockets come out of one RLIMIT_NOFILE. Default 0: it holds none.
	HandlerFiles int
	// ConnRateMax is how many connections a second may be made, on average over
	// the windows [max.connection.creation.rate]; default 0: no bound. One that
	// is over it waits, for one window at most.
	ConnRateMax float64
	// ConnsPerIPMax is how many connections one remote address may have open at
	// once [max.connections.per.ip]; default 0: no bound. NoConns lets in only
	// who has an override in PerIP (Kafka's 0). One more is closed at once.
	ConnsPerIPMax int
	// ConnRatePerIPMax is how many connections a second one remote address may
	// make [connection_creation_rate of the default IP]; default 0: no bound. One
	// more is not served: it is held open until the rate is back, for one window
	// at most, and then closed, so that its client does not come back at once
	// (KIP-612).
	ConnRatePerIPMax float64
	// PerIP has other bounds for some addresses
	// [max.connections.per.ip.overrides, connection_creation_rate of an IP].
	PerIP []AddressLimit
	// ParkedMax is how many connections over their address's rate are held open
	// at once (Kafka has no bound); default 1024, or a twentieth of the
	// descriptors if that is less; negative: they are closed at once.
	ParkedMax int
	// ProtectedListener is the name of a listener whose connections neither wait
	// for ConnsMax nor count in ConnRateMax, if there are others
	// [inter.broker.listener.name]. When one of them goes over ConnsMax, one
	// connection of another listener is closed: one that is closing already, else
	// the longest idle.
	ProtectedListener string
	// WhenFull is WhenFullWait (default, Kafka's): while there is no place, or the
	// rate is over its bound, nothing more is accepted, and clients wait in the
	// kernel's queue; or WhenFullRefuse: they are closed at once.
	WhenFull WhenFull
	// Assignment is AssignLeastConns (default): a new connection goes to the
	// processor that has the fewest; or AssignRoundRobin, Kafka's. They are the
	// same until connections end; then turns alone let one processor keep more
	// than the others for as long as clients stay.
	Assignment Assignment
	// QuotaWindows of QuotaWindow each are what rates are measured over
	// [quota.window.num, quota.window.size.seconds]; default 11 of one second.
	QuotaWindows int
	QuotaWindow  time.Duration
	// Backlog is the kernel's queue of connections to be accepted
	// [socket.listen.backlog.size]; default 1024 (Kafka's 50 drops connections
	// in a burst).
	Backlog int
	// IdleTimeout closes a connection without traffic and without a request in
	// flight [connections.max.idle.ms]; default 10 minutes, negative: never.
	IdleTimeout time.Duration
	// FrameTimeout closes a connection that has begun a frame and sends nothing of it
	// for so long, or has not sent all of it after twice that and a second for each 256
	// KiB (Kafka has none); default 30 seconds, negative: never. A frame that was begun
	// holds its size of QueuedRequestBytesMax.
	FrameTimeout time.Duration
	// WriteTimeout closes a connection whose peer takes nothing of a response
	// for so long (Kafka has none); default 30 seconds, negative: never. While others
	// wait for the memory of responses (ResponseMemoryMax), who takes nothing of more
	// than 4 KiB has a tenth of it.
	WriteTimeout time.Duration
	// Socket options of accepted connections.
	Socket engine.SocketOptions

	// Settings of the engines.
	URing    uring.Config
	Epoll    epoll.Config
	Portable portable.Config

	// APIOf reads the API key and version of a payload, for Stats; key is -1 when
	// it has none. Default: the Handler's, if it is an APIReader; otherwise all
	// requests are of one API. Deprecated names versions that clients should not
	// use any more: who does is counted; default: none. Both run on processors
	// and must not block or keep the payload.
	APIOf      func(payload []byte) (key, version int16)
	Deprecated func(key, version int16) bool

	Events Events
}

// NoPlace is what there was when a connection found no place.
type NoPlace = acceptor.NoPlace

// Events are told what a program may want to log. Any may be nil. They must
// not block: all but HandlerPanicked in a pool run on the goroutine of an
// acceptor or a processor.
type Events struct {
	ConnOpened func(c *Conn)
	ConnClosed func(c *Conn, why CloseReason)
	// AcceptFailed: accepting on a listener failed and starts again after pause.
	AcceptFailed func(listener string, err error, pause time.Duration)
	// NoPlace: a connection found no place (ConnsMax of the server or of a listener)
	// and waits, or was refused, as WhenFull says. At most once a minute.
	NoPlace func(NoPlace)
	// HandlerPanicked: Handle panicked; the connection of r is closed if it had not
	// been answered (Request.ClosedByPanic).
	HandlerPanicked func(r Request, v any, stack []byte)
}

// withDefaults fills what is zero.
func (c Config) withDefaults() Config {
	c, _ = c.planned()
	return c
}

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
	orElse(&c.Dispatch, DispatchPool)
	orElse(&c.Accept, AcceptApart)
	orElse(&c.Gosched, GoschedAuto)
	orElse(&c.Wait, WaitAuto)
	if c.Wait == WaitAuto {
		c.Wait = WaitParked
		if c.Dispatch == DispatchInline {
			c.Wait = WaitLocked
		}
	}
	perCPU := runtime.GOMAXPROCS(0)
	if c.Dispatch != DispatchInline {
		perCPU = max(1, perCPU/2)
	}
	orElse(&c.Processors, perCPU)
	orElse(&c.Handlers, 8)
	orElse(&c.HandlerBatchMax, 64)
	orElse(&c.QueuedRequestsMax, 500)
	orElse(&c.QueuedPriorityMax, c.QueuedRequestsMax)
	orElse(&c.PipelineMax, 1)
	orElse(&c.BigFrameBytes, 64<<10)
	orElse(&c.PackedBytesMax, 4<<10)
	orElse(&c.HeldBytesMax, 256<<10)
	orElse(&c.QueuedResponseBytesMax, 1<<20)
	orElse(&c.ParkedMax, acceptor.ParkedMaxDefault())
	orElse(&c.WhenFull, WhenFullWait)
	orElse(&c.Assignment, AssignLeastConns)
	orElse(&c.SlowReader, SlowReaderPause)
	orElse(&c.ThrottleMax, 30*time.Second)
	orElse(&c.Backlog, 1024)
	orElse(&c.IdleTimeout, 10*time.Minute)
	orElse(&c.WriteTimeout, 30*time.Second)
	orElse(&c.FrameTimeout, 30*time.Second)
	orElse(&c.DrainTimeout, 30*time.Second)
	return c, c.planMemory()
}

// responseMemoryLeast is the memory for responses below which its quarter for small ones
// might all be hoarded.
func (c Config) responseMemoryLeast() int64 {
	return max(8<<20, 4*(1<<20+int64(c.Processors)*processor.HoardedOutputMax))
}

// requestBytesLeast is the byte capacity below which the largest frame might
// wait for ever.
func (c Config) requestBytesLeast() int64 {
	largest := c.FrameBytesMax
	for _, l := range c.Listeners {
		largest = max(largest, l.FrameBytesMax)
	}
	return int64(largest) + c.hoardedMost()
}

// hoardedMost is what of the byte capacity may be reserved for no frame.
func (c *Config) hoardedMost() int64 { return int64(c.Processors)*processor.HoardedBytesMax + 4096 }

// claimsSpare is how many bytes of requests frames that are not whole leave to others.
func (c Config) claimsSpare() int64 {
	return max(0, min(c.QueuedRequestBytesMax/8, c.QueuedRequestBytesMax-c.requestBytesLeast()))
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
	c, memory := c.planned()
	var faults fault.List
	fault := func(bad bool, field string, value any, remedy string) {
		faults.Add(bad, field, "is %v: %s", value, remedy)
	}
	oneOf(&faults, "Engine", c.Engine, EngineAuto, EngineURing, EngineEpoll, EnginePortable)
	oneOf(&faults, "Dispatch", c.Dispatch, DispatchPool, DispatchInline)
	oneOf(&faults, "Gosched", c.Gosched, GoschedAuto, GoschedOn, GoschedOff)
	oneOf(&faults, "Accept", c.Accept, AcceptApart, AcceptPerProcessor)
	oneOf(&faults, "Wait", c.Wait, WaitAuto, WaitLocked, WaitParked)
	c.validateListeners(fault)
	oneOf(&faults, "SlowReader", c.SlowReader, SlowReaderPause, SlowReaderThrottle, SlowReaderClose)
	fault(c.ThrottleMax < time.Millisecond, "ThrottleMax", c.ThrottleMax, "choose at least 1ms")
	fault(c.Processors < 1 || c.Processors > 1024, "Processors", c.Processors, "choose 1 to 1024")
	fault(c.Rebalance < 0, "Rebalance", c.Rebalance, "choose 0 (never) or an interval")
	fault(c.Handlers < 1 || c.Handlers > 1<<16, "Handlers", c.Handlers, "choose 1 to 65536")
	fault(c.HandlerBatchMax < 1 || c.HandlerBatchMax > 1<<15-1, "HandlerBatchMax", c.HandlerBatchMax, "choose 1 to 32767")
	fault(c.QueuedRequestsMax < 1 || c.QueuedRequestsMax > 1<<20, "QueuedRequestsMax", c.QueuedRequestsMax, "choose 1 to 1048576")
	fault(c.QueuedPriorityMax < 1 || c.QueuedPriorityMax > 1<<20, "QueuedPriorityMax", c.QueuedPriorityMax, "choose 1 to 1048576")
	fault(c.QueuedRequestBytesMax < c.requestBytesLeast(), "QueuedRequestBytesMax", c.QueuedRequestBytesMax,
		fmt.Sprintf("choose at least %d, for the largest frame and what processors take in advance", c.requestBytesLeast()))
	fault(c.PackedBytesMax < 1 || c.PackedBytesMax > slab.ArenaChunkBytes, "PackedBytesMax", c.PackedBytesMax, "choose 1 (nothing) to 32768")
	fault(c.ResponseMemoryMax < c.responseMemoryLeast(), "ResponseMemoryMax", c.ResponseMemoryMax,
		fmt.Sprintf("choose at least %d, for small responses and what processors take in advance", c.responseMemoryLeast()))
	fault(c.LatencyTarget < 0, "LatencyTarget", c.LatencyTarget, "choose 0 (no such bound) or more")
	fault(c.BigFrameBytes < 4<<10, "BigFrameBytes", c.BigFrameBytes, "choose at least 4 KiB")
	fault(c.HandlerFiles < 0, "HandlerFiles", c.HandlerFiles, "choose 0 (it holds none) or more")
	oneOf(&faults, "WhenFull", c.WhenFull, WhenFullWait, WhenFullRefuse)
	oneOf(&faults, "Assignment", c.Assignment, AssignLeastConns, AssignRoundRobin)
	c.validateLimits(fault)
	c.validateMemory(memory, fault)
	return configError(append(faults, c.partFaults()...))
}

func oneOf[T ~string](faults *fault.List, field string, value T, of ...T) {
	faults.Add(!slices.Contains(of, value), field, "is %q: choose one of %q", value, of)
}
