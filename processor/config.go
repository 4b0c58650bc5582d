package processor

import (
	"time"

	"kring/engine"
	"kring/internal/slab"
	"kring/reqchan"
)

// Config of one Processor. The root package fills and validates it.
type Config struct {
	ID      uint32
	Network engine.Network
	Wait    engine.Wait
	Memory  *slab.Pool

	// Channel takes the requests to a pool of handlers, and bounds the bytes of
	// all requests. Handle, when set, runs on the processor itself instead of in
	// the pool and must not block.
	Channel *reqchan.Channel
	Handle  func(*reqchan.Request)

	// FrameBytesMax is the largest payload of a frame (socket.request.max.bytes).
	FrameBytesMax int
	// BigFrameBytes: a frame of at least this size is received straight into
	// its own memory; a smaller one passes through the engine's buffers.
	BigFrameBytes int
	// PipelineMax is how many requests of one connection may be unanswered at
	// once; 1 is Kafka's order. Answers leave in the order of the requests.
	PipelineMax int
	// HeldBytesMax is how many received but uncut bytes a connection may have
	// before it is muted (its receive cancelled, so that TCP pushes back).
	HeldBytesMax int
	// QueuedBytesMax is how many response bytes may wait on a connection before
	// no further request of it is started.
	QueuedBytesMax int
	// AssignedMax is how many assigned sockets may wait to be adopted.
	AssignedMax int
	// IdleTimeout closes a connection that neither received nor sent anything
	// for so long and has no request in flight; 0: never.
	IdleTimeout time.Duration
	// WriteTimeout closes a connection whose peer took nothing of a response
	// for so long; 0: never.
	WriteTimeout time.Duration

	Socket engine.SocketOptions
	Hooks  Hooks
}

// Hooks are called on the processor's goroutine and must not block. Nil ones
// are not called.
type Hooks struct {
	// Opened: a connection was adopted. Closed: its descriptor is closed.
	Opened func(*reqchan.Conn)
	Closed func(*reqchan.Conn, reqchan.CloseReason)
	// Left: an assigned socket ended, adopted or not; once for each.
	Left func()
	// Panicked: a handler panicked on the processor (Handle only).
	Panicked func(r *reqchan.Request, v any, stack []byte)
}
