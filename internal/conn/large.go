package conn

import (
	"kring/engine"
	"kring/internal/frame"
)

// A connection whose frames are all large, and fit into a large buffer of the engine,
// receives into one: size and frame at once, where else there are two receives. The frame
// is handled where it lies. If it has come in part, the rest is received behind it.
//
// What does not fit after all would have to be copied. So it does that only after several
// such frames in a row, and asks for no more bytes than the last one had.

const (
	// largeFrom is after how many frames in a row that fit.
	largeFrom = 4
	// smallMax is how many smaller frames in a row end that.
	smallMax = 8
)

// fits is what the last frames were.
type fits struct {
	n     uint8 // in a row that fit into a large buffer, largeFrom at most
	small uint8 // in a row that were smaller, since then
}

// cameLarge is told of a frame of n bytes that lies whole in a large buffer.
func (c *Conn) cameLarge(n int) {
	if n >= c.shared.large.least {
		c.shared.count.BytesDirect += uint64(n)
	}
	c.expectLike(n)
}

// expectLike says by a frame of n bytes how to receive the next.
func (c *Conn) expectLike(n int) {
	l, f := &c.shared.large, &c.in.fits
	switch {
	case n > l.most:
		c.big.large, *f = 0, fits{}
	case n >= l.least:
		f.small = 0
		if f.n = min(f.n+1, largeFrom); f.n == largeFrom {
			c.big.large = n
		}
	case c.shared.buffers.isLarge && f.small < smallMax:
		f.small++
	default:
		c.big.large, *f = 0, fits{}
	}
	c.in.big = c.big.large > 0 || n-frame.SizeBytes >= c.set.BigFrameBytes
}

// beginHere begins a frame in the large buffer that it lies in, if it fits.
func (c *Conn) beginHere(lent *engine.Completion) bool {
	if lent == nil || !c.shared.buffers.isLarge {
		return false
	}
	memory := c.in.frames.InPlace()
	if memory == nil {
		return false
	}
	c.big.lease = c.shared.current(lent)
	c.big.lease.refs++
	c.in.frames.BeginInPlace(memory)
	c.shared.count.BytesDirect += uint64(len(memory) - len(c.in.frames.Rest()))
	return true
}

// leaveBuffer has a frame that was begun in a large buffer go on in memory of its own: the
// buffer is this processor's. false: the system refused that, and the connection has ended.
func (c *Conn) leaveBuffer() bool {
	l := c.big.lease
	if l == nil {
		return true
	}
	memory, err := c.shared.cfg.Memory.TryGet(c.in.frames.Begun())
	if err != nil {
		c.memoryRefused()
		return false
	}
	c.in.frames.MoveTo(memory)
	c.big.lease = nil
	c.shared.release(l)
	return true
}

// ownMemory is what the frame lies in that Next gave as its own.
func (b *bigFrames) ownMemory() any {
	if l := b.lease; l != nil {
		b.lease = nil
		return l
	}
	return piece{}
}
