package conn

import (
	"sync/atomic"

	"kring/engine"
	"kring/internal/slab"
	"kring/reqchan"
)

// Transport stands between the bytes on the wire and the bytes of frames. nil is plain:
// what is received are frames, big ones where they will live, and responses are sent from
// where they lie; all that a plain connection has of this is a look whether there is one.
//
// Its calls never block. What it has to wait for itself (a handshake on a goroutine of its
// own) ends with a call of what MakeTransport was given. Until then Read gives nothing, and
// so there is no request; Seal sends what it has of its own.
type Transport interface {
	// Waits says that it waits for something of its own: the connection does not go on with
	// another processor meanwhile.
	Waits() bool
	// Open says that it carries frames: its handshake is over.
	Open() bool
	// Feed lends bytes off the wire until Keep, and they may be written to. nil says that
	// the peer sends no more.
	Feed(wire []byte)
	// Keep ends that, and is called after each Read as well: what was not opened of them moves to memory, nil: it is forgotten.
	// false: the system refused that.
	Keep(memory *slab.Pool) bool
	// Held is how much memory it keeps for that.
	Held() int
	// Full says that it has more than a record or two of what it was fed, and goes on
	// without more: nothing is received meanwhile. When that changes by itself, it moves.
	Full() bool
	// Read opens bytes into b, as many as there are. Without any, end says why there will
	// be none ever: PeerFinished after an end in order; ReasonNone while there may be, but
	// never after Feed(nil).
	Read(b []byte) (n int, end reqchan.CloseReason)
	// Sealed is how many bytes Seal appends at most for so many, which are sealBytes at
	// most; it is never more than slab.ArenaChunkBytes. For 0 it is what the
	// transport has to send of its own: more than 0 says that it is to be asked for that, and
	// more than OwnBesidePlainMax that it is not asked for anything else.
	Sealed(plain int) int
	// Seal appends to wire what the transport has to send of its own, and then what sends
	// plain. wire has the room that Sealed has asked for, beyond which nothing is written, and
	// is kept until it is sent. end says why nothing of plain was sealed, and nothing will
	// ever be: the transport has said its last word.
	Seal(wire, plain []byte) (sealed []byte, end reqchan.CloseReason)
	// End is called before an orderly close: Seal sends the last bytes, if there are any.
	End()
	// Close is the last call, whatever became of the connection; memory is Keep's.
	Close(memory *slab.Pool)
}

// ComputingTransport is a Transport that works on goroutines of its own.
type ComputingTransport interface {
	Transport
	// TellWork is called before everything else. Any goroutine may call tell, while it
	// Waits, with 1 when a goroutine has something to do, and with -1 when it has not.
	TellWork(tell func(n int32))
	// Worked is for how long until now, of reqchan.Now, goroutines had something to do that it
	// Waits for, or waited for their turn to: what is not its peer's time. Otherwise it is 0.
	Worked(now int64) int64
}

// MakeTransport makes the transport of a new connection. Any goroutine may call moved, when
// the transport has got on by itself, while it Waits.
type MakeTransport func(info *reqchan.Conn, moved func()) Transport

const (
	// openBytes is what is opened at once into memory that all connections share, and
	// sealBytes what is sealed as one piece: a TLS record.
	openBytes = 16 << 10
	sealBytes = 16 << 10
	// OwnBesidePlainMax is how much of its own a transport sends in one piece with output: a
	// ticket with the certificates of its client is longer.
	OwnBesidePlainMax = 4 << 10
	// sealedPiecesMax bounds the pieces of one Send.
	sealedPiecesMax = 8
)

// secure is what a connection has that is not plain.
//
// Invariant: plain is the sum of what its pieces stand for, and the output's first bytes.
type secure struct {
	Transport
	since  int64                 // when it began, behind a preface, or later, see handshakeLate
	owner  atomic.Pointer[owner] // whom the transport tells that it has got on by itself
	pieces []sealed
	plain  int
	ended  bool // it says its last word, or has: output that is not sealed never leaves
	over   bool // the peer has ended, the wire or its side: nothing more is received
	late   bool // it is not open in its time, and has had more
}

// owner is whose loop the connection has, and by which token: it changes when the connection
// goes on with another processor. Order: Attach stores it before it asks the transport for
// anything; what the transport begins to wait for then ends with the new one.
type owner struct {
	loop  Loop
	token engine.Token
	work  *atomic.Int32 // its Shared's
}

// sealed is a piece of what is sent; plain is how many bytes of the output it sends.
type sealed struct {
	wire  []byte
	chunk *slab.Chunk
	held  int // what it counts for in bounds.output
	plain int
}

