package kring

import (
	"time"

	"kring/engine"
	"kring/fallback/epoll"
	"kring/fallback/portable"
	"kring/uring"
)

// Config of a Server. The zero value serves on 127.0.0.1:9092 with defaults
// that suit a small broker. Its fields stand in groups; each field says its default.
// Where Kafka has a setting of the same meaning, its name is in brackets.
type Config struct {
	// Listeners to bind; default one, PLAINTEXT on 127.0.0.1:9092 [listeners].
	Listeners []ListenerConfig
	// Conns is who may connect, and how many.
	Conns ConnsConfig
	// Limits bound what one connection may have the Server do and hold.
	Limits LimitsConfig
	// Timeouts end connections that do nothing, or take too long.
	Timeouts TimeoutsConfig
	// Memory bounds what is held over all connections.
	Memory MemoryConfig
	// Dispatch is where the Handler runs, and in which order requests go to it.
	Dispatch DispatchConfig
	// Processors are the event loops that own the connections.
	Processors ProcessorsConfig

	// Engine is EngineAuto (default: io_uring if this system lets us, else
	// epoll, else portable) or the name of one, which then must work.
	Engine Engine
	// Settings of the engines.
	URing    uring.Config
	Epoll    epoll.Config
	Portable portable.Config
	// Socket options of accepted connections.
	Socket engine.SocketOptions

	// Measure is what is measured beside the counts that are always there.
	Measure MeasureConfig
	Events  Events
}

// ConnsConfig says who may connect, and how many: Config.Conns.
type ConnsConfig struct {
	// Max is how many connections may be open at once [max.connections]. Default: as
	// many as this process has descriptors, less HandlerFiles and a reserve (Kafka's
	// 2^31 ends in a process without descriptors), and as a fifth of Memory.BytesMax is
	// enough for. Negative: no bound. WhenFull says what happens to one more;
	// Config.Descriptors has the plan.
	Max int
	// RateMax is how many connections a second may be made, on average over the
	// windows [max.connection.creation.rate]. Default 0: no bound. A connection over
	// it waits, for one window at most.
	RateMax float64
	// PerIPMax is how many connections one remote address may have open at once
	// [max.connections.per.ip]. Default 0: no bound. One more is closed at once. NoConns
	// admits only addresses that have an override in PerIP (Kafka's 0).
	PerIPMax int
	// RatePerIPMax is how many connections a second one remote address may make
	// [connection_creation_rate of the default IP]. Default 0: no bound. One more is not
	// served: it is held open until the rate is back, for one window at most, and then
	// closed, so that its client does not come back at once (KIP-612).
	RatePerIPMax float64
	// PerIP has other bounds for some addresses
	// [max.connections.per.ip.overrides, connection_creation_rate of an IP].
	PerIP []AddressLimit
	// ThrottledConnsMax is how many connections over their address's rate are held open at
	// once (Kafka has no bound). Default: 1024, or a twentieth of the descriptors if
	// that is less. Negative: they are closed at once.
	ThrottledConnsMax int
	// ProtectedListener names a listener whose connections neither wait for Max nor
	// count in RateMax, if there are other listeners [inter.broker.listener.name]. When
	// one of them exceeds Max, one connection of another listener is closed: one that is
	// closing already, else the one that has been idle longest.
	ProtectedListener string
	// WhenFull says what happens to a connection over Max or RateMax. WhenFullWait
	// (default, Kafka's): nothing more is accepted, and clients wait in the kernel's
	// queue. WhenFullRefuse: it is closed at once.
	WhenFull WhenFull
	// RateWindows of RateWindow each are what rates are measured over
	// [quota.window.num, quota.window.size.seconds]. Default: 11 of one second.
	RateWindows int
	RateWindow  time.Duration
	// Backlog is the length of the kernel's queue of connections to be accepted
	// [socket.listen.backlog.size]. Default 1024 (Kafka's 50 drops connections in a
	// burst).
	Backlog int
	// HandlerFiles is how many descriptors are kept for files of the Handler: files
	// and sockets share one RLIMIT_NOFILE. Default 0: it opens none.
	HandlerFiles int
}

