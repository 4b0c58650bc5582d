package reqchan

import (
	"errors"
	"fmt"
	"sync/atomic"

	"kring/internal/capacity"
	"kring/internal/queue"
)

// Config bounds a Channel.
type Config struct {
	// RequestsMax is how many requests may wait for a handler; 0 means 500, as
	// in Kafka (queued.max.requests). At most 2^30.
	RequestsMax int
	// PriorityMax is how many requests with priority may wait beside them; 0
	// means as many again. At most 2^30.
	PriorityMax int
	// BytesMax is how many bytes the frames of requests may hold, from the
	// moment their memory is taken until they came home; 0 means 256 MiB. Kafka
	// has no such bound by default, and 500 requests of its 100 MiB are 50 GB.
	// 256 MiB hold two of the largest frames and some, or 64 Ki of 4 KiB.
	BytesMax int64
	// ClaimsSpare is how many of them Claim leaves to others; 0: none.
	ClaimsSpare int64
}

const (
	requestsMaxDefault = 500
	requestsMaxLargest = 1 << 30
	bytesMaxDefault    = 256 << 20
)

func (cfg Config) withDefaults() Config {
	if cfg.RequestsMax == 0 {
		cfg.RequestsMax = requestsMaxDefault
	}
	if cfg.PriorityMax == 0 {
		cfg.PriorityMax = cfg.RequestsMax
	}
	if cfg.BytesMax == 0 {
		cfg.BytesMax = bytesMaxDefault
	}
	return cfg
}

// Validate reports every fault at once.
func (cfg Config) Validate() error {
	var faults []error
	if cfg.RequestsMax < 0 || cfg.RequestsMax > requestsMaxLargest {
		faults = append(faults, fmt.Errorf("RequestsMax is %d: use 1 to %d, or 0 for %d",
			cfg.RequestsMax, requestsMaxLargest, requestsMaxDefault))
	}
	if cfg.PriorityMax < 0 || cfg.PriorityMax > requestsMaxLargest {
		faults = append(faults, fmt.Errorf("PriorityMax is %d: use 1 to %d, or 0 for as many as RequestsMax",
			cfg.PriorityMax, requestsMaxLargest))
	}
	if cfg.BytesMax < 0 {
		faults = append(faults, fmt.Errorf("BytesMax is %d: use a positive number of bytes, or 0 for %d",
			cfg.BytesMax, bytesMaxDefault))
	}
	if cfg.ClaimsSpare < 0 || cfg.ClaimsSpare >= cfg.withDefaults().BytesMax {
		faults = append(faults, fmt.Errorf("ClaimsSpare is %d: use a part of BytesMax", cfg.ClaimsSpare))
	}
	return errors.Join(faults...)
}

// Channel carries requests from many processors to many handlers. Its methods
// may be called by any goroutine.
type Channel struct {
	ordinary lane
	priority lane
	bytes    *capacity.Capacity
	starved  atomic.Int64 // see Starve
	spare    atomic.Int64 // see Sender.Claim
	idle     idle         // Receivers that sleep
}

// New makes a Channel. cfg must be valid.
func New(cfg Config) *Channel {
	cfg = cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		panic("kring: request channel: " + err.Error())
	}
	c := &Channel{bytes: capacity.New(cfg.BytesMax)}
	c.ordinary.ring = queue.NewManyToMany[*Job](cfg.RequestsMax)
	c.priority.ring = queue.NewManyToMany[*Job](cfg.PriorityMax)
	c.spare.Store(cfg.ClaimsSpare)
	return c
}

// Len is how many requests wait for a handler, in both lanes.
func (c *Channel) Len() int { return c.ordinary.waiting() + c.priority.waiting() }

// RequestsMax is how many ordinary requests may wait, and PriorityMax how many with
// priority. A run must not be longer.
func (c *Channel) RequestsMax() int { return c.ordinary.ring.Cap() }

// PriorityMax is beside RequestsMax.
func (c *Channel) PriorityMax() int { return c.priority.ring.Cap() }

// Bytes is how many bytes are reserved.
func (c *Channel) Bytes() int64 { return c.bytes.Used() }

// BytesMax is how many bytes can be reserved.
func (c *Channel) BytesMax() int64 { return c.bytes.Max() }

// SetBytesMax changes how many bytes can be reserved, and how many of them claims
// leave to others. What is reserved beyond stays so until it is released; Senders that
// wait are called if there is enough for them now. Invariant: no one reservation is
// larger, and no claim together with the spare.
func (c *Channel) SetBytesMax(n, claimsSpare int64) {
	c.spare.Store(claimsSpare)
	c.bytes.SetMax(n)
}

// Sleeping is how many Receivers sleep.
func (c *Channel) Sleeping() int { return int(c.idle.count.Load()) }

// Close ends the channel: Senders' requests are not accepted any more, and
// Receivers return false once they took what had been accepted. Senders that
// wait are called a last time.
func (c *Channel) Close() {
	for _, l := range []*lane{&c.ordinary, &c.priority} {
		l.ring.Close()
		l.turns.dissolve()
	}
	c.idle.wakeAll()
}

// Release gives back n reserved bytes.
func (c *Channel) Release(n int64) { c.bytes.Release(n) }

// Starve says that frames have waited long for bytes, until a moment in nanoseconds of Now:
// those that hold some and don't use them are to give them back. Any goroutine.
func (c *Channel) Starve(until int64) { c.starved.Store(until) }

// StarvedUntil is what Starve said last.
func (c *Channel) StarvedUntil() int64 { return c.starved.Load() }
