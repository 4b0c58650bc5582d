package processor

// A connection goes on with another processor in three steps: leave (nothing
// more of it is cut, its receive is cancelled), the join on what is outstanding
// and in flight, and handOver. Its descriptor, its place, the bytes that came
// and were not cut, and their share of the request channel's capacity go along:
// what a processor reserved any other may release. Nothing of it is sent or
// received twice, and nothing closes.

// Retire has the processor hand its connections over to heirs, each as soon as
// it has nothing in flight, and take no new ones; Drained tells when none is
// left. The heirs must outlive it, or take none any more themselves. Any
// goroutine.
func (p *Processor) Retire(heirs []*Processor) {
	p.heirs.Store(&heirs)
	p.ask(retiring)
}

// Shed has up to n connections that nothing is going on with go on with another
// processor; those that have been idle for longest stay. While an earlier call has
// not been heeded this one does nothing. Any goroutine.
func (p *Processor) Shed(n int, to *Processor) {
	p.doOnce(onceShed, func() {
		for _, c := range p.conns {
			if n <= 0 || p.phase != serving {
				return
			}
			if c.info != nil && c.phase == serving && c.receive == receiveStream && p.calm(c) && c.in.Empty() {
				c.heir = to
				p.leave(c)
				n--
			}
		}
	})
}

// Load is how many connections the processor has, those that wait to be adopted
// with them. Any goroutine.
func (p *Processor) Load() int64 { return p.load.Load() }

// Serves says that the processor takes connections: it was not told to end, and
// its engine is alive. Any goroutine.
func (p *Processor) Serves() bool { return phase(p.asked.Load()) == serving }

// calm says that nothing of the connection is with a handler, on its way out or
// waiting for its time.
func (p *Processor) calm(c *conn) bool {
	return c.inFlight == 0 && c.unbegun == nil && c.out == nil && !c.sending && c.parked == nil && c.reading == nil && !c.mute.throttled() &&
		!c.ending && !c.finishing
}

// leave begins to move the connection to its heir.
func (p *Processor) leave(c *conn) {
	c.phase = retiring
	if c.receive != receiveNone && !c.cancelled {
		c.cancelled = true
		p.engine.Cancel(c.fd, c.token)
	}
	p.mayMove(c)
}

// mayMove has the connection handed over in this pass, if nothing holds it any
// more.
func (p *Processor) mayMove(c *conn) {
	if p.movable(c) {
		p.movers = append(p.movers, c)
	}
}

func (p *Processor) movable(c *conn) bool {
	return c.info != nil && c.phase == retiring && c.receive == receiveNone && p.calm(c)
}

// moveOn hands over who can go.
func (p *Processor) moveOn() {
	for i := 0; i < len(p.movers); i++ { // one who can't may add to the list
		if c := p.movers[i]; p.movable(c) { // else its slot is another's, or something came between
			p.handOver(c)
		}
	}
	clear(p.movers)
	p.movers = p.movers[:0]
}

func (p *Processor) handOver(c *conn) {
	heir := p.heirOf(c)
	if heir == nil {
		if p.phase == serving { // else everybody is ending, and so will this
			c.heir, c.phase = nil, serving
			p.obey(c)
		}
		return
	}
	p.engine.Detach(c.fd, c.token)
	c.leaveLine() // it stands in its heir's
	p.wheel.remove(c)
	p.alarms.remove(c)
	if c.head != nil {
		p.heads, c.head = append(p.heads, c.head), nil
	}
	moved := *c
	moved.wants, moved.heir, moved.waiting, moved.starved, moved.dirty, moved.cancelled = 0, nil, false, false, false, false
	p.releaseSlot(c)
	p.openConns--
	p.load.Add(-1)
	p.count.movedOut++
	heir.assigned.Push(socket{moved: &moved})
	heir.bell.Ring()
}

// heirOf finds who takes the connection, and has it expect that; nil when
// nobody does.
func (p *Processor) heirOf(c *conn) *Processor {
	if c.heir != nil && c.heir.expect() {
		return c.heir
	}
	if p.phase == serving {
		return nil
	}
	heirs := *p.heirs.Load()
	for range heirs {
		p.heirTurn = (p.heirTurn + 1) % len(heirs)
		if heirs[p.heirTurn].expect() {
			return heirs[p.heirTurn]
		}
	}
	return nil
}

// expect counts a connection in that is about to be handed over; false when the
// processor is ending. There is no bound but that on connections: it is here
// already. Order: as in assign.
func (p *Processor) expect() bool {
	p.assignedLen.Add(1)
	if phase(p.asked.Load()) != serving {
		p.assignedLen.Add(-1)
		return false
	}
	p.load.Add(1)
	return true
}

// takeOver goes on with a connection that another processor handed over.
func (p *Processor) takeOver(moved *conn) { p.obey(p.settleIn(moved)) }

// settleIn gives it a slot.
func (p *Processor) settleIn(moved *conn) *conn {
	c := p.takeSlot()
	token, listed := c.token, c.listed
	*c = *moved
	c.token, c.listed = token, listed
	c.in.Copied()
	p.openConns++
	p.count.movedIn++
	return c
}
