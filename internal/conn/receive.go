package conn

import (
	"encoding/binary"
	"syscall"

	"kring/engine"
	"kring/internal/frame"
	"kring/reqchan"
)

// Received takes a completion of Recv: data is lent until it is recycled.
func (c *Conn) Received(done *engine.Completion) {
	was := c.in.receive
	if !done.More {
		c.in.receive, c.in.cancelled = receiveNone, false
	}
	c.shared.buffers.isLarge = was == receiveLarge
	switch {
	case done.Res <= 0:
		c.in.noLarge = was == receiveLarge
	case c.preface != nil:
		c.fromForwarder(done)
	case c.secure != nil:
		c.fromWire(done.Data)
	default:
		c.feed(done.Data, done)
	}
	c.shared.buffers.isLarge = false
	c.shared.loop.Recycle(done) // lends nothing any more if a request kept it
	if !done.More {
		c.receiveEnded(done)
	}
}

// Filled takes the completion of RecvInto: the size of a frame, or the rest of
// a big one, is where it belongs.
func (c *Conn) Filled(done *engine.Completion) {
	was := c.in.receive
	c.in.receive, c.in.cancelled = receiveNone, false
	if n := int(done.Res); n > 0 {
		if was == receiveSize {
			c.feed(c.big.head[:n], nil)
		} else {
			c.recordReceived(n)
			c.shared.count.BytesDirect += uint64(n)
			c.in.frames.AddFilled(n)
			c.cut(nil)
		}
	}
	c.receiveEnded(done)
}

// feed cuts the frames out of data and keeps what is left. lent is the
// completion that lent data, nil if it is this package's own memory.
func (c *Conn) feed(data []byte, lent *engine.Completion) {
	c.recordReceived(len(data))
	switch {
	case c.life < finishing:
		c.take(data, lent)
	case c.refused.is:
		c.dropRefused(len(data))
	}
}

// take is feed of bytes that are counted.
func (c *Conn) take(data []byte, lent *engine.Completion) {
	if !c.in.frames.Feed(data, c.shared.cfg.Memory) {
		c.memoryRefused()
		return
	}
	c.cut(lent)
	if c.life >= ending {
		return
	}
	if !c.settle() {
		return
	}
	switch {
	case c.shared.scarce, c.waitsForRoom():
		c.EndStream()
	case c.in.frames.Held() > c.set.HeldBytesMax && c.in.receive == receiveStream && !c.in.cancelled:
		c.shared.count.Mutes++ // TCP pushes back from here
		c.EndStream()
	}
}

// recordReceived counts bytes that were received.
func (c *Conn) recordReceived(n int) {
	c.keepPace()
	if c.up != nil {
		c.shared.count.UpstreamBytesIn += uint64(n)
	} else {
		c.shared.count.BytesIn += uint64(n)
	}
	c.in.bytes += uint64(n)
	c.touch()
	c.at.active, c.in.doubted = c.shared.now, 0
}

// settle ends a round of cutting; false: and the connection, for want of memory.
func (c *Conn) settle() bool {
	ok := c.in.frames.Settle(c.shared.cfg.Memory)
	c.shared.count.BytesInCopied += uint64(c.in.frames.TakeCopied())
	if !ok {
		c.memoryRefused()
		return false
	}
	return c.countHeld()
}

// memoryRefused ends a connection that the system had no memory for.
func (c *Conn) memoryRefused() {
	c.endBatch()
	c.terminate(reqchan.MemoryRefused)
}

