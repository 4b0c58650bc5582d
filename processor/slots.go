package processor

import (
	"kring/engine"
	"kring/internal/conn"
	"kring/reqchan"
)

// slot is a connection and what the loop has of it.
type slot struct {
	fd     engine.FD
	dirty  bool // in slots.dirty
	listed bool // in rearm; the slot's, whoever has it
	chosen bool // by DrainSome
	conn.Conn
	admission engine.Slot // given back when the descriptor is closed
	target    *Processor  // who is to have it; nil while it stays, or leaves to any
	wheel     wheelEntry
	alarm     alarm
	upstream  *Upstream // nil: an accepted connection
}

// slots are the connections, by the slots of their tokens.
type slots struct {
	all       []*slot
	free      []uint32
	open      int    // connections adopted and not closed
	upstreams int    // of them, those that this side made
	opened    uint64 // connections ever adopted

	dirty   []*slot // have output that no Send covers
	sending []*slot // got a Send since the last Poll
	retry   []*slot // are tried again in the next pass
	rearm   rearmQueue

	evicted map[*slot]func() // to be called when they are closed
}

// take finds a free slot, and gives it a token that it never had.
func (s *slots) take() (*slot, engine.Token) {
	if n := len(s.free); n > 0 {
		at := s.free[n-1]
		s.free = s.free[:n-1]
		c := s.all[at]
		return c, engine.MakeToken(at, c.Token().Generation()+1)
	}
	at := uint32(len(s.all))
	c := &slot{}
	s.all = append(s.all, c)
	return c, engine.MakeToken(at, 0)
}

// of finds the connection that a token names; nil when it is gone.
func (s *slots) of(t engine.Token) *slot {
	if at := t.Slot(); int(at) < len(s.all) {
		if c := s.all[at]; c.Token() == t && c.Info() != nil {
			return c
		}
	}
	return nil
}

// slot is where c lies, which has a life.
func (s *slots) slot(c *conn.Conn) *slot { return s.all[c.Token().Slot()] }

// evict has gone called when c is closed.
func (s *slots) evict(c *slot, gone func()) {
	if s.evicted == nil {
		s.evicted = map[*slot]func(){}
	}
	s.evicted[c] = gone
	c.Evict()
}

// release has the slot be used again; its connection has been forgotten.
func (s *slots) release(c *slot) {
	c.admission, c.target, c.upstream, c.dirty, c.chosen = nil, nil, nil, false, false
	s.free = append(s.free, c.Token().Slot())
}

// adopt gives every connection that arrived a slot, a bounded number per pass.
func (p *Processor) adopt() { p.inbox.adopt(p.adoptOne, adoptedPerPassMax) }

func (p *Processor) adoptOne(m message) {
	switch {
	case m.moved != nil:
		p.attach(m).ApplySettings()
	case max(p.phase, m.from.Phase()) >= conn.Draining:
		p.discard(m)
	default:
		p.open(m)
	}
}

func (p *Processor) open(m message) {
	c, token := p.slots.take()
	p.slots.opened++
	c.fd, c.admission = m.socket.FD, m.socket.Slot
	l := m.from
	info := &reqchan.Conn{
		ID:       reqchan.ConnID{Processor: p.cfg.ID, Index: p.slots.opened},
		Listener: l.Name(), Privileged: l.Privileged(), Local: m.socket.Local, Remote: m.socket.Remote,
	}
	if p.cfg.Census != nil {
		p.cfg.Census.Enter(info)
	}
	if p.cfg.Clients != nil {
		p.cfg.Clients.Add(1)
	}
	if p.cfg.ClientIDs != nil {
		p.cfg.ClientIDs.Enter(info)
	}
	if p.cfg.SlowRequest > 0 && p.cfg.Slow != nil {
		reqchan.WatchSlow(info)
	}
	p.slots.open++
	c.Open(p.shared, token, info, l, m.socket.Preface)
	c.ApplySettings()
}

// attach gives a connection a slot that another processor handed over.
func (p *Processor) attach(m message) *slot {
	c, token := p.slots.take()
	c.fd, c.admission = m.socket.FD, m.socket.Slot
	c.Attach(p.shared, token, m.moved)
	reqchan.ConnMoved(c.Info(), p.cfg.ID)
	p.slots.open++
	return c
}

// discard closes a socket that was assigned and not adopted.
func (p *Processor) discard(m message) {
	p.cfg.Network.Discard(m.socket.FD)
	p.left(m.from, m.socket.Slot)
}

// left counts a socket out that was assigned here.
func (p *Processor) left(from *Listener, admission engine.Slot) {
	p.load.Add(-1)
	admission.Release()
	from.Leave()
}

// closed ends the life of a connection whose descriptor is closed.
func (p *Processor) closed(c *slot) {
	if c.upstream != nil {
		p.closedUpstream(c)
		return
	}
	if p.cfg.Clients != nil {
		p.cfg.Clients.Add(-1)
	}
	p.timers.wheel.remove(c)
	p.timers.alarms.remove(c)
	from, admission, gone := c.Listener(), c.admission, p.slots.evicted[c]
	c.Closed()
	p.slots.open--
	p.slots.release(c)
	p.left(from, admission)
	if gone != nil {
		delete(p.slots.evicted, c)
		gone()
	}
}

// flush gives every connection that has something to say one gathered Send.
func (p *Processor) flush() {
	for i, c := range p.slots.dirty {
		p.slots.dirty[i] = nil
		if c.dirty {
			c.dirty = false
			c.Send()
		}
	}
	p.slots.dirty = p.slots.dirty[:0]
}

// retryNext has those try again who found no receive buffer.
func (p *Processor) retryNext() {
	s := &p.slots
	n := len(s.retry)
	cameBack := p.shared.BuffersCameBack() // else a receive would only starve again
	for _, c := range s.retry[:n] {
		switch {
		case !c.WaitsForPass(): // gone, and its place is another's
		case c.WaitsForBuffer() && !cameBack && !p.shared.Scarce():
			s.retry = append(s.retry, c)
		default:
			c.Retry()
		}
	}
	left := copy(s.retry, s.retry[n:])
	clear(s.retry[left:])
	s.retry = s.retry[:left]
}
