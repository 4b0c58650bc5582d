package portable

import (
	"kring/fallback"
)

// Config of an engine. The zero value works.
type Config struct {
	// Buffers is how many receive buffers an engine may lend at once; 0 means
	// 256. When all are lent, receives end with ENOBUFS.
	Buffers int
	// BufferBytes is the size of each, and the most that one completion of Recv
	// carries; 0 means 16 KiB. A connection that waits for data holds none, but on
	// systems where Go's net can't say that data is there without reading it (all but
	// Unix and Windows): see ConnMemory.
	BufferBytes int
	// AcceptsMax is how many accepted connections may wait to be polled; 0
	// means 16. The rest waits in the kernel's queue.
	AcceptsMax int
}

const acceptsMaxDefault = 16

func (c Config) withDefaults() Config {
	if c.Buffers == 0 {
		c.Buffers = fallback.BuffersDefault
	}
	if c.BufferBytes == 0 {
		c.BufferBytes = fallback.BufferBytesDefault
	}
	if c.AcceptsMax == 0 {
		c.AcceptsMax = acceptsMaxDefault
	}
	return c
}

// BufferMemory is the most that an engine's receive buffers take, in bytes, besides
// ConnMemory for each connection.
func (c Config) BufferMemory() int64 {
	c = c.withDefaults()
	return int64(c.Buffers) * int64(c.BufferBytes)
}

// ConnMemory is how much of a receive buffer, in bytes, a connection holds while it waits: all
// of it, or none. It depends on the operating system.
func (c Config) ConnMemory() int64 {
	if holdsWhileWaiting {
		return int64(c.withDefaults().BufferBytes)
	}
	return 0
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
	f.Add(c.AcceptsMax < 1 || c.AcceptsMax > 1<<16, "AcceptsMax", "is %d: use 1 to 65536, or 0 for %d", c.AcceptsMax, acceptsMaxDefault)
	return f.Err("portable: ")
}