func (c *Conn) secureBy(make MakeTransport) {
	s := &secure{since: c.shared.now}
	s.owner.Store(&owner{c.shared.loop, c.token, &c.shared.work})
	s.Transport = make(c.info, func() {
		o := s.owner.Load()
		o.loop.Submit(o.token, (*Conn).transportMoved)
	})
	if w, is := s.Transport.(ComputingTransport); is {
		w.TellWork(func(n int32) { s.owner.Load().work.Add(n) })
	}
	c.secure = s
}

// transportMoved goes on with a connection whose transport has got on by itself.
func (c *Conn) transportMoved() {
	c.Resume()
	c.sendOwn()
	if c.up != nil {
		c.sayOpened()
	}
}

// sendOwn has what the transport has of its own sent.
func (c *Conn) sendOwn() {
	if s := c.secure; s != nil && c.life < ending && s.Sealed(0) > 0 {
		c.shared.loop.SendLater(c)
	}
}

// fromWire takes received bytes to the transport, and what it opens of them to the frames.
func (c *Conn) fromWire(wire []byte) {
	c.recordReceived(len(wire))
	if c.refused.is {
		c.dropRefused(len(wire))
		return
	}
	c.secure.Feed(wire)
	c.openFrames()
	if c.keepWire() && c.secure.Full() {
		c.EndStream()
	}
	c.sendOwn()
}

// keepWire has the transport keep what could not be opened, and counts it; false: the
// connection has ended.
func (c *Conn) keepWire() bool {
	if c.life >= finishing {
		c.secure.Keep(nil)
		return false
	}
	if !c.secure.Keep(c.shared.cfg.Memory) {
		c.memoryRefused()
		return false
	}
	return c.countHeld()
}

// openFrames opens what the transport has, as far as there is a place for it: a frame that
// has memory of its own is opened into that. The rest waits in the transport, which is what
// TCP pushes back from then.
func (c *Conn) openFrames() {
	for c.life < finishing {
		b := c.in.frames.Rest()
		own := b != nil
		if !own {
			if !c.mayHold() {
				return
			}
			b = c.shared.openInto()
		}
		n, end := c.secure.Read(b)
		if c.at.usable == 0 && c.secure.Open() {
			c.at.usable = c.shared.now
		}
		if n == 0 {
			c.peerEnded(end)
			return
		}
		if !own {
			c.take(b[:n], c.shared.lendOpened())
			continue
		}
		c.in.frames.AddFilled(n)
		if c.cut(nil); c.life < ending {
			c.settle()
		}
	}
}

// mayHold says that there is a place for bytes that may have to wait to be cut: there is
// until more than HeldBytesMax wait. While held memory is scarce there is when a request may
// start, or for the size of the next.
func (c *Conn) mayHold() bool {
	if c.waitsForRoom() {
		return false
	}
	if held := c.in.frames.Held(); !c.shared.scarce {
		return held <= c.set.HeldBytesMax
	} else {
		return held < c.sizeBytes() && c.mayTake()
	}
}

// peerEnded is told why the transport opens nothing more.
func (c *Conn) peerEnded(why reqchan.CloseReason) {
	switch {
	case why == reqchan.ReasonNone || c.in.receive == receiveOver:
	case why != reqchan.PeerFinished:
		c.refuseBytes(why)
	case c.in.receive.up(): // an end in order, while a receive stands: arm goes on when that has ended
		c.secure.over = true
		c.cancelReceive()
	default:
		c.peerFinished()
	}
}

// openInto is memory that is free between two calls of Read.
func (sh *Shared) openInto() []byte {
	s := &sh.scratch
	if n := len(s.spare); s.opened == nil && n > 0 {
		s.opened, s.spare = s.spare[n-1], s.spare[:n-1]
	} else if s.opened == nil {
		s.opened = make([]byte, openBytes)
	}
	return s.opened
}

// lendOpened lends openInto's memory, as the engine lends what it has received: a request whose
// handler runs here lies in it, and may keep it.
func (sh *Shared) lendOpened() *engine.Completion {
	sh.scratch.lent = engine.Completion{Data: sh.scratch.opened}
	return &sh.scratch.lent
}

// armSecure puts a receive up, of whatever comes: nobody knows how long a frame is on the
// wire.
func (c *Conn) armSecure() {
	switch {
	case c.secure.over:
		c.openFrames()
	case !c.secure.Full() && (c.in.frames.Rest() != nil || c.mayHold()):
		c.in.receive = receiveStream
		c.shared.loop.Receive(c)
	}
}

// sendSealed is Send of a connection that is not plain.
func (c *Conn) sendSealed() {
	s := c.secure
	c.readAhead()
	if c.life >= ending || !c.seal() {
		return
	}
	if len(s.pieces) == 0 {
		if s.ended {
			c.dropUnsealed()
			c.finishIfIdle()
		}
		return
	}
	o := c.out.unsent
	o.buffers = o.buffers[:0]
	for i := range s.pieces {
		o.buffers = append(o.buffers, s.pieces[i].wire)
	}
	c.give(o)
}

