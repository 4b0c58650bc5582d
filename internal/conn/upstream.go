package conn

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"syscall"

	"kring/engine"
	"kring/internal/budget"
	"kring/internal/frame"
	"kring/reqchan"
)

// A connection that this side makes is the same state machine in the other direction: it
// connects first, it sends frames that nobody asked for, and the frames that come are no
// requests but go to its Owner. So it has no jobs, no mute state and nothing in flight; its
// life, its transport, its output, its deadlines and its bounds are those of any other.
//
// What it receives is not counted among requests: these hold the request channel's bytes
// until they are answered, and would wait for answers that find no bytes. A frame lies in
// lent memory, in memory that its Owner gave, or in memory that counts as a response: see
// reply_room.go.

const (
	// replyHeadBytes are the size of a frame and its correlation id: by these its Owner
	// says where it is to lie.
	replyHeadBytes = frame.SizeBytes + 4
	// writePieceBytes is how much of a frame is copied at once.
	writePieceBytes = 16 << 10
)

// Owner is told of a connection that this side made. Its calls come one at a time, on the
// goroutine of the processor, and must not block or call the connection.
type Owner interface {
	// Opened: it is connected, and its transport carries frames.
	Opened()
	// FrameBegins: a frame of size bytes has begun, of which the first four are
	// correlationID. into is where it is to lie, at least so long, in memory that the
	// kernel may write to, and is the connection's until Frame or Closed; nil: in memory of
	// its own. An error ends the connection.
	FrameBegins(size int, correlationID int32) (into []byte, err error)
	// Frame: a frame is whole. It lies in into, or in memory that is valid until Frame
	// returns.
	Frame(payload []byte)
	// Closed is the last call, after every end. err says more than why, if anybody knows more.
	// If it is engine.ErrMemoryHeld, the kernel may still write to into, and send from Parts
	// whose Done had that error: that memory must not be used again.
	Closed(why reqchan.CloseReason, err error)
}

// Outgoing is a frame to be sent, its size included.
type Outgoing struct {
	// Parts lie in slab memory if they are longer than Settings.PackedBytesMax and not
	// Copied: then they are sent from where they lie.
	Parts  [][]byte
	Copied bool
	// NoReply: no frame comes for it.
	NoReply bool
	// Done, if set, is called once, when the memory of Parts is not needed any more. begun
	// says that bytes of it may have left; err why not all of them did, nil if they did.
	Done func(begun bool, err error)
}

// ErrNotSent is why a frame was not sent, where nothing better is known.
var ErrNotSent = errors.New("the connection ended before all of the frame was sent")

// upstream is what a connection has that this side makes.
type upstream struct {
	owner    Owner
	openBy   int64 // of Shared.now; 0: there is no deadline
	had      int64 // how long it had until then
	doubted  int64 // when it was late for the first time
	pending  bool  // Loop.Connect is outstanding
	opened   bool  // Owner.Opened was called
	paused   bool
	lost     bool           // the kernel keeps memory that its Owner thinks of as its own:
	lostSend bool           // of Parts
	given    bool           // the frame that is begun lies in memory of its Owner
	own      int            // bytes of memory of the pool that the frame begun has, as counted in bounds.output
	room     *budget.Ticket // what it has of the budget of responses instead; nil: nothing

	frames   int64 // sent less received
	writes   []write
	queued   int64 // bytes that were ever queued
	sent     int64 // bytes that were ever sent
	handed   int64 // bytes that were ever handed to the engine, or sealed
	err      error // what broke it
	closedBy error // what Close was called with
}

// frameError says that a frame has a size that none may have.
type frameError struct{ size, most int }

func (e *frameError) Error() string {
	return fmt.Sprintf("a frame of %d bytes: from %d to %d are taken", e.size, replyHeadBytes-frame.SizeBytes, e.most)
}

// write is a frame of which not all is sent; it ends at byte end of all that were queued.
type write struct {
	begin, end int64
	done       func(bool, error)
}