// receiveEnded decides what follows the last completion of a receive.
func (c *Conn) receiveEnded(done *engine.Completion) {
	switch errno := done.Errno(); {
	case c.life >= ending:
		c.join()
	case c.refused.is:
		if done.Res == 0 || errno != 0 && errno != syscall.ENOBUFS && errno != syscall.ECANCELED {
			c.in.receive = receiveOver
		}
		c.finishIfIdle()
	case errno == syscall.ENOBUFS && !c.in.noLarge:
		c.waitForBuffer()
	case errno == syscall.ENOMEM:
		c.memoryRefused()
	case done.Res > 0 || errno == syscall.ECANCELED || errno == syscall.ENOBUFS:
		c.arm()
	case done.Res == 0:
		if c.preface != nil {
			c.prefaceCut()
			return
		}
		if c.secure == nil {
			c.peerFinished()
			return
		}
		c.secure.over = true
		c.secure.Feed(nil)
		c.openFrames()
	default:
		if c.up != nil {
			c.up.broke(errno)
		}
		c.terminate(reqchan.PeerReset)
	}
}

// peerFinished says that nothing more comes: what came is served, and nobody reads the
// answers.
func (c *Conn) peerFinished() {
	c.in.receive = receiveOver
	reqchan.ConnGone(c.info, reqchan.PeerFinished)
	if c.up != nil {
		c.cutReplies()
		return
	}
	c.finishIfIdle()
}

// arm puts a receive up, of the kind that what comes next asks for, unless the
// connection is muted.
func (c *Conn) arm() {
	if c.life == leaving {
		c.armLeaving()
		return
	}
	if c.in.receive != receiveNone || c.life >= finishing {
		return
	}
	rest := c.in.frames.Rest()
	switch {
	case c.preface != nil:
		c.armPreface()
	case c.secure != nil:
		c.armSecure()
	case c.shared.scarce:
		c.armScarce()
	case c.in.big && rest != nil:
		c.receiveRest(rest)
	case c.in.big && c.in.frames.Empty() && c.big.large > 0 && !c.in.noLarge:
		c.in.receive = receiveLarge
		c.shared.loop.ReceiveLarge(c, c.big.large)
	case c.in.big && rest == nil && c.in.frames.Held() < c.sizeBytes():
		c.in.noLarge = false
		c.receiveSize(c.sizeBytes() - c.in.frames.Held())
	case c.in.frames.Held() > c.set.HeldBytesMax, c.in.big && !c.mayTake(), c.waitsForRoom():
		// Muted; progress arms again.
	default:
		c.in.receive = receiveStream
		c.shared.loop.Receive(c)
	}
}

// intoBytesMax is how many bytes of large frames one Poll may be asked for. What has come of
// them is copied within it, into memory that is new to it, at a millisecond for each; and 100
// frames may have come together.
const intoBytesMax = 2 << 20

// receiveRest receives the rest of a frame into its memory, in its turn.
func (c *Conn) receiveRest(rest []byte) {
	sh := c.shared
	if sh.buffers.into > 0 && sh.buffers.into+len(rest) > intoBytesMax {
		sh.buffers.intoWaits = true
		c.waitForPass()
		return
	}
	sh.buffers.into += len(rest)
	c.in.receive = receiveFrame
	sh.loop.ReceiveInto(c, rest)
}

// receiveSize receives the last n bytes of the size of the next frame on their own.
func (c *Conn) receiveSize(n int) {
	if c.big.head == nil {
		if c.big.head = c.shared.takeHead(); c.big.head == nil {
			c.memoryRefused()
			return
		}
	}
	c.in.receive = receiveSize
	c.shared.loop.ReceiveInto(c, c.big.head[:n])
}

// cut turns bytes into requests while the connection may have more in flight.
// lent is the completion whose data is being cut, nil if there is none.
func (c *Conn) cut(lent *engine.Completion) {
	if c.up != nil {
		c.cutReplies()
		return
	}
	if c.waits.ticket != nil && c.waits.ticket.Granted() && !c.mayCut() && !c.mayGoOn() {
		c.waits.leaveTurn() // others wait for it
	}
	if c.pipeline.unbegun != nil {
		c.goOn()
	}
	for c.pipeline.unbegun == nil && c.cutFrames(lent) {
	}
	c.shared.runs.cut = run{}
	if c.shared.batch.n > 0 {
		c.endBatch()
	}
	if r := c.shared.direct.job; r != nil && r.Frame != nil { // answered in a batch
		r.Reset()
	}
	if c.pipeline.inFlight == 0 && c.life < ending {
		c.settleMute()
	}
}

