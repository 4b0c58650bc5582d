package conn

import (
	"kring/internal/slab"
	"kring/reqchan"
)

// What connections hold (bytes that were received and not cut) has a bound over all
// connections of all processors, in memory and not in bytes: Config.Held. Beyond it, held
// memory is scarce, and bytes are received one frame at a time, each into the memory that
// it will lie in: first the size, then, when there is memory for the frame, the rest. So
// nothing more is held, and everybody is still served. What the kernel had received by
// then is held beyond the bound, up to three quarters of it again; whoever brings more is
// closed. Those that hold one piece of the smallest size (the beginning of a frame) are
// closed beyond twice the bound alone.
//
// No connection that holds a frame's size has to be read to go on: it waits for an answer,
// or for memory for that frame. So those are not read at all while memory is scarce.
//
// Each processor hoards a little, so that the shared count is off the usual path.

const (
	// heldCreditBytes is what is taken of Config.Held at once.
	heldCreditBytes = 64 << 10
	// HoardedHeldMax is how much of Config.Held a processor may keep without using it.
	HoardedHeldMax = 2 * heldCreditBytes
)

// countHeld sees what c holds after bytes of it were kept or cut; false: that was too much,
// and it ends.
func (c *Conn) countHeld() bool {
	n := c.in.frames.Memory()
	if c.secure != nil {
		n += c.secure.Held()
	}
	if n == c.in.held || c.shared.cfg.Held == nil {
		return true
	}
	more, large := n > c.in.held, n > slab.PieceBytesMin
	drew := c.shared.takeHeld(n - c.in.held)
	c.in.held = n
	if !more || !large && !drew { // small ones look at the shared count when they changed it
		return true
	}
	return c.heldFits(large)
}

// heldFits looks at what all hold, after c holds more; false: that was too much, and c ends.
func (c *Conn) heldFits(large bool) bool {
	used, most := c.shared.cfg.Held.Used(), c.shared.cfg.Held.Max()
	if used > most && !c.shared.scarce {
		c.shared.becomeScarce()
	}
	slack := most
	if large {
		slack -= most / 4
	}
	if used-most <= slack {
		return true
	}
	c.endBatch()
	c.terminate(reqchan.HeldMemoryFull) // so that the process is not ended
	return false
}

// takeHeld takes n bytes of what may be held, or gives back -n; it says whether it
// had to take some of what all share.
func (sh *Shared) takeHeld(n int) (drew bool) {
	sh.bounds.held -= int64(n)
	switch {
	case sh.bounds.held < 0:
		sh.cfg.Held.TakeBeyond(heldCreditBytes - sh.bounds.held)
		sh.bounds.held = heldCreditBytes
		return true
	case sh.bounds.held > HoardedHeldMax:
		sh.cfg.Held.Release(sh.bounds.held - heldCreditBytes)
		sh.bounds.held = heldCreditBytes
	}
	return false
}

// becomeScarce is called in the middle of a pass: what the rest of it brings is held
// too.
func (sh *Shared) becomeScarce() {
	sh.scarce = true
	sh.count.HeldScarce++
	sh.loop.HeldScarce()
}

// EndStream ends the receive of c that brings whatever comes; arm puts another one up.
func (c *Conn) EndStream() {
	if c.in.receive == receiveStream || c.in.receive == receiveLarge {
		c.cancelReceive()
	}
}

// cancelReceive ends the receive that is up, of whichever kind.
func (c *Conn) cancelReceive() {
	if c.in.receive.up() && !c.in.cancelled {
		c.in.cancelled = true
		c.shared.loop.CancelReceive(c)
	}
}

// armScarce puts up a receive that brings no more than c has a place for.
func (c *Conn) armScarce() {
	switch held := c.in.frames.Held(); {
	case c.in.frames.Rest() != nil:
		c.receiveRest(c.in.frames.Rest())
	case held < c.sizeBytes() && c.mayTake():
		c.receiveSize(c.sizeBytes() - held)
	}
}

// giveHeldBack ends what this processor has of it.
func (sh *Shared) giveHeldBack() {
	if sh.cfg.Held != nil {
		sh.cfg.Held.Release(sh.bounds.held)
		sh.bounds.held = 0
	}
}
