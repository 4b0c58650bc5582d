package conn

import "kring/reqchan"

// Counts are the processor's own, of all its connections; it publishes a copy where others
// may look.
type Counts struct {
	// These change in most passes.
	Polls          uint64
	Requests       uint64
	Responses      uint64
	Sends          uint64
	BytesIn        uint64
	BytesOut       uint64
	BytesInCopied  uint64
	BytesOutCopied uint64
	Home           uint64 // answers taken from the response queue

	UpstreamBytesIn, UpstreamBytesOut uint64

	SeldomCounts
}

// SeldomCounts are those that most passes leave alone, so that one comparison finds out.
type SeldomCounts struct {
	Opened     uint64
	Closed     [reqchan.ReasonCount]uint64
	Late       uint64
	Dropped    uint64
	Panics     uint64
	Held       uint64
	Mutes      uint64
	Waits      uint64
	HeldScarce uint64

	BytesDirect uint64
	Throttles   uint64
	Parks       uint64
	Slow        uint64
	Prioritized uint64
	Depth       uint64 // now, of limiter

	MovedIn   uint64
	MovedOut  uint64
	FileReads uint64

	Upstreams, UpstreamsClosed uint64

	Lost uint64 // bytes of memory that the kernel kept
}
