package processor

import (
	"syscall"

	"kring/engine"
	"kring/internal/frame"
	"kring/reqchan"
)

// received takes a completion of Recv: data is lent until it is recycled.
func (p *Processor) received(c *conn, done *engine.Completion) {
	if !done.More {
		c.receive, c.cancelled = receiveNone, false
	}
	if done.Res > 0 {
		p.feed(c, done.Data, done)
	}
	p.engine.Recycle(done) // lends nothing any more if a request kept it
	if !done.More {
		p.receiveEnded(c, done)
	}
}

// filled takes the completion of RecvInto: the size of a frame, or the rest of
// a big one, is where it belongs.
func (p *Processor) filled(c *conn, done *engine.Completion) {
	was := c.receive
	c.receive, c.cancelled = receiveNone, false
	if n := int(done.Res); n > 0 {
		if was == receiveSize {
			p.feed(c, c.head[:n], nil)
		} else {
			p.tookIn(c, n)
			p.count.bytesDirect += uint64(n)
			c.in.Filled(n)
			p.cut(c, nil)
		}
	}
	p.receiveEnded(c, done)
}

// feed cuts the frames out of data and keeps what is left. lent is the
// completion that lent data, nil if it is this package's own memory.
func (p *Processor) feed(c *conn, data []byte, lent *engine.Completion) {
	p.tookIn(c, len(data))
	if c.ending || c.finishing {
		return
	}
	if !c.in.Feed(data, p.cfg.Memory) {
		p.memoryRefused(c)
		return
	}
	p.cut(c, lent)
	if c.ending {
		return
	}
	if !p.settle(c) {
		return
	}
	switch {
	case p.scarce:
		p.endStream(c)
	case c.in.Held() > c.set.HeldBytesMax && c.receive == receiveStream && !c.cancelled:
		p.count.mutes++ // TCP pushes back from here
		p.endStream(c)
	}
}

// tookIn counts bytes that were received.
func (p *Processor) tookIn(c *conn, n int) {
	p.count.bytesIn += uint64(n)
	c.bytesIn += uint64(n)
	c.active, c.doubted = p.now, false
}

// settle ends a round of cutting; false: and the connection, for want of memory.
func (p *Processor) settle(c *conn) bool {
	ok := c.in.Settle(p.cfg.Memory)
	p.count.bytesInCopied += uint64(c.in.TakeCopied())
	if !ok {
		p.memoryRefused(c)
		return false
	}
	return p.countHeld(c)
}

// memoryRefused ends a connection that the system had no memory for.
func (p *Processor) memoryRefused(c *conn) {
	p.endBatch(c)
	p.terminate(c, reqchan.MemoryRefused)
}

// receiveEnded decides what follows the last completion of a receive.
func (p *Processor) receiveEnded(c *conn, done *engine.Completion) {
	switch errno := done.Errno(); {
	case c.ending:
		p.join(c)
	case errno == syscall.ENOBUFS:
		c.starved = true
		p.wait(c)
	case errno == syscall.ENOMEM:
		p.memoryRefused(c)
	case done.Res > 0 || errno == syscall.ECANCELED:
		p.arm(c)
	case done.Res == 0:
		c.eof = true
		c.info.SetGone(reqchan.PeerFinished) // what it sent is served; nobody reads the answers
		p.finishIfIdle(c)
	default:
		p.terminate(c, reqchan.PeerReset)
	}
}

// arm puts a receive up, of the kind that what comes next asks for, unless the
// connection is muted.
func (p *Processor) arm(c *conn) {
	if c.phase == retiring {
		p.mayMove(c)
		return
	}
	if c.receive != receiveNone || c.ending || c.finishing || c.eof {
		return
	}
	rest := c.in.Rest()
	switch {
	case p.scarce:
		p.armScarce(c)
	case c.big && rest != nil:
		p.receiveFrame(c, rest)
	case c.big && c.in.Empty():
		p.receiveSize(c, frame.SizeBytes)
	case c.in.Held() > c.set.HeldBytesMax, c.big && !p.mayCut(c):
		// Muted; progress arms again.
	default:
		c.receive = receiveStream
		p.engine.Recv(c.fd, c.token)
	}
}

// intoBytesMax is how many bytes of large frames one Poll may be asked for. What has come of
// them is copied within it, into memory that is new to it, at a millisecond for each; and 100
// frames may have come together.
const intoBytesMax = 2 << 20

// receiveFrame receives the rest of a frame into its memory, in its turn.
func (p *Processor) receiveFrame(c *conn, rest []byte) {
	if p.into > 0 && p.into+len(rest) > intoBytesMax {
		p.intoWaits = true
		p.wait(c)
		return
	}
	p.into += len(rest)
	c.receive = receiveFrame
	p.engine.RecvInto(c.fd, c.token, rest)
}

// receiveSize receives the last n bytes of the size of the next frame on their own.
func (p *Processor) receiveSize(c *conn, n int) {
	if c.head == nil {
		if c.head = p.takeHead(); c.head == nil {
			p.memoryRefused(c)
			return
		}
	}
	c.receive = receiveSize
	p.engine.RecvInto(c.fd, c.token, c.head[:n])
}

// mayCut says whether the connection may have one more request in flight.
func (p *Processor) mayCut(c *conn) bool {
	return c.inFlight < c.pipelineMax() && (c.turn == nil || c.turn.Granted()) && !c.mute.throttled() && !c.ending && !c.finishing && c.phase == serving &&
		(c.out == nil || c.out.queued < p.outputMax(c)) && (c.inFlight == 0 || p.mayCrowd(c))
}

