package processor

import (
	"sync/atomic"

	"kring/engine"
	"kring/internal/budget"
	"kring/internal/capacity"
	"kring/internal/slab"
	"kring/reqchan"
)

// Config of one Processor; what connections go by is their Listener's Settings.
// The root package fills and validates both.
type Config struct {
	ID      uint32
	Network engine.Network
	Wait    engine.Wait
	// YieldFrom is from how many requests on that a pass hands over it lets the
	// handlers run before it sends and sleeps; 0: never.
	YieldFrom int
	Memory    *slab.Pool
	// Responses bounds the memory of responses over all processors; nil: nothing does.
	Responses *budget.Budget
	// Held is how much memory received bytes that are not cut may lie in, over all
	// processors, before they are received with more care; twice as much is never
	// exceeded. nil: there is no bound.
	Held *capacity.Capacity

	// Channel takes the requests to a pool of handlers, and bounds the bytes of
	// all requests. Handle, when set, runs on the processor itself instead of in
	// the pool and must not block.
	Channel *reqchan.Channel
	Handle  func(reqchan.Request)

	// Census counts open connections by client software, of all processors:
	// connections move between them. nil: nobody counts.
	Census *reqchan.Census
	// Clients counts open connections that were accepted, of all processors: the Upstreams
	// of one that ends stay until there are none. nil: its own count is all there is.
	Clients *atomic.Int64
	// AssignedMax is how many assigned sockets may wait to be adopted.
	AssignedMax int

	// InFlightShare is how many requests of one connection may be in the request
	// channel or with handlers at once; 0: as many as PipelineMax says.
	InFlightShare int
	// RunMax is how many requests of one connection go to a handler as one run, where
	// one is in flight at a time; 0 means reqchan.RunMax, which is the most.
	RunMax int
	// Priority says whether a request goes into the priority lane of the request
	// channel; its API, Version, Payload and Conn are there to be looked at. nil:
	// only those of listeners that have priority. It must not block.
	Priority func(reqchan.Request) bool

	// Latency bounds what is with the handlers; the zero value does not.
	Latency LatencyConfig

	// APIOf reads a payload's API key and version, -1 if it has none; nil: nobody
	// can tell. Deprecated says which versions should not be used any more; nil:
	// none. Neither may keep the payload or block.
	APIOf      func(payload []byte) (key, version int16)
	Deprecated func(key, version int16) bool
	// LongPoll names the APIs whose requests ask to wait: the latency of connections is
	// without theirs. nil: none.
	LongPoll func(key int16) bool

	Hooks Hooks
}

// Hooks are called on the processor's goroutine and must not block. Nil ones
// are not called.
type Hooks struct {
	// Opened: a connection was adopted, and it is known whose it is. Closed: its descriptor
	// is closed. Refused: likewise, of one that was never Opened.
	Opened  func(*reqchan.Conn)
	Closed  func(*reqchan.Conn, reqchan.CloseReason)
	Refused func(*reqchan.Conn, reqchan.CloseReason)
	// Panicked: a handler panicked on the processor (Handle only).
	Panicked func(r reqchan.Request, v any, stack []byte)
}
