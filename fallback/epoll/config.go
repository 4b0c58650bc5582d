package epoll

import (
	"kring/fallback"
)

// Config of an engine. The zero value works.
type Config struct {
	// Buffers is how many receive buffers an engine may lend at once; 0 means
	// 256. The one returned last is used first, so the memory in use stays in the
	// cache and the rest is never touched. If all are lent, receives end with
	// ENOBUFS, and TCP's windows slow the peers down.
	Buffers int
	// BufferBytes is the size of each, and the most that one completion of Recv
	// carries; 0 means 16 KiB: several small produce requests at once.
	BufferBytes int
	// ReceivesMax is how many times one descriptor may receive in one Poll; 0
	// means 32, the bound of io_uring's multishot. It bounds what a flooding peer
	// takes from the others.
	ReceivesMax int
}

const receivesMaxDefault = 32

func (c Config) withDefaults() Config {
	if c.Buffers == 0 {
		c.Buffers = fallback.BuffersDefault
	}
	if c.BufferBytes == 0 {
		c.BufferBytes = fallback.BufferBytesDefault
	}
	if c.ReceivesMax == 0 {
		c.ReceivesMax = receivesMaxDefault
	}
	return c
}

// BufferMemory is the most that an engine's receive buffers take, in bytes.
func (c Config) BufferMemory() int64 {
	c = c.withDefaults()
	return int64(c.Buffers) * int64(c.BufferBytes)
}

// WithBuffersIn sets Buffers if it is 0: to its default, or to fewer if that takes more
// than so many bytes.
func (c Config) WithBuffersIn(bytes int64) Config {
	if c.Buffers == 0 {
		c.Buffers = fallback.BuffersIn(bytes, c.withDefaults().BufferBytes)
	}
	return c
}

// Validate reports every fault at once.
func (c Config) Validate() error {
	c = c.withDefaults()
	f := fallback.BufferFaults(c.Buffers, c.BufferBytes)
	f.Add(c.ReceivesMax < 1, "ReceivesMax", "is %d: use at least 1, or 0 for %d", c.ReceivesMax, receivesMaxDefault)
	return f.Err("epoll: ")
}
