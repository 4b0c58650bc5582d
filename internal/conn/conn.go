package conn

import (
	"kring/engine"
	"kring/internal/budget"
	"kring/internal/frame"
	"kring/reqchan"
)

// Conn is one connection: bytes, answers, completions, settings and the clock go in,
// and what it wants done goes to its Loop. It belongs to its processor's goroutine.
type Conn struct {
	shared *Shared
	token  engine.Token
	info   *reqchan.Conn
	set    *Settings
	from   *Listener
	in     frame.Stream
	out    *outbound // nil while nothing is to be sent
	order  *order    // nil while PipelineMax is 1
	// reading is memory that a piece of a file is being read into.
	reading []byte
	preface *preface         // nil: nothing comes before the connection's own bytes
	up      *upstream        // nil: the peer made it, and its frames are requests
	secure  *secure          // nil: the bytes on the wire are those of frames
	head    *[headBytes]byte // slab memory for the size of a big frame; nil until the first

	life      life
	receive   receiveState
	cancelled bool // the receive that is armed was told to end
	big       bool // the last frame was big: sizes are received on their own, or with it
	noLarge   bool // every large buffer was lent when the last ReceiveLarge had data
	waiting   bool // could not go on for want of memory or a buffer, and is tried again
	noBuffer  bool // waits for a receive buffer
	doubted   bool // seemed idle at the last look, see peerWrites
	lenient   bool // its time to authenticate has been extended, see authLate
	extended  bool // the frame begun has had its time twice, see extend
	sending   bool // a Send is outstanding
	// fromCredit: wants is of those that the processor has reserved as well. here: the frame
	// that claims bytes has come as far as the kernel, or the listener is privileged.
	fromCredit bool
	here       bool

	reason   reqchan.CloseReason
	mute     muteState
	large    int // how many bytes to receive into a large buffer; 0: none
	fits     fits
	lease    *lease       // the large buffer that the frame begun lies in; nil: in memory of its own
	followed uint16       // bytes of frames that were cut to follow others, and are not known to be begun
	wants    int64        // bytes of the channel's capacity that it waits for; 0: it does not
	refused  int64        // since when it waits for these; 0: it does not
	held     int          // memory that in holds, as counted
	kept     int          // memory that a PROXY protocol header takes, likewise
	inFlight int          // requests cut and not answered yet
	unbegun  *reqchan.Job // a run that was cut, and came home without being begun
	requests uint64
	bytesIn  uint64
	bytesOut uint64
	parked   *reqchan.Job   // its response, and the close after it, wait for the alarm
	alarm    int64          // when the throttle or the wait of parked ends, in nanoseconds of reqchan.Now
	ticket   *budget.Ticket // to begin its next request; nil: there is none, or nobody waits
	reads    *budget.Ticket // to read a file; likewise

	pace pace

	opened int64 // in Shared.now, as active
	active int64 // when it last received or sent
	usable int64 // when its own first request could come: the transport is open since; 0: it is not
	begun  int64 // when the frame was begun that is not whole yet; 0: there is none
}

// Open begins the life of a connection in c, whose life before has ended. With a preface
// nobody is told of it until its client is known.
func (c *Conn) Open(sh *Shared, token engine.Token, info *reqchan.Conn, from *Listener, before engine.Preface) {
	*c = Conn{shared: sh, token: token, info: info, from: from, set: from.settings.Load(), opened: sh.now, active: sh.now, pace: c.pace.keep()}
	if c.set.PipelineMax > 1 {
		c.order = newOrder(c.set.PipelineMax)
	}
	c.become(toServe)
	sh.count.Opened++
	if before != engine.PrefaceNone {
		c.expectPreface(before)
	} else {
		c.begins()
	}
}

// begins says that the next byte is the connection's own, and tells who watches that it is
// open.
func (c *Conn) begins() {
	if c.set.Transport != nil {
		c.secureBy(c.set.Transport)
	} else {
		c.usable = c.shared.now
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
func (c *Conn) InFlight() int { return c.inFlight }

// Active is when it last received or sent.
func (c *Conn) Active() int64 { return c.active }
