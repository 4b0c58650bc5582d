package processor

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"kring/engine"
	"kring/internal/conn"
	"kring/internal/measure"
)

// Drain asks the processor to finish what is in flight and close its
// connections; Drained tells when none is left. Any goroutine.
func (p *Processor) Drain() { p.inbox.ask(conn.Draining) }

// DrainPatiently is Drain that does not wait for peers which take nothing of what they were
// answered for so long: they are closed. Any goroutine.
func (p *Processor) DrainPatiently(patience time.Duration) {
	p.ends.patience.Store(int64(patience))
	p.Drain()
}

// Cut asks the processor to terminate the connections that are left. Any
// goroutine.
func (p *Processor) Cut() { p.inbox.ask(conn.Cutting) }

// Stop asks Run to return, once every connection is closed and every request
// is answered. Any goroutine.
func (p *Processor) Stop() { p.inbox.ask(conn.Stopped) }

// Abandon asks Run to return without the requests that are not answered; their
// memory stays with whoever holds them until they are. Any goroutine.
func (p *Processor) Abandon() { p.inbox.ask(conn.Abandoned) }

// Drained is closed when the processor was asked to drain (or more) and has no
// connection left.
func (p *Processor) Drained() <-chan struct{} { return p.ends.drained }

// ends is how a processor's life ends.
type ends struct {
	drained chan struct{} // closed when no connection is left to drain
	said    bool          // drained is closed
	// patience is that of DrainPatiently; 0: none is asked for. Order: it is stored before the
	// phase is asked for.
	patience atomic.Int64
	ended    chan struct{} // closed when Run has returned
	gone     bool          // the engine is closed
	late     sync.Mutex    // held by whoever has what was the owner's, once Run has ended
}

// enter goes on to phase ph.
func (p *Processor) enter(ph conn.Phase) {
	if ph == p.phase {
		return
	}
	if p.phase < conn.Draining {
		p.timers.drainSince = p.shared.Now()
	}
	p.phase = ph
	p.shared.EnterPhase(ph)
	p.refresh()
}

// Refresh has every connection go by what its Listener says by now, settings
// and end. Any goroutine.
func (p *Processor) Refresh() { p.inbox.submitOnce(onceRefresh, p.refresh) }

func (p *Processor) refresh() {
	for _, c := range p.slots.all {
		if c.Info() != nil && !c.Ended() {
			c.ApplySettings()
		}
	}
}

// over says that the loop has nothing more to do; on the way there it tells
// when the last connection is gone.
func (p *Processor) over() bool {
	if p.phase == conn.Serving || p.slots.open > 0 || p.inbox.expected.Load() > 0 {
		return false
	}
	p.sayDrained()
	p.dropLater() // nobody is left to be answered
	return p.phase == conn.Stopped && p.shared.Away() == 0 || p.phase == conn.Abandoned
}

// exited is deferred by Run. A handler that calls runtime.Goexit takes the
// processor's goroutine with it, and on some engines nobody else may go on with
// the engine: the processor ends, as if its engine had died, with every
// connection closed and its memory given back.
func (p *Processor) exited() {
	if p.shared.HandlerExited() {
		_ = p.release() // the caller will never hear of it; Stats does
	}
}

// release ends Run: whatever is left gives its memory and descriptors back. An error
// says that the kernel keeps some of it.
func (p *Processor) release() error {
	p.takeNoMore()
	for _, c := range p.slots.all {
		if c.Info() != nil { // the engine died under it
			c.EngineFailed()
		}
	}
	p.takeAnswers(p.inbox.answers.Take())
	for _, r := range append(p.handlers.priority.pending, p.handlers.ordinary.pending...) {
		p.shared.RecycleRun(r)
	}
	p.dropLater()
	p.dropReaped()
	p.filing.Wait()
	err := p.engine.Close()
	lost := errors.Is(err, engine.ErrMemoryHeld) // about another failure nothing can be done any more
	p.ends.gone = true
	p.endHosted()
	for _, c := range p.slots.all {
		if c.Info() != nil { // only now does the kernel leave its memory alone
			if c.Abandon(lost) {
				p.cfg.Network.Discard(c.fd)
			}
			p.closed(c)
		}
	}
	p.shared.Discard()
	p.inbox.answers.Disown(p.takeLate)
	p.handlers.ordinary.sender.CancelWait()
	p.handlers.priority.sender.CancelWait()
	p.uptime.stopped.Store(measure.Now())
	p.shared.PublishTimes()
	p.stats.publish(p.shared.Counts())
	p.sayDrained()
	p.inbox.close()
	if lost {
		return fmt.Errorf("processor %d: %d bytes are lost: %w", p.cfg.ID, p.shared.Counts().Lost, err)
	}
	return nil
}

// dropReaped gives back what completions lend that nobody will take, and closes what was
// accepted: the engine has died, or a handler has ended the goroutine.
func (p *Processor) dropReaped() {
	for ; p.reaped.left(); p.reaped.at++ {
		done := &p.reaped.done[p.reaped.at]
		if done.Op == engine.OpAccept && done.Res >= 0 {
			p.cfg.Network.Discard(engine.FD(done.Res))
		}
		p.engine.Recycle(done)
	}
}

// takeNoMore has nobody assign or hand over anything from here on, and gives back what
// has not been adopted.
func (p *Processor) takeNoMore() {
	p.inbox.refuse(func(m message) {
		if m.moved != nil {
			p.attach(m) // ends with the others
		} else {
			p.discard(m)
		}
	})
}

// takeLate gives back what comes home when the processor has ended: by release, and
// then by whoever answers.
func (p *Processor) takeLate() {
	p.ends.late.Lock()
	defer p.ends.late.Unlock()
	for r := p.inbox.answers.Take(); r != nil; {
		next := r.Next()
		p.shared.Went(-p.shared.RecycleRun(r))
		r = next
	}
	p.shared.DiscardLate()
}

func (p *Processor) sayDrained() {
	if !p.ends.said {
		p.ends.said = true
		close(p.ends.drained)
	}
}
