package processor

import (
	"kring/engine"
	"kring/internal/budget"
	"kring/internal/frame"
	"kring/reqchan"
)

// conn is a connection of one processor.
type conn struct {
	token   engine.Token
	fd      engine.FD
	phase   phase // its own: the later of the processor's and the listener's
	info    *reqchan.Conn
	set     *Settings
	from    *Listener
	place   engine.Place // given back when the descriptor is closed
	gone    func()       // told afterwards; nil unless it was evicted
	heir    *Processor   // who is to have it; nil while it stays, or leaves to any heir
	in      frame.Stream
	out     *outbound // nil while nothing is to be sent
	order   *order    // nil while PipelineMax is 1
	reading []byte    // memory that a piece of a file is being read into
	head    []byte    // slab memory for the size of a big frame; nil until the first

	receive   receiveState
	cancelled bool  // the receive that is armed was told to end
	big       bool  // the last frame was big: sizes are received on their own
	eof       bool  // the peer finished sending
	finishing bool  // nothing more is cut; closes once its output is out
	ending    bool  // on its way to CloseFD
	closing   bool  // CloseFD was called
	dirty     bool  // in Processor.dirty
	waiting   bool  // in Processor.waiting or Processor.hungry
	hungry    int64 // since when it waits for bytes of the channel's capacity; 0: it does not
	listed    bool  // in Processor.hungry; the slot's, whoever has it
	starved   bool  // waits for a receive buffer
	doubted   bool  // seemed idle at the last look, see peerWrites
	extended  bool  // the frame begun has had its time twice, see extend
	sending   bool  // a Send is outstanding

	reason     reqchan.CloseReason
	mute       muteState
	wants      int64        // bytes of the channel's capacity that it waits for; 0: it does not
	fromCredit bool         // or of those that the processor has reserved
	here       bool         // the frame that claims bytes has come as far as the kernel, or the listener is privileged
	held       int          // memory that in holds, as counted
	inFlight   int          // requests cut and not answered yet
	unbegun    *reqchan.Job // a run that was cut, and came home without being begun
	requests   uint64
	bytesIn    uint64
	bytesOut   uint64
	parked     *reqchan.Job // its response, and the close after it, wait for the alarm
	alarm      alarm
	turn       *budget.Ticket // to begin its next request; nil: there is none, or nobody waits
	reads      *budget.Ticket // to read a file; likewise

	opened int64 // in Processor.now, as active
	active int64 // when it last received or sent
	begun  int64 // when the frame was begun that is not whole yet; 0: there is none
	wheel  wheelEntry
}

// socket is an accepted connection that waits to be adopted.
type socket struct {
	engine.Accepted
	from  *Listener
	moved *conn // from another processor, and then all that there is
}

// receiveState is what stands on the receiving side of a connection.
type receiveState uint8

const (
	receiveNone   receiveState = iota
	receiveStream              // Recv
	receiveSize                // RecvInto the size of the next frame
	receiveFrame               // RecvInto the rest of a big frame
)

// adopt gives every assigned socket a slot, a bounded number per pass so that
// a burst of connects does not starve who is here already (KIP-402).
func (p *Processor) adopt() {
	p.assigned.Drain(func(s socket) {
		p.assignedLen.Add(-1)
		if s.moved != nil {
			p.takeOver(s.moved)
			return
		}
		if max(p.phase, s.from.phase()) >= draining {
			p.discard(s)
			return
		}
		p.open(s)
	}, adoptedPerPassMax)
}

func (p *Processor) open(s socket) {
	c := p.takeSlot()
	p.connIndex++
	c.fd, c.place = s.FD, s.Place
	c.info = &reqchan.Conn{
		ID:       reqchan.ConnID{Processor: p.cfg.ID, Index: p.connIndex},
		Listener: s.from.name, Privileged: s.from.privileged, Local: s.Local, Remote: s.Remote,
	}
	if p.cfg.Census != nil {
		c.info.CountIn(p.cfg.Census)
	}
	c.from, c.set = s.from, s.from.settings.Load()
	c.opened, c.active = p.now, p.now
	if c.set.PipelineMax > 1 {
		c.order = newOrder(c.set.PipelineMax)
	}
	p.count.opened++
	p.openConns++
	if p.cfg.Hooks.Opened != nil {
		p.cfg.Hooks.Opened(c.info)
	}
	p.obey(c)
}

// discard closes a socket that was assigned and not adopted.
func (p *Processor) discard(s socket) {
	p.cfg.Network.Discard(s.FD)
	p.left(s.from, s.Place)
}

// left counts a socket out that was assigned here.
func (p *Processor) left(from *Listener, place engine.Place) {
	p.load.Add(-1)
	place.Leave()
	from.leave()
}

// takeSlot finds a free slot, and gives it a generation that it never had.
func (p *Processor) takeSlot() *conn {
	if n := len(p.free); n > 0 {
		slot := p.free[n-1]
		p.free = p.free[:n-1]
		c := p.conns[slot]
		c.token = engine.MakeToken(slot, c.token.Generation()+1)
		return c
	}
	slot := uint32(len(p.conns))
	c := &conn{token: engine.MakeToken(slot, 0)}
	p.conns = append(p.conns, c)
	return c
}

// connOf finds the connection that a token names; nil when it is gone.
func (p *Processor) connOf(t engine.Token) *conn {
	if slot := t.Slot(); int(slot) < len(p.conns) {
		if c := p.conns[slot]; c.token == t && c.info != nil {
			return c
		}
	}
	return nil
}

// releaseSlot forgets the connection; its token will never be seen again.
func (p *Processor) releaseSlot(c *conn) {
	token := c.token
	if c.head != nil {
		p.heads = append(p.heads, c.head)
	}
	*c = conn{token: token, listed: c.listed}
	p.free = append(p.free, token.Slot())
}