// seal seals output until there are as many pieces as one Send takes; false: the system
// refused memory, and the connection ends.
func (c *Conn) seal() bool {
	s := c.secure
	for len(s.pieces) < sealedPiecesMax {
		plain := c.unsealed()
		if s.Sealed(0) > OwnBesidePlainMax {
			plain = nil
		}
		n := s.Sealed(len(plain))
		if n == 0 {
			return true
		}
		c.output()
		if s.pieces == nil {
			s.pieces = c.out.unsent.sealed
		}
		room, chunk := c.shared.arena.OpenPiece(n)
		if chunk == nil {
			c.memoryRefused()
			return false
		}
		wire, end := s.Seal(room[:0:n], plain)
		c.shared.arena.ClosePiece(chunk, len(wire))
		if end != reqchan.ReasonNone {
			plain = nil
			c.sealsNoMore(end)
		}
		if len(wire) == 0 {
			c.shared.arena.Release(chunk)
			return true
		}
		c.shared.holdOutput(len(wire))
		s.pieces = append(s.pieces, sealed{wire: wire, chunk: chunk, held: len(wire), plain: len(plain)})
		s.plain += len(plain)
		if len(plain) == 0 {
			return true
		}
	}
	return true
}

// sealsNoMore ends a connection whose output can't leave any more, for why: its transport has
// said its last word before its bytes were seen to be none.
func (c *Conn) sealsNoMore(why reqchan.CloseReason) {
	c.secure.ended = true
	if c.life < finishing {
		c.refused.is = !c.secure.over && c.set.Shortest() > 0
		c.finish(why)
	}
}

// dropUnsealed forgets the output that will never be sealed: a connection does not end before
// all is sent that it has. If a file of it is being read, that ends first.
func (c *Conn) dropUnsealed() {
	if c.out.reading == nil {
		c.waits.leaveLine()
		c.dropOutput()
	}
}

// unsealed is output that is to be sealed, in one piece: from where it lies, or, where
// segments are small, together.
func (c *Conn) unsealed() []byte {
	o, skip, n := c.out.unsent, c.secure.plain, 0
	if o == nil || c.secure.ended {
		return nil
	}
	for i := o.at; i < len(o.segments) && o.segments[i].file == nil; i++ {
		b := o.segments[i].bytes
		if skip >= len(b) {
			skip -= len(b)
			continue
		}
		b, skip = b[skip:], 0
		if n == 0 && (len(b) >= sealBytes || i+1 == len(o.segments)) {
			return b[:min(len(b), sealBytes)]
		}
		if c.shared.scratch.plain == nil {
			c.shared.scratch.plain = make([]byte, sealBytes)
		}
		if n += copy(c.shared.scratch.plain[n:], b); n == sealBytes {
			break
		}
	}
	return c.shared.scratch.plain[:n]
}

// sentSealed takes n bytes off what is sealed, and what they stand for off the output.
func (c *Conn) sentSealed(n int) {
	s, plain, done := c.secure, 0, 0
	for n > 0 {
		p := &s.pieces[done]
		if n < len(p.wire) {
			p.wire = p.wire[n:]
			break
		}
		n -= len(p.wire)
		plain += p.plain
		c.shared.releaseSealed(p)
		done++
	}
	left := copy(s.pieces, s.pieces[done:])
	clear(s.pieces[left:])
	s.pieces = s.pieces[:left]
	s.plain -= plain
	if c.out.unsent.queued > 0 || plain > 0 {
		c.advance(plain)
	} else if left == 0 {
		c.dropOutput() // there was only what the transport sent of its own
	}
	if left == 0 && s.ended {
		c.dropUnsealed()
	}
}

func (sh *Shared) releaseSealed(p *sealed) {
	sh.arena.Release(p.chunk)
	sh.letOutputGo(p.held)
}

// dropSealed forgets what is sealed; no Send is outstanding.
func (c *Conn) dropSealed() {
	s := c.secure
	if s == nil {
		return
	}
	for i := range s.pieces {
		c.shared.releaseSealed(&s.pieces[i])
	}
	if o := c.out.unsent; o != nil { // whoever has that next seals, too; an idle connection has neither
		clear(s.pieces)
		o.sealed = s.pieces[:0]
	}
	s.pieces, s.plain = nil, 0
}

// unsent says that something of the transport's own is still to be sent.
func (c *Conn) unsent() bool { return c.secure != nil && c.secure.Sealed(0) > 0 }

// end closes a connection that has nothing left to do, for why: in order, which is with the
// transport's last bytes.
func (c *Conn) end(why reqchan.CloseReason) {
	if s := c.secure; s != nil && !s.ended {
		s.ended = true
		if s.End(); s.Sealed(0) > 0 {
			c.become(toFinish)
			c.reason = why
			c.shared.loop.SendLater(c)
			return
		}
	}
	if c.refused.is {
		c.awaitRefused()
		return
	}
	c.terminate(why)
}