// cutFrames says that it is to be called again: a handler did not return.
func (c *Conn) cutFrames(lent *engine.Completion) (again bool) {
	defer c.survive(lent, &again)
	for c.shared.batch.n > 0 || c.mayCut() || c.mayFollow() { // while a batch grows, nothing else changes
		b, place, status := c.in.frames.Next(c.frameBytesMax())
		switch status {
		case frame.Whole:
			c.at.begun = 0
			if c.shared.batch.n == 0 && !c.mayBegin(b) { // what is answered in a batch is small
				c.in.frames.Unread(b, place)
				return false
			}
			if !c.dispatch(b, place, lent) {
				c.in.frames.Unread(b, place)
				if c.shared.runs.cut.last != nil {
					return false // the answers are the occasion to try again
				}
				c.waits.leaveTurn() // whoever has the bytes may wait for it
				c.waitForBytes(int64(len(b)), true)
				return false
			}
			if c.waits.gotBytes(); place == frame.InLent && c.shared.buffers.isLarge {
				c.cameLarge(len(b))
			}
		case frame.NeedBytes:
			return false
		case frame.NeedMemory:
			if c.shared.runs.cut.last != nil || !c.begin(lent) { // it is begun when nothing is in flight
				return false
			}
		case frame.TooBig:
			c.refuse(c.tooBig())
			return false
		case frame.Negative:
			c.refuse(reqchan.FrameSizeNegative)
			return false
		}
	}
	return false
}

// refuse ends a connection for a frame that can't be. What was asked before it
// is still answered, as it would be had the frame come later.
func (c *Conn) refuse(why reqchan.CloseReason) {
	if c.pipeline.inFlight == 0 { // else every answer brings cut back here
		c.finish(why)
	}
}

// tooBig says what the size of a frame is that is too big. A first one may be the
// beginning of something else than a frame.
func (c *Conn) tooBig() reqchan.CloseReason {
	if c.pipeline.cut > 0 {
		return reqchan.FrameTooBig
	}
	var first [frame.SizeBytes]byte
	binary.BigEndian.PutUint32(first[:], uint32(c.in.frames.Size()))
	switch {
	case IsTLS(first[:]) && c.secure == nil:
		return reqchan.TLSOnPlaintext
	case IsHTTP(first[:]):
		return reqchan.HTTPRequest
	}
	return reqchan.FrameTooBig
}

// begin takes memory for a frame that is not whole yet; false when the byte
// capacity is used up, and then it waits for that, or the connection has ended for want
// of memory. A big frame gets the socket for itself.
func (c *Conn) begin(lent *engine.Completion) bool {
	n := frame.SizeBytes + c.in.frames.Size()
	if !c.claim(claimBytes(n)) {
		c.waitForBytes(c.claimNeeds(claimBytes(n)), c.waits.here)
		return false
	}
	if !c.beginHere(lent) {
		memory, err := c.shared.cfg.Memory.TryGet(n)
		if err != nil {
			c.shared.unreserve(claimBytes(n))
			c.memoryRefused()
			return false
		}
		c.in.frames.Begin(memory)
	}
	c.at.begun, c.in.extended = c.shared.now, false
	c.waits.gotBytes()
	c.expectLike(n)
	if c.in.big && c.secure == nil && (c.big.large > 0 || len(c.in.frames.Rest()) >= c.set.BigFrameBytes/4) {
		c.EndStream()
	}
	return true
}

