package conn

import (
	"time"

	"kring/reqchan"
)

const (
	// HurryPart is which part of its timeout a peer has while others wait for what it keeps
	// from them.
	HurryPart = 10
	// hurrySilence is the shortest silence that anybody is closed for.
	hurrySilence = time.Second
)

// hurriesAfter is how long a peer may be silent while others wait for what its frame has.
func (c *Conn) hurriesAfter() int64 {
	return int64(min(max(c.set.FrameTimeout/HurryPart, hurrySilence), c.set.FrameTimeout))
}

// Hurries says that a frame has waited so long for bytes that silent peers are closed.
func (c *Conn) Hurries() bool {
	wants, _ := c.WaitsForBytes()
	return wants > 0 && c.life < ending && c.set.FrameTimeout > 0 && c.shared.now-c.waits.since >= c.hurriesAfter()
}

// CloseSilent closes the connection if it has begun a frame and sends nothing of it.
func (c *Conn) CloseSilent() {
	if c.life == vacant || c.up != nil || c.life >= ending || c.at.begun == 0 || c.set.FrameTimeout <= 0 || !c.in.receive.up() {
		return
	}
	if c.shared.now-c.at.active >= c.hurriesAfter() && !c.peerWrites() {
		c.terminate(reqchan.FrameTimeout)
	}
}
