package conn

import "kring/internal/slab"

// littleFrameBytes is a frame that usually comes in one piece.
const littleFrameBytes = 16 << 10

// HoardedBytesMax is how much of the channel's byte capacity a processor may
// keep reserved without using it. A capacity must leave room for the largest
// frame, and for a page, beside what all processors hoard.
const HoardedBytesMax = 3 * creditBytes

// reserve takes n bytes of the channel's capacity, in larger steps than n.
func (sh *Shared) reserve(n int64) bool {
	if sh.bounds.credit < n {
		if sh.bytes.Reserve(n + creditBytes) {
			sh.bounds.credit += n + creditBytes
		} else if sh.bytes.Reserve(n) {
			sh.bounds.credit += n
		} else {
			return false
		}
	}
	sh.bounds.credit -= n
	return true
}

// claimBytes is what a frame of n bytes that is not whole reserves: its memory is that
// of the smallest piece at least, however little of it there is.
func claimBytes(n int) int64 { return int64(max(n, slab.PieceBytesMin)) }

// claim is reserve for a frame that is not whole. Whoever begins frames and does not
// send them must not keep those waiting whose frames are here; on a privileged listener
// nobody does.
func (c *Conn) claim(n int64) bool {
	if c.waits.here = c.info.Privileged || c.shared.scarce && c.isHere(); c.waits.here {
		return c.shared.reserve(n)
	}
	return c.shared.bytes.Claim(n, c.shared.claimsLittle(n))
}

// isHere says that the rest of the frame that is begun has come as far as the kernel.
// While held memory is scarce no frame is whole when its size is seen; by this those that
// are don't compete with those that may never be.
func (c *Conn) isHere() bool {
	seen, known := c.kernelProgress()
	return known && seen.Unread >= c.in.frames.Missing()
}

// claimNeeds is how many bytes must be free for claim.
func (c *Conn) claimNeeds(n int64) int64 {
	if c.waits.here {
		return n
	}
	return c.shared.bytes.ClaimNeeds(n, c.shared.claimsLittle(n))
}

// claimsLittle: where nobody knows what the kernel has, small ones have a part of what
// claims leave to frames that are whole.
func (sh *Shared) claimsLittle(n int64) bool {
	return sh.scarce && !sh.tellsMore && n <= littleFrameBytes
}

// unreserve gives n bytes back, and what is hoarded beyond need.
func (sh *Shared) unreserve(n int64) {
	sh.bounds.credit += n
	keep := int64(creditBytes)
	if sh.phase != Serving { // it needs none, and others may
		keep = 0
	}
	if sh.bounds.credit > 2*keep {
		sh.cfg.Channel.Release(sh.bounds.credit - keep)
		sh.bounds.credit = keep
	}
}

// waitForBytes has c wait until so many bytes may be free: of those that all share, or,
// with fromCredit, of this processor's own as well.
func (c *Conn) waitForBytes(bytes int64, fromCredit bool) {
	if !c.waits.again() {
		c.shared.count.Waits++
	}
	c.waits.bytes, c.waits.fromCredit = bytes, fromCredit
	if c.waits.since == 0 {
		c.waits.since = c.shared.now
	}
	c.shared.loop.RetryWithBytes(c, bytes, fromCredit)
}