// OpenUpstream begins the life of a connection to an address, in c, whose life before has
// ended. openBy is when it must be open, in Shared.now; 0: there is no such time.
func (c *Conn) OpenUpstream(sh *Shared, token engine.Token, info *reqchan.Conn, from *Listener, to netip.AddrPort, openBy int64, owner Owner) {
	c.renew(sh, token, info, from, false)
	c.up = &upstream{owner: owner, openBy: openBy, had: max(openBy-sh.now, 0), pending: true}
	c.become(toConnect)
	sh.count.Upstreams++
	sh.loop.SetDeadline(c)
	sh.loop.Connect(c, to)
}

// Connected takes the completion of Loop.Connect.
func (c *Conn) Connected(done *engine.Completion) {
	c.up.pending = false
	switch {
	case c.life >= ending:
		c.join()
	case done.Res < 0:
		c.up.err = done.Errno()
		c.terminate(reqchan.BackendFailed)
	default:
		c.become(connected)
		c.at.active = c.shared.now
		if c.set.Transport != nil {
			c.secureBy(c.set.Transport)
			c.Resume()
			c.sendOwn()
			return
		}
		c.sayOpened()
		c.arm()
	}
}

// sayOpened tells the Owner that frames may go, once.
func (c *Conn) sayOpened() {
	if u := c.up; !u.opened && c.life == serving && (c.secure == nil || c.secure.Open()) {
		u.opened = true
		u.owner.Opened()
	}
}

// WriteFrame queues a frame; call it after Owner.Opened. In a connection that has ended, or says
// its last word, it is done at once.
func (c *Conn) WriteFrame(w *Outgoing) {
	if c.life >= finishing {
		if w.Done != nil {
			w.Done(false, ErrNotSent)
		}
		return
	}
	u, o, packed := c.up, c.output(), true
	begin := u.queued
	for _, part := range w.Parts {
		u.queued += int64(len(part))
		o.queued += len(part)
		if len(part) > c.set.PackedBytesMax && !w.Copied {
			o.segments = append(o.segments, segment{bytes: part})
			continue
		}
		for ; packed && len(part) > 0; part = part[min(len(part), writePieceBytes):] {
			packed = c.shared.pack(o, part[:min(len(part), writePieceBytes)])
		}
	}
	if !w.NoReply {
		u.frames++
	}
	u.writes = append(u.writes, write{begin, u.queued, w.Done})
	if !packed {
		c.memoryRefused()
		return
	}
	c.shared.loop.SendLater(c)
}

// handedOut notes what the engine was handed, or what was sealed for it.
func (u *upstream) handedOut(c *Conn) {
	if c.secure != nil {
		u.handed = max(u.handed, u.sent+int64(c.secure.plain))
		return
	}
	n := 0
	for _, b := range c.out.unsent.buffers {
		n += len(b)
	}
	u.handed = max(u.handed, u.sent+int64(n))
}

// sentMore notes that n more bytes are out.
func (u *upstream) sentMore(n int) {
	u.sent += int64(n)
	done := 0
	for ; done < len(u.writes) && u.writes[done].end <= u.sent; done++ {
		if f := u.writes[done].done; f != nil {
			f(true, nil)
		}
	}
	left := copy(u.writes, u.writes[done:])
	clear(u.writes[left:])
	u.writes = u.writes[:left]
}

// dropWrites says of every frame that is left that it will not be sent; no Send is
// outstanding.
func (u *upstream) dropWrites() {
	for _, w := range u.writes {
		if w.done != nil {
			w.done(w.begin < u.handed, u.notSent(w.begin < u.handed))
		}
	}
	if cap(u.writes) > writesKeptMax {
		u.writes = nil
		return
	}
	clear(u.writes)
	u.writes = u.writes[:0]
}

// writesKeptMax bounds the room for writes that a connection keeps when all are done.
const writesKeptMax = 64

// notSent is why a frame was not sent, or not all of it.
func (u *upstream) notSent(begun bool) error {
	switch {
	case begun && u.lostSend:
		return engine.ErrMemoryHeld
	case u.err != nil:
		return u.err
	}
	return ErrNotSent
}

