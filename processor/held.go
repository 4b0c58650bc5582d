package processor

import (
	"kring/internal/frame"
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
	// sweptPerPassMax is how many connections are told in one pass that memory is scarce. Each
	// costs a cancel, which io_uring looks for among all that is armed (5 µs with 16,000), and
	// those that are served wait meanwhile.
	sweptPerPassMax = 128
)

// countHeld sees what c holds after bytes of it were kept or cut; false: that was too much,
// and it ends.
func (p *Processor) countHeld(c *conn) bool {
	n := c.in.Memory()
	if n == c.held || p.cfg.Held == nil {
		return true
	}
	more, large := n > c.held, n > slab.PieceBytesMin
	drew := p.takeHeld(n - c.held)
	c.held = n
	if !more || !large && !drew { // small ones look at the shared count when they changed it
		return true
	}
	used, most := p.cfg.Held.Used(), p.cfg.Held.Max()
	if used > most && !p.scarce {
		p.becomeScarce()
	}
	slack := most
	if large {
		slack -= most / 4
	}
	if used-most <= slack {
		return true
	}
	p.endBatch(c)
	p.terminate(c, reqchan.HeldMemoryFull) // so that the process is not ended
	return false
}

// takeHeld takes n bytes of what may be held, or gives back -n; it says whether it
// had to take some of what all share.
func (p *Processor) takeHeld(n int) (drew bool) {
	p.heldCredit -= int64(n)
	switch {
	case p.heldCredit < 0:
		p.cfg.Held.Take(heldCreditBytes - p.heldCredit)
		p.heldCredit = heldCreditBytes
		return true
	case p.heldCredit > HoardedHeldMax:
		p.cfg.Held.Release(p.heldCredit - heldCreditBytes)
		p.heldCredit = heldCreditBytes
	}
	return false
}

// watchHeld finds out whether held memory is scarce, and has the connections go by that,
// some in each pass. It is not any more when half of it is free.
func (p *Processor) watchHeld() {
	if p.cfg.Held == nil {
		return
	}
	switch used, most := p.cfg.Held.Used(), p.cfg.Held.Max(); {
	case !p.scarce && used > most:
		p.becomeScarce()
	case p.scarce && used <= most/2:
		p.scarce = false
	}
	if p.scarce {
		p.sweep()
	}
}

// becomeScarce is called in the middle of a pass: what the rest of it brings is held
// too.
func (p *Processor) becomeScarce() {
	p.scarce, p.swept = true, 0
	p.count.heldScarce++
	p.sweep()
}

// sweep has connections end what they receive into buffers.
func (p *Processor) sweep() {
	for n := 0; n < sweptPerPassMax && p.swept < len(p.conns); n++ {
		if c := p.conns[p.swept]; c.info != nil {
			p.endStream(c)
		}
		p.swept++
	}
}

// sweeping says that there are connections that watchHeld has not come to.
func (p *Processor) sweeping() bool { return p.scarce && p.swept < len(p.conns) }

// endStream ends the receive of c that brings whatever comes; arm puts another one up.
func (p *Processor) endStream(c *conn) {
	if c.receive == receiveStream && !c.cancelled {
		c.cancelled = true
		p.engine.Cancel(c.fd, c.token)
	}
}

// armScarce puts up a receive that brings no more than c has a place for.
func (p *Processor) armScarce(c *conn) {
	switch held := c.in.Held(); {
	case c.in.Rest() != nil:
		p.receiveFrame(c, c.in.Rest())
	case held < frame.SizeBytes && p.mayCut(c):
		p.receiveSize(c, frame.SizeBytes-held)
	}
}

// giveHeldBack ends what this processor has of it.
func (p *Processor) giveHeldBack() {
	if p.cfg.Held != nil {
		p.cfg.Held.Release(p.heldCredit)
		p.heldCredit = 0
	}
}