// LimitsConfig bounds what one connection may have the Server hold and do: Config.Limits
// for all listeners, ListenerConfig.Limits for one.
type LimitsConfig struct {
	// PipelineMax is how many requests of one connection may be unanswered at once.
	// Default 1, Kafka's order. With more, requests of one connection may be handled at
	// the same time; responses leave in the order of requests.
	//
	// Beside a pool, a connection has a share of an eighth of Dispatch.QueuedRequestsMax
	// with the request channel and the handlers; while the channel is full, a connection
	// has one request there at most. So a request waits for no more than that share of
	// each other connection, however deep they pipeline.
	PipelineMax int
	// FrameBytesMax is the largest payload of a frame [socket.request.max.bytes]. Default
	// 100 MiB, or less where Memory.BytesMax is little. A larger frame closes its
	// connection.
	FrameBytesMax int
	// FrameBytesMaxUnauthenticated is the same for a connection that the Handler has
	// not vouched for by Conn.SetAuthenticated; such a connection has one request in
	// flight at a time [sasl.server.max.receive.size]. Default 0: all connections count
	// as authenticated, as on a PLAINTEXT listener.
	FrameBytesMaxUnauthenticated int
	// HeldBytesMax is how many bytes may be read ahead of a connection's requests
	// before the connection is muted. Default 256 KiB.
	HeldBytesMax int
	// QueuedResponseBytesMax is how many response bytes may be queued on a connection
	// before its next request is started. Default 1 MiB.
	QueuedResponseBytesMax int
	// SlowReader says what happens to a connection that reaches QueuedResponseBytesMax
	// with more than one response: SlowReaderPause (default), SlowReaderThrottle, which
	// also mutes it for a second, or SlowReaderClose.
	SlowReader SlowReader
	// ThrottleMax bounds how long one answer may throttle its connection
	// (Request.Throttle). Default 30 seconds. (Kafka bounds some of its quotas by one
	// window of a second, and quotas of bytes not at all.)
	ThrottleMax time.Duration
}

// TimeoutsConfig ends connections that do nothing, or take too long: Config.Timeouts for
// all listeners, ListenerConfig.Timeouts for one.
type TimeoutsConfig struct {
	// Idle closes a connection that neither sends nor receives and has no request in
	// flight [connections.max.idle.ms]. Default 10 minutes, negative: never.
	Idle time.Duration
	// Frame closes a connection that has begun a frame and sends nothing of it for so
	// long, or has not sent all of it after twice that and a second for each 256 KiB
	// (Kafka has none). Default 30 seconds, negative: never. A frame that was begun
	// occupies its size of Memory.RequestBytesMax. While other frames wait for that, a peer
	// that sends nothing has a tenth of the time.
	Frame time.Duration
	// Write closes a connection whose peer takes nothing of a response for so long
	// (Kafka has none). Default 30 seconds, negative: never. While other requests wait for
	// Memory.ResponseBytesMax, a peer that takes nothing of more than 4 KiB has a tenth of
	// it.
	Write time.Duration
	// Proxy closes a connection whose PROXY protocol header has not come whole for so long,
	// and at most twice as long (see ListenerConfig.ProxyProtocol). Default 10 seconds,
	// negative: never.
	Proxy time.Duration
	// Authentication closes a connection that the Handler has not vouched for so long after
	// its accept, or after its TLS handshake; where Limits.FrameBytesMaxUnauthenticated is 0
	// all count as vouched for. Time in which the server owes it an answer does not end it,
	// and throttles don't count, up to once this time in sum.
	// (Kafka has none: whoever sends a byte now and then stays.) Default 0: never.
	Authentication time.Duration
	// Drain bounds how long connections may take to finish what they have in flight
	// when Reconfigure removes their listener or their processor. Connections of a
	// listener then close, those of a processor continue with another. Default 30
	// seconds, negative: no bound.
	Drain time.Duration
}