// cut turns bytes into requests while the connection may have more in flight.
// lent is the completion whose data is being cut, nil if there is none.
func (p *Processor) cut(c *conn, lent *engine.Completion) {
	if c.turn != nil && c.turn.Granted() && !p.mayCut(c) {
		c.leaveTurn() // others wait for it
	}
	if c.unbegun != nil {
		p.goOn(c)
	}
	for c.unbegun == nil && p.cutFrames(c, lent) {
	}
	p.run = run{}
	if p.batch.n > 0 {
		p.endBatch(c)
	}
	if r := p.direct; r != nil && r.Frame != nil { // answered in a batch
		r.Reset()
	}
	if c.inFlight == 0 && !c.ending {
		p.settleMute(c)
	}
}

// cutFrames says that it is to be called again: a handler did not return.
func (p *Processor) cutFrames(c *conn, lent *engine.Completion) (again bool) {
	defer p.survive(c, lent, &again)
	for p.batch.n > 0 || p.mayCut(c) || p.mayFollow(c) { // while a batch grows, nothing else changes
		b, place, status := c.in.Next(c.frameBytesMax())
		switch status {
		case frame.Whole:
			c.begun = 0
			if p.batch.n == 0 && !p.mayBegin(c, b) { // what is answered in a batch is small
				c.in.Unread(b, place)
				return false
			}
			if !p.dispatch(c, b, place, lent) {
				c.in.Unread(b, place)
				if p.run.last != nil {
					return false // the answers are the occasion to try again
				}
				c.leaveTurn() // whoever has the bytes may wait for it
				p.waitForBytes(c, int64(len(b)), true)
				return false
			}
			c.hungry = 0
		case frame.NeedBytes:
			return false
		case frame.NeedMemory:
			if p.run.last != nil || !p.begin(c) { // it is begun when nothing is in flight
				return false
			}
		case frame.TooBig:
			p.refuse(c, reqchan.FrameTooBig)
			return false
		case frame.Negative:
			p.refuse(c, reqchan.FrameSizeNegative)
			return false
		}
	}
	return false
}

// refuse ends a connection for a frame that can't be. What was asked before it
// is still answered, as it would be had the frame come later.
func (p *Processor) refuse(c *conn, why reqchan.CloseReason) {
	if c.inFlight == 0 { // else every answer brings cut back here
		p.finish(c, why)
	}
}

// begin takes memory for a frame that is not whole yet; false when the byte
// capacity is used up, and then it waits for that, or the connection has ended for want
// of memory. A big frame gets the socket for itself.
func (p *Processor) begin(c *conn) bool {
	n := frame.SizeBytes + c.in.Size()
	if !p.claim(c, claimBytes(n)) {
		p.waitForBytes(c, p.claimNeeds(c, claimBytes(n)), c.here)
		return false
	}
	memory, err := p.cfg.Memory.TryGet(n)
	if err != nil {
		p.unreserve(claimBytes(n))
		p.memoryRefused(c)
		return false
	}
	c.in.Begin(memory)
	c.begun, c.extended, c.hungry = p.now, false, 0
	c.big = n-frame.SizeBytes >= c.set.BigFrameBytes
	if c.big && len(c.in.Rest()) >= c.set.BigFrameBytes/4 {
		p.endStream(c)
	}
	return true
}

// progress goes on with a connection that could not, once something changed.
func (p *Processor) progress(c *conn) {
	if c.ending {
		return
	}
	p.cut(c, nil)
	if c.ending || !p.settle(c) {
		return
	}
	p.arm(c)
	p.finishIfIdle(c)
}

// atRest says that nothing but bytes from the peer can bring the connection on.
func (c *conn) atRest() bool {
	return c.receive == receiveStream && c.mute == notMuted && c.phase == serving && !c.finishing && !c.eof && c.in.Empty()
}

// wait puts the connection on the list that every pass tries again: a buffer of this
// pass is recycled before the next.
func (p *Processor) wait(c *conn) {
	if !c.waiting {
		c.waiting = true
		p.count.waits++
		p.waiting = append(p.waiting, c)
	}
}

func (p *Processor) retryWaiting() {
	n := len(p.waiting)
	fed := p.pinned == 0 || p.unpinned // else a receive would only starve again
	p.unpinned, p.intoWaits = false, false
	for _, c := range p.waiting[:n] {
		switch {
		case !c.waiting: // gone, and its place is another's
		case c.starved && !fed && !c.ending && !p.scarce:
			p.waiting = append(p.waiting, c)
		default:
			c.waiting, c.starved = false, false
			p.progress(c)
		}
	}
	left := copy(p.waiting, p.waiting[n:])
	clear(p.waiting[left:])
	p.waiting = p.waiting[:left]
}

// abandonInput ends the receiving side.
func (p *Processor) abandonInput(c *conn) {
	c.begun = 0
	if own := c.in.Abandon(p.cfg.Memory); own != nil {
		p.unreserve(claimBytes(len(own)))
		p.cfg.Memory.Put(own)
	}
	p.takeHeld(-c.held)
	c.held = 0
}

// takeHead finds memory for the size of a big frame; nil when the system refuses it.
func (p *Processor) takeHead() []byte {
	if len(p.heads) == 0 {
		page, err := p.cfg.Memory.TryGet(headsPageBytes)
		if err != nil {
			return nil
		}
		p.headPages = append(p.headPages, page)
		for ; len(page) >= frame.SizeBytes; page = page[frame.SizeBytes:] {
			p.heads = append(p.heads, page[:frame.SizeBytes:frame.SizeBytes])
		}
	}
	h := p.heads[len(p.heads)-1]
	p.heads = p.heads[:len(p.heads)-1]
	return h
}
