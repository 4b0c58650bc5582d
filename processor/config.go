package processor

import (
	"sync/atomic"

	"kring/engine"
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
	// Census counts open connections by client software, of all processors:
	// connections move between them. nil: nobody counts.
	Census *reqchan.Census
	// Clients counts open connections that were accepted, of all processors: the Upstreams
	// of one that ends stay until there are none. nil: its own count is all there is.
	Clients *atomic.Int64
	// AssignedMax is how many assigned sockets may wait to be adopted.
	AssignedMax int
	// Latency bounds what is with the handlers; the zero value does not.
	Latency LatencyConfig

	ConnConfig
}