// MemoryConfig bounds what is held over all connections, in bytes: Config.Memory.
// docs/memory.md has the whole plan, Config.MemoryPlan computes it.
type MemoryConfig struct {
	// BytesMax is how much memory the process may use (Kafka has none). Default: the
	// smallest limit of the cgroups around it, else three quarters of the machine's
	// memory. The defaults of other fields are smaller where it is little, so that no
	// mix of clients gets the process killed. Settings that don't fit are an error,
	// unless only the machine's memory is known. Set it in a larger program, to the
	// server's part. MemoryMaxLeast is enough for defaults. Negative: no bound.
	BytesMax int64
	// RequestBytesMax bounds the bytes of all requests that are received and not
	// answered [queued.max.request.bytes]. Default 256 MiB, or less, see BytesMax
	// (Kafka's is no bound). At least Limits.FrameBytesMax plus 192 KiB for each
	// processor. Of what is more than that, up to an eighth of all is reserved for
	// frames that are whole when they are first seen: a client that begins frames and
	// does not send them can't take it.
	RequestBytesMax int64
	// HeldBytesMax bounds the memory of bytes that are received and can't be cut into
	// requests yet. Default 128 MiB, or less, see BytesMax. From half of it on, frames
	// are received one at a time, each into its own memory, so that nothing more is
	// held; that costs one more receive for each. What the kernel had received by then
	// takes the other half; if that is full, the connection is closed.
	HeldBytesMax int64
	// ResponseBytesMax bounds the memory of responses: what handlers got from
	// Request.Buffer, what is queued and not sent, and what is read of files. Default
	// 128 MiB, or less, see BytesMax; at least 8 MiB, and 4 MiB plus
	// 1.25 MiB for each processor. When little is left, a connection gets its next request served once it
	// has read all that is queued on it; requests of APIs whose responses are large wait
	// in line; a quarter is reserved for responses of up to 64 KiB. A response that is
	// larger than all of it is sent alone. Request.ResponseRoom tells a Handler how
	// large a response should be.
	ResponseBytesMax int64
	// HandlerBytes is how much of BytesMax the Handler takes at most. Default 0: it
	// keeps nothing.
	HandlerBytes int64
}

// DispatchConfig says where the Handler runs, and in which order requests reach it:
// Config.Dispatch.
type DispatchConfig struct {
	// Mode is DispatchPool (default) or DispatchInline.
	Mode DispatchMode
	// Handlers is the number of handler goroutines of the pool [num.io.threads].
	// Default 8, Kafka's.
	Handlers int
	// BatchMax is how many requests a handler goroutine takes at once at most; it takes
	// fewer when they take long. Default 64.
	BatchMax int
	// QueuedRequestsMax bounds the request channel [queued.max.requests]. Default 500.
	QueuedRequestsMax int
	// QueuedPriorityMax bounds the priority lane of the request channel, for requests
	// of Priority or of a listener that has priority. Default: QueuedRequestsMax. The
	// lane has room and order of its own, and handlers look there first; but of nine
	// batches that a handler takes at least one is an ordinary one, if there are any.
	QueuedPriorityMax int
	// Priority says whether a request goes before others. It may read the request's
	// Payload, Conn, API and Version (see APIOf). Requests of one connection are still
	// served in their order. It runs on processors and must not block or keep the
	// request. Default: requests of listeners that have priority.
	Priority func(r Request) bool
	// LatencyTarget bounds how many requests are with the request channel and the
	// handlers by how long they take there: each processor admits as many as are
	// answered within that time on average, and keeps the others back. Default 0: no
	// such bound. Requests with priority are not bounded.
	LatencyTarget time.Duration
	// LatencyCounts selects the requests that LatencyTarget measures and bounds.
	// Default: all. Exclude long polls. It runs as Priority does.
	LatencyCounts func(r Request) bool
	// APIOf reads the API key and version of a payload, for Stats, Request.API and
	// Request.Version; key is -1 when it has none. Default: the Handler's, if it is an
	// APIReader; otherwise all requests are of one API. It runs on processors and must
	// not block or keep the payload.
	APIOf func(payload []byte) (key, version int16)
	// Deprecated names API versions that clients should not use any more; Stats counts
	// who does (KIP-896). Default: none. It runs as APIOf does.
	Deprecated func(key, version int16) bool
	// LongPoll names the APIs whose requests ask to wait, such as Fetch: ConnInfo.Latency
	// is without theirs. Default: none. It runs as APIOf does.
	LongPoll func(key int16) bool
}

