package processor

import (
	"errors"
	"fmt"
	"runtime"

	"kring/engine"
	"kring/internal/measure"
	"kring/reqchan"
)

// phase is how far a processor's life has come; it only grows.
type phase uint32

const (
	serving   phase = iota
	retiring        // nothing new is cut; connections go on with other processors
	draining        // nothing new is cut; connections close when they have nothing in flight
	cutting         // connections are terminated whatever they have in flight
	stopped         // the loop ends once every request is home
	abandoned       // the loop ends
)

// Drain asks the processor to finish what is in flight and close its
// connections; Drained tells when none is left. Any goroutine.
func (p *Processor) Drain() { p.ask(draining) }

// Cut asks the processor to terminate the connections that are left. Any
// goroutine.
func (p *Processor) Cut() { p.ask(cutting) }

// Stop asks Run to return, once every connection is closed and every request
// is answered. Any goroutine.
func (p *Processor) Stop() { p.ask(stopped) }

// Abandon asks Run to return without the requests that are not answered; their
// memory stays with whoever holds them until they are. Any goroutine.
func (p *Processor) Abandon() { p.ask(abandoned) }

// Drained is closed when the processor was asked to drain (or more) and has no
// connection left.
func (p *Processor) Drained() <-chan struct{} { return p.drained }

func (p *Processor) ask(ph phase) {
	for {
		old := p.asked.Load()
		if old >= uint32(ph) {
			return
		}
		if p.asked.CompareAndSwap(old, uint32(ph)) {
			p.bell.Ring()
			return
		}
	}
}

// enter goes on to phase ph.
func (p *Processor) enter(ph phase) {
	if ph == p.phase {
		return
	}
	p.phase = ph
	p.unreserve(0) // what it hoards is for others now
	p.refresh()
}

// Refresh has every connection go by what its Listener says by now, settings
// and end. Any goroutine.
func (p *Processor) Refresh() { p.doOnce(onceRefresh, p.refresh) }

func (p *Processor) refresh() {
	for _, c := range p.conns {
		if c.info != nil && !c.ending {
			p.obey(c)
		}
	}
}

// obey has the connection go by its listener's settings of now, and be in the
// phase that it shall be in.
func (p *Processor) obey(c *conn) {
	c.set = c.from.settings.Load()
	p.wheel.remove(c)
	p.wheel.suit(c.set, p.now)
	p.wheel.add(c, p.now)
	c.phase = max(p.phase, c.from.phase())
	switch {
	case c.phase >= cutting:
		p.count.dropped += uint64(c.withHandlers())
		p.terminate(c, p.endReason(c))
	case c.phase == draining && c.parked != nil:
		p.unpark(c)
	case c.phase == draining:
		p.finishIfIdle(c)
	case c.phase == retiring:
		p.leave(c)
	default:
		p.progress(c)
	}
}

// endReason says why a connection ends that has to.
func (p *Processor) endReason(c *conn) reqchan.CloseReason {
	if p.phase < draining {
		return reqchan.ListenerRemoved
	}
	return reqchan.ServerDraining
}

// over says that the loop has nothing more to do; on the way there it tells
// when the last connection is gone.
func (p *Processor) over() bool {
	if p.phase == serving || p.openConns > 0 || p.assignedLen.Load() > 0 {
		return false
	}
	p.sayDrained()
	p.dropLater() // nobody is left to be answered
	return p.phase == stopped && p.away == 0 || p.phase == abandoned
}