// Pause has no further frame be cut; what arrives meanwhile is held up to HeldBytesMax, and
// then TCP pushes back. Unpause ends that.
func (c *Conn) Pause() {
	c.up.paused = true
	c.waits.leaveTurn() // others may have the room meanwhile
}

// Unpause is beside Pause.
func (c *Conn) Unpause() {
	if c.up.paused {
		c.up.paused = false
		if c.life == serving {
			c.Resume()
		}
	}
}

// CloseUpstream ends the connection at once; why is what its Owner is told.
func (c *Conn) CloseUpstream(why error) {
	if c.life < ending {
		c.up.closedBy = why
		c.terminate(reqchan.HandlerClosed)
	}
}

// EndUpstream ends it if all that was queued is sent, and, with replies (its processor is
// taken away), as many frames came as went. It says whether the connection is ending.
func (c *Conn) EndUpstream(replies bool) bool {
	if c.life == serving && (c.out.unsent != nil || c.out.sending || c.unsent() || replies && c.up.frames > 0) {
		return false
	}
	switch {
	case c.life >= ending:
	case replies:
		c.end(reqchan.ListenerRemoved)
	default:
		c.end(reqchan.ServerDraining)
	}
	return true
}

// mayTake says that a frame may be cut, of either kind.
func (c *Conn) mayTake() bool {
	if c.up != nil {
		return !c.up.paused && c.life == serving && !c.waitsForRoom()
	}
	return c.mayCut()
}

// cutReplies hands frames to the Owner while it wants some.
func (c *Conn) cutReplies() {
	for c.mayTake() {
		b, place, status := c.in.frames.Next(c.set.FrameBytesMax)
		switch status {
		case frame.Whole:
			if place != frame.InOwn && !c.hasRoom(len(b)) {
				if c.life < ending {
					c.in.frames.Unread(b, place)
				}
				return
			}
			c.at.begun = 0
			c.reply(b, place)
		case frame.NeedBytes:
			c.replyEnds()
			return
		case frame.NeedMemory:
			if !c.beginReply() {
				return
			}
		case frame.TooBig:
			c.up.broke(&frameError{c.in.frames.Size(), c.set.FrameBytesMax})
			c.terminate(reqchan.FrameTooBig)
		case frame.Negative:
			c.terminate(reqchan.FrameSizeNegative)
		}
	}
}

// reply hands over a frame that is whole.
func (c *Conn) reply(b []byte, place frame.Location) {
	u := c.up
	given, own := u.given, u.own
	u.given, u.own = false, 0
	payload := b
	if !given {
		payload = b[frame.SizeBytes:]
	}
	if len(payload) < replyHeadBytes-frame.SizeBytes {
		u.broke(&frameError{len(payload), c.set.FrameBytesMax})
		c.terminate(reqchan.HeaderMalformed)
	} else {
		u.frames--
		c.sayOpened()
		u.owner.Frame(payload)
	}
	if place == frame.InOwn && !given {
		c.shared.cfg.Memory.Put(b)
		c.shared.letOutputGo(own)
	}
	u.letRoomGo()
	c.roomTaken(false)
}

// beginReply asks the Owner where a frame is to lie that is not whole; false: too little of
// it is there, or the connection has ended.
func (c *Conn) beginReply() bool {
	u, n, head := c.up, c.in.frames.Size(), c.in.frames.Peek()
	if n < replyHeadBytes-frame.SizeBytes {
		u.broke(&frameError{n, c.set.FrameBytesMax})
		c.terminate(reqchan.HeaderMalformed)
		return false
	}
	if len(head) < replyHeadBytes || c.in.receive == receiveOver {
		c.replyEnds()
		return false
	}
	if !c.hasRoom(frame.SizeBytes + n) {
		return false
	}
	into, err := u.owner.FrameBegins(n, int32(binary.BigEndian.Uint32(head[frame.SizeBytes:])))
	if err != nil {
		c.CloseUpstream(err)
		return false
	}
	if len(into) >= n {
		u.given = true
		c.in.frames.BeginWithoutSize(into[:n:n])
	} else {
		memory, err := c.shared.cfg.Memory.TryGet(frame.SizeBytes + n)
		if err != nil {
			c.memoryRefused()
			return false
		}
		if c.waits.ticket == nil {
			u.own = len(memory)
			c.shared.holdOutput(u.own)
		}
		c.in.frames.Begin(memory)
	}
	c.roomTaken(!u.given)
	c.at.begun, c.in.extended = c.shared.now, false
	if c.in.big = n >= c.set.BigFrameBytes; c.in.big && c.secure == nil && len(c.in.frames.Rest()) >= c.set.BigFrameBytes/4 {
		c.EndStream()
	}
	return true
}

