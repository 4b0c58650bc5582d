package conn

import (
	"kring/engine"
	"kring/internal/budget"
	"kring/internal/frame"
	"kring/internal/measure"
	"kring/reqchan"
)

// Conn is one connection: bytes, answers, completions, settings and the clock go in,
// and what it wants done goes to its Loop. It belongs to its processor's goroutine.
//
// Many connections have one request each in a pass, and for each of them lines of the cache
// come from farther away. So what every request looks at lies together: a group that has
// such fields has them in front, and where one has others, those are last.
type Conn struct {
	shared  *Shared
	token   engine.Token
	info    *reqchan.Conn
	set     *Settings
	preface *preface  // nil: nothing comes before the connection's own bytes
	up      *upstream // nil: the peer made it, and its frames are requests
	secure  *secure   // nil: the bytes on the wire are those of frames
	reason  reqchan.CloseReason
	life    life
	mute    muteState
	lenient bool // its time to authenticate has been extended, see authLate
	touched bool // it is in Shared.touched, or nobody counts

	in       arrival  // bytes, up to whole frames
	pipeline pipeline // requests that were cut, up to their answers
	waits    waits    // what has to come before it goes on
	out      output   // answers, up to the last byte sent
	at       moments

	big  bigFrames
	pace pace
	told use // what of it was counted with its client id
	from *Listener

	refused refusal
	header  int // memory that a PROXY protocol header takes, as counted
}

// arrival is what comes from the peer, and how it is received.
type arrival struct {
	frames frame.Stream
	bytes  uint64 // received
	held   int    // memory that frames holds, as counted

	receive   receiveState
	cancelled bool  // the receive that is armed was told to end
	big       bool  // the last frame was big: sizes are received on their own, or with it
	noLarge   bool  // every large buffer was lent when the last ReceiveLarge had data
	extended  bool  // the frame begun has had its time twice, see extend
	doubted   int64 // of Shared.now; it seemed idle at that look, see peerWrites; 0: it did not
	fits      fits
}

// bigFrames are received with these beside.
type bigFrames struct {
	head  *[headBytes]byte // slab memory for the size of one; nil until the first
	lease *lease           // the large buffer that the frame begun lies in; nil: in memory of its own
	large int              // how many bytes to receive into a large buffer; 0: none
}

// pipeline is what was cut and is not answered.
type pipeline struct {
	order    *order       // nil while PipelineMax is 1
	unbegun  *reqchan.Job // a run that was cut, and came home without being begun
	inFlight int          // requests cut and not answered yet
	cut      uint64       // requests, so far
	followed uint16       // bytes of frames that were cut to follow others, and are not known to be begun
	polls    bool         // the newest request asks to wait (Config.LongPoll)
}

// empty says that no handler has anything of it, or will.
func (p *pipeline) empty() bool { return p.inFlight == 0 && p.unbegun == nil }

// output is what goes to the peer.
type output struct {
	unsent  *outbound // nil while nothing is to be sent
	bytes   uint64    // sent
	sending bool      // a Send is outstanding
	// recent is how long requests took, in microseconds; nil until a client is sent
	// something. It stays with the slot.
	recent *measure.Recent

	parked  *reqchan.Job // its response, and the close after it, wait for the alarm
	reading []byte       // memory that a piece of a file is being read into
}

func (o *output) empty() bool {
	return o.unsent == nil && !o.sending && o.parked == nil && o.reading == nil
}

// queued is how many bytes were not sent.
func (o *output) queued() int {
	if o.unsent == nil {
		return 0
	}
	return o.unsent.queued
}

// waits are what a connection waits for that others give back.
type waits struct {
	ticket *budget.Ticket // to begin its next request; nil: there is none, or nobody waits
	since  int64          // since when it waits for these; 0: it does not
	pass   bool           // it is tried again in the next pass
	buffer bool           // and then for want of one to receive into
	// fromCredit: bytes is of those that the processor has reserved as well. here: the frame
	// that claims bytes has come as far as the kernel, or the listener is privileged.
	fromCredit bool
	here       bool
	bytes      int64          // of the channel's capacity; 0: it does not, or has got them
	reads      *budget.Ticket // to read a file, as ticket
}

// again says that it could not go on, and is tried again: for one of two reasons, or for both,
// each of which ends by itself.
func (w *waits) again() bool { return w.pass || w.bytes > 0 }

// end has it wait for nothing but the budget.
func (w *waits) end() { w.pass, w.buffer, w.bytes, w.since = false, false, 0, 0 }

// gotBytes ends the wait for bytes, whatever brought them.
func (w *waits) gotBytes() { w.bytes, w.since = 0, 0 }

// moments are when something happened, in Shared.now.
type moments struct {
	active int64 // it last received or sent
	begun  int64 // the frame was begun that is not whole yet; 0: there is none
	window int64 // the window of pace will have been long enough
	opened int64
	// usable: its own first request could come: the transport is open since, and later by what
	// of its throttles is not its own time, which is excused; 0: it is not.
	usable  int64
	excused int64
	alarm   int64 // the throttle or the wait of output.parked ends
}

// Open begins the life of a connection in c, whose life before has ended. With a preface
// nobody is told of it until its client is known.
func (c *Conn) Open(sh *Shared, token engine.Token, info *reqchan.Conn, from *Listener, before engine.Preface) {
	c.renew(sh, token, info, from, sh.cfg.ClientIDs != nil)
	if c.set.PipelineMax > 1 {
		c.pipeline.order = newOrder(c.set.PipelineMax)
	}
	c.become(toServe)
	sh.count.Opened++
	if before != engine.PrefaceNone {
		c.expectPreface(before)
	} else {
		c.begins()
	}
}

// renew forgets the life before. counted says that what c does is counted with its client id.
func (c *Conn) renew(sh *Shared, token engine.Token, info *reqchan.Conn, from *Listener, counted bool) {
	*c = Conn{
		shared: sh, token: token, info: info, from: from, set: from.settings.Load(), touched: !counted,
		at:  moments{opened: sh.now, active: sh.now, window: sh.now + ratesOver},
		out: output{recent: c.emptyRecent()},
	}
}

// begins says that the next byte is the connection's own, and tells who watches that it is
// open.
func (c *Conn) begins() {
	if c.set.Transport != nil {
		c.secureBy(c.set.Transport)
	} else {
		c.at.usable = c.shared.now
	}
	if c.shared.cfg.Opened != nil {
		c.shared.cfg.Opened(c.info)
	}
}

// Token is what its completions carry.
func (c *Conn) Token() engine.Token { return c.token }

// Info is what handlers see of it; nil once its life has ended.
func (c *Conn) Info() *reqchan.Conn { return c.info }

// Listener is whose connection it is.
func (c *Conn) Listener() *Listener { return c.from }

// Settings are those that it goes by.
func (c *Conn) Settings() *Settings { return c.set }

// InFlight is how many of its requests are not answered.
func (c *Conn) InFlight() int { return c.pipeline.inFlight }

// Active is when it last received or sent.
func (c *Conn) Active() int64 { return c.at.active }