// ProcessorsConfig is about the event loops that own the connections: Config.Processors.
type ProcessorsConfig struct {
	// Count is the number of event loops [num.network.threads]. Default: one per CPU
	// when the Handler runs inline, one per two CPUs beside a pool.
	Count int
	// Wait is how processors sleep: WaitAuto (default: locked when inline, parked beside a
	// pool, or when a listener speaks TLS as the Server starts), WaitLocked or WaitParked.
	Wait Wait
	// Gosched makes a processor yield after handing requests to the pool. Without it,
	// on one or two CPUs, woken handlers may wait up to 10 ms for a P: a processor that
	// always has something to receive never sleeps, and one that sleeps locked keeps
	// its P for a while. Yielding also batches their responses. It hurts where CPUs are
	// plenty, by a switch for each pass. GoschedAuto (default: for a single request only
	// when it waits locked or Go has one P), GoschedOn (always) or GoschedOff. Without a
	// pool it does nothing.
	Gosched Gosched
	// Accept is AcceptApart (default) or AcceptPerProcessor: each processor accepts
	// on its own engine, from a listening socket of its own that shares the address with
	// the others' (SO_REUSEPORT), so that no connection changes hands. It helps many
	// short connections on many CPUs, and saves an engine for each listener. It hurts
	// when connections are few: the kernel spreads them by a hash of their addresses and
	// not by load; connections wait for the processor that the hash chose, however
	// busy; and what waits on a socket that is closed is reset, where one socket for all
	// would have been drained first. Another process of the same user can share the
	// address. Assignment has no effect. Not where the system has no SO_REUSEPORT,
	// nor for Unix domain sockets.
	Accept Accept
	// Assignment is AssignLeastConns (default): a new connection goes to the processor
	// that has the fewest; or AssignRoundRobin, Kafka's. They are the same until
	// connections end; then turns alone let one processor keep more connections than
	// the others for as long as clients stay.
	Assignment Assignment
	// Rebalance is how often idle connections move from processors that have more than
	// their share to those that have less. Default 0: never, as in Kafka.
	Rebalance time.Duration
	// BigFrameBytes: frames from this size on are received straight into their own
	// memory, so they are never copied; smaller ones pass through the engine's buffers,
	// where one completion brings many. Default 64 KiB: there minimal servers in C, on
	// one machine, took 14 µs of CPU a frame straight and 34 to 39 through buffers of 16
	// KiB; frames of 16 KiB, straight, only drew level with epoll. docs/experiments.md
	// says how to measure it.
	BigFrameBytes int
	// PackedBytesMax: responses up to this size, their own four bytes of size included,
	// are copied next to each other, so that many leave in one piece; larger ones are
	// sent from where the handler wrote them. Packing pays where clients pipeline small
	// requests: a copy costs less than one more vector. Default 4 KiB. 1: nothing is
	// packed. At most 32 KiB.
	PackedBytesMax int
}

// Events are told what a program may want to log. Any may be nil. They must
// not block: all but HandlerPanicked in a pool run on the goroutine of an
// acceptor or a processor.
type Events struct {
	// ConnOpened: a connection is there, and it is known whose it is. ConnClosed: one is
	// closed; without ConnOpened before it where a PROXY protocol header (see
	// ListenerConfig.ProxyProtocol) did not come, or named an address that is over a bound.
	ConnOpened func(c *Conn)
	ConnClosed func(c *Conn, why CloseReason)
	// AcceptFailed: accepting on a listener failed and starts again after pause.
	AcceptFailed func(listener string, err error, pause time.Duration)
	// ServerFull: a connection found no free slot (Conns.Max, or ConnsMax of its listener)
	// and waits, or was refused, as WhenFull says. At most once a minute.
	ServerFull func(ServerFull)
	// HandlerPanicked: Handle panicked; the connection of r is closed if it had not
	// been answered (Request.ClosedByPanic).
	HandlerPanicked func(r Request, v any, stack []byte)
	// SlowRequest: a request took longer than Measure.SlowRequest.
	SlowRequest func(SlowRequest)
}