// replyEnds ends a connection whose peer has finished, once all that came before was cut.
func (c *Conn) replyEnds() {
	if c.in.receive != receiveOver || c.life != serving {
		return
	}
	if c.in.frames.Empty() {
		c.up.broke(io.EOF)
	} else {
		c.up.broke(io.ErrUnexpectedEOF)
	}
	c.terminate(reqchan.PeerFinished)
}

// broke notes what broke the connection, if nothing did before.
func (u *upstream) broke(err error) {
	if u.err == nil {
		u.err = err
	}
}

// abandonReply gives back the memory of a frame that will not be whole.
func (c *Conn) abandonReply(own []byte) {
	u := c.up
	if own != nil && !u.given {
		c.shared.cfg.Memory.Put(own)
		c.shared.letOutputGo(u.own)
	}
	u.given, u.own = false, 0
	u.letRoomGo()
	c.waits.leaveTurn()
}

// loseReply forgets memory that the kernel keeps, of an engine that is closed.
func (c *Conn) loseReply() {
	u := c.up
	u.lostSend = c.out.sending && c.secure == nil // else what is sent is ours
	u.lost = c.in.receive == receiveFrame && u.given || u.lostSend
	if c.in.receive == receiveFrame {
		own := c.in.frames.DropFrame()
		if !u.given {
			c.shared.count.Lost += uint64(len(own))
			c.shared.letOutputGo(u.own)
		}
		u.given, u.own = false, 0
		u.letRoomGo()
	}
}

// late says that it should be open by now.
func (u *upstream) late(now int64) bool { return u.openBy > 0 && !u.opened && now >= u.openBy }

// mayOpen gives a connection that is late for the first time as long as the look is late, at most
// what it had: the process may have been stopped meanwhile. Only once.
func (u *upstream) mayOpen(now int64) bool {
	if u.doubted == 0 {
		u.doubted, u.openBy = now, now+min(now-u.openBy, u.had)
	}
	return u.doubted == now // or two deadlines have passed at one look
}

// upstreamLate ends a connection that did not open in its time.
func (c *Conn) upstreamLate() {
	c.up.broke(context.DeadlineExceeded)
	c.terminate(reqchan.BackendFailed)
}

// applyUpstream is ApplySettings for a connection that this side made: it ends by
// EndUpstream, or when everybody is cut off.
func (c *Conn) applyUpstream() {
	if max(c.shared.phase, c.from.Phase()) >= Cutting {
		c.cutOff(c.endReason())
	}
}

// upstreamClosed tells the Owner, at the end of its life.
func (c *Conn) upstreamClosed() {
	u := c.up
	c.shared.count.UpstreamsClosed++
	err := u.closedBy
	if err == nil {
		err = c.upstreamError()
	}
	if u.lost {
		err = errors.Join(err, engine.ErrMemoryHeld)
	}
	u.owner.Closed(c.reason, err)
}

func (c *Conn) upstreamError() error {
	switch {
	case c.up.err != nil:
		return c.up.err
	case c.info.EndDetail() != nil:
		return c.info.EndDetail()
	}
	switch c.reason {
	case reqchan.IdleExpired, reqchan.WriteTimeout, reqchan.FrameTimeout:
		return os.ErrDeadlineExceeded
	case reqchan.PeerFinished:
		return io.EOF
	case reqchan.Truncated:
		return io.ErrUnexpectedEOF
	case reqchan.PeerReset:
		return syscall.ECONNRESET
	case reqchan.MemoryRefused, reqchan.HeldMemoryFull, reqchan.ResponseMemoryFull:
		return syscall.ENOMEM
	}
	return nil
}