// Resume goes on with a connection that could not, once something changed.
func (c *Conn) Resume() {
	if c.life >= ending {
		return
	}
	c.cut(nil)
	if c.life >= ending || !c.settle() {
		return
	}
	if c.secure != nil {
		c.openFrames()
		if !c.keepWire() && c.life >= ending {
			return
		}
	}
	c.arm()
	c.finishIfIdle()
}

// atRest says that nothing but bytes from the peer can bring the connection on.
func (c *Conn) atRest() bool {
	return c.in.receive == receiveStream && c.mute == notMuted && c.life == serving && c.in.frames.Empty() && (c.secure == nil || c.secure.Held() == 0)
}

// abandonInput ends the receiving side.
func (c *Conn) abandonInput() {
	c.at.begun = 0
	if own := c.in.frames.Abandon(c.shared.cfg.Memory); c.up != nil {
		c.abandonReply(own)
	} else if own != nil {
		c.shared.unreserve(claimBytes(len(own)))
		if l := c.big.lease; l != nil {
			c.big.lease = nil
			c.shared.release(l)
		} else {
			c.shared.cfg.Memory.Put(own)
		}
	}
	c.shared.takeHeld(-c.in.held - c.header)
	c.in.held, c.header = 0, 0
}

// headBytes is how much memory there is for what is received of a big frame on its own.
const headBytes = replyHeadBytes

// sizeBytes is how much of a big frame is received on its own, before it has memory.
func (c *Conn) sizeBytes() int {
	if c.up != nil {
		return replyHeadBytes
	}
	return frame.SizeBytes
}

// headsPageBytes is how much memory for sizes is taken at once.
const headsPageBytes = 4 << 10

// takeHead finds memory for the size of a big frame; nil when the system refuses it.
func (sh *Shared) takeHead() *[headBytes]byte {
	if len(sh.sizes.free) == 0 {
		page, err := sh.cfg.Memory.TryGet(headsPageBytes)
		if err != nil {
			return nil
		}
		sh.sizes.pages = append(sh.sizes.pages, page)
		for ; len(page) >= headBytes; page = page[headBytes:] {
			sh.sizes.free = append(sh.sizes.free, (*[headBytes]byte)(page))
		}
	}
	h := sh.sizes.free[len(sh.sizes.free)-1]
	sh.sizes.free = sh.sizes.free[:len(sh.sizes.free)-1]
	return h
}

// waitForBuffer has c wait for a receive buffer: one of this pass is recycled before the
// next.
func (c *Conn) waitForBuffer() {
	c.waits.buffer = true
	c.in.doubted = 0 // what it would be received into came too late, not the bytes
	c.waitForPass()
}

// waitForPass has c try again in the next pass.
func (c *Conn) waitForPass() {
	if c.waits.pass {
		return
	}
	if !c.waits.again() {
		c.shared.count.Waits++
	}
	c.waits.pass = true
	c.shared.loop.RetryLater(c)
}

// WaitsForPass says that c waits for the next pass, and WaitsForBuffer that it is for a
// receive buffer.
func (c *Conn) WaitsForPass() bool { return c.waits.pass }

// WaitsForBuffer is beside WaitsForPass.
func (c *Conn) WaitsForBuffer() bool { return c.waits.pass && c.waits.buffer && c.life < ending }

// WaitsForBytes is how many bytes of the channel's capacity c waits for; 0: it waits for
// none. With fromCredit those that its processor has reserved will do as well.
func (c *Conn) WaitsForBytes() (n int64, fromCredit bool) {
	return c.waits.bytes, c.waits.fromCredit
}

// Retry has a connection that waited for a pass try again.
func (c *Conn) Retry() {
	c.waits.pass, c.waits.buffer = false, false
	c.Resume()
}

// RetryBytes has one that waited for bytes try again. If it does not ask for them now, it waits
// no longer: who asks later has not waited since then.
func (c *Conn) RetryBytes() {
	c.waits.bytes = 0
	if c.Resume(); c.waits.bytes == 0 {
		c.waits.since = 0
	}
}
