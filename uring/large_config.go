package uring

import "fmt"

// Large buffers, for engine.LargeReceiver. A server that learns the size of a frame before
// it has room for it needs one receive more for each, and one wait more if the rest is
// not there yet. A buffer that is taken when the bytes are there costs a connection that
// waits nothing, and most frames land in it whole.
//
// A receive brings no more than its owner asks for, so a buffer needs little more room than
// a frame of 64 KiB. A connection may have two: one that is being sent from, and one that
// its next frame lies in.
const (
	largeBufferBytes = 72 << 10
	largeBuffersHot  = 16
	largeBuffersMax  = 64
	largeBuffersPart = 16 // of Buffers, as many large ones: memory may be little
)

// hasLarge: a technique that has its own way to receive has no use for them.
func (c *Config) hasLarge() bool { return c.LargeBuffers != Off && c.largeCould() }

func (c *Config) largeCould() bool {
	return c.Recv == RecvMultishotMode && !c.Bundles && !c.Incremental && c.BufferBytes < largeBufferBytes
}

func excludesLarge(c *Config) string {
	return sayIf(c.LargeBuffers == On && !c.largeCould(), fmt.Sprintf(
		"is on: it needs Recv %q, neither Bundles nor Incremental, and BufferBytes below %d", RecvMultishotMode, largeBufferBytes))
}

// largeCount is how many there are, a power of two as Buffers is.
func (c *Config) largeCount() int {
	if !c.hasLarge() {
		return 0
	}
	return min(max(c.Buffers/largeBuffersPart, 1), largeBuffersMax)
}
