package portable

import (
	"errors"
	"fmt"
)

// Config is what an engine may use. The zero value works.
type Config struct {
	// Buffers is how many receive buffers an engine may lend at once; 0 means
	// 256. When all are lent, receives end with ENOBUFS.
	Buffers int
	// BufferBytes is the size of each, and the most that one completion of Recv
	// carries; 0 means 16 KiB. A connection that waits for data holds one more,
	// because Go's net can't say that data is there without reading it.
	BufferBytes int
	// AcceptsMax is how many accepted connections may wait to be polled; 0
	// means 16. The rest waits in the kernel's queue.
	AcceptsMax int
}

const (
	buffersDefault     = 256
	bufferBytesDefault = 16 << 10
	acceptsMaxDefault  = 16

	bufferBytesMin   = 512
	bufferBytesMax   = 1 << 20
	memoryBytesLimit = 1 << 30
)

func (c Config) withDefaults() Config {
	if c.Buffers == 0 {
		c.Buffers = buffersDefault
	}
	if c.BufferBytes == 0 {
		c.BufferBytes = bufferBytesDefault
	}
	if c.AcceptsMax == 0 {
		c.AcceptsMax = acceptsMaxDefault
	}
	return c
}

// Validate reports every fault at once.
func (c Config) Validate() error {
	c = c.withDefaults()
	var faults []error
	if c.Buffers < 1 {
		faults = append(faults, fmt.Errorf("Buffers is %d: use at least 1, or 0 for %d", c.Buffers, buffersDefault))
	}
	if c.BufferBytes < bufferBytesMin || c.BufferBytes > bufferBytesMax {
		faults = append(faults, fmt.Errorf("BufferBytes is %d: use %d to %d, or 0 for %d",
			c.BufferBytes, bufferBytesMin, bufferBytesMax, bufferBytesDefault))
	}
	if c.Buffers > memoryBytesLimit/max(c.BufferBytes, 1) {
		faults = append(faults, fmt.Errorf("Buffers of %d times BufferBytes of %d is more than %d MiB an engine: lower one of them",
			c.Buffers, c.BufferBytes, memoryBytesLimit>>20))
	}
	if c.AcceptsMax < 1 || c.AcceptsMax > 1<<16 {
		faults = append(faults, fmt.Errorf("AcceptsMax is %d: use 1 to 65536, or 0 for %d", c.AcceptsMax, acceptsMaxDefault))
	}
	if len(faults) == 0 {
		return nil
	}
	return fmt.Errorf("portable: %w", errors.Join(faults...))
}