// release ends Run: whatever is left gives its memory and descriptors back. An error
// says that the kernel keeps some of it.
func (p *Processor) release() error {
	p.takeNoMore()
	for _, c := range p.conns {
		if c.info != nil { // the engine died under it
			c.ending, c.reason = true, reqchan.EngineFailed
			c.info.SetEnded(reqchan.EngineFailed)
		}
	}
	p.takeResponses(p.responses.Take())
	for _, r := range append(p.priority.pending, p.ordinary.pending...) {
		p.recycleRun(r)
	}
	p.dropLater()
	p.filing.Wait()
	err := p.engine.Close()
	held := errors.Is(err, engine.ErrMemoryHeld) // about another failure nothing can be done any more
	p.gone = true
	p.endDoors()
	for _, c := range p.conns {
		if c.info != nil { // only now does the kernel leave its memory alone
			if held {
				p.loseHeld(c)
			}
			p.dropParked(c)
			p.dropUnbegun(c)
			p.dropOutput(c)
			p.abandonInput(c)
			if c.reading != nil {
				p.putPiece(c.reading)
			}
			if !c.closing {
				p.cfg.Network.Discard(c.fd)
			}
			p.closed(c)
		}
	}
	if p.direct != nil {
		p.direct.Free()
		p.direct = nil
	}
	p.jobs.Free()
	for _, page := range p.headPages {
		p.cfg.Memory.Put(page)
	}
	p.arena.Close()
	p.cfg.Channel.Release(p.credit)
	p.credit, p.output = 0, 0
	p.pay(0)
	p.giveHeldBack()
	p.responses.Disown(p.takeLate)
	p.ordinary.sender.Leave()
	p.priority.sender.Leave()
	p.stopped.Store(measure.Now())
	p.publishTimes()
	p.stats.publish(&p.count)
	p.sayDrained()
	p.endErrands()
	if held {
		return fmt.Errorf("processor %d: %d bytes are lost: %w", p.cfg.ID, p.count.lost, err)
	}
	return nil
}

// loseHeld forgets the memory of c that the engine has not given back: nobody gets
// it again. What it holds of the channel's capacity is given back.
func (p *Processor) loseHeld(c *conn) {
	switch c.receive {
	case receiveSize:
		p.count.lost += uint64(len(p.headPages)) * headsPageBytes // it lies in one of them
		p.headPages = nil
	case receiveFrame:
		own := c.in.Lose()
		p.unreserve(claimBytes(len(own)))
		p.count.lost += uint64(len(own))
	}
	if c.reading != nil {
		p.count.lost += uint64(len(c.reading))
		p.cfg.Responses.Change(int64(cap(c.reading)), 0)
		c.reading = nil
	}
	if o := c.out; o != nil && c.sending {
		p.count.lost += uint64(o.queued)
		for i := o.at; i < len(o.segments); i++ {
			if r := o.segments[i].request; r != nil {
				p.unreserve(r.Bytes)
				r.LoseResponse()
			}
			if piece := o.segments[i].piece; piece != nil {
				p.cfg.Responses.Change(int64(cap(piece)), 0)
			}
		}
		p.dropMarks(&o.marks)
		c.out = nil
	}
}

// takeNoMore has nobody assign or hand over anything from here on, and gives back what
// has not been adopted.
func (p *Processor) takeNoMore() {
	p.ask(abandoned)
	for p.assignedLen.Load() > 0 { // Order: as in assign: who was counted before has pushed, or will in a moment
		p.assigned.Drain(func(s socket) {
			p.assignedLen.Add(-1)
			if s.moved != nil {
				p.settleIn(s.moved) // ends with the others
			} else {
				p.discard(s)
			}
		}, -1)
		runtime.Gosched()
	}
}

// takeLate gives back what comes home when the processor has ended: by release, and
// then by whoever answers.
func (p *Processor) takeLate() {
	p.late.Lock()
	defer p.late.Unlock()
	for r := p.responses.Take(); r != nil; {
		next := r.Next()
		p.away -= p.recycleRun(r)
		r = next
	}
	p.jobs.Free()
	p.arena.Close()
	p.cfg.Channel.Release(p.credit)
	p.credit = 0
}

func (p *Processor) sayDrained() {
	if !p.drainedSaid {
		p.drainedSaid = true
		close(p.drained)
	}
}
