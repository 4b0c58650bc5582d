package processor

import (
	"errors"
	"runtime/debug"

	"kring/engine"
	"kring/reqchan"
)

// ErrGoexit is what the Panicked hook is told when a handler called
// runtime.Goexit on the processor.
var ErrGoexit = errors.New("handler called runtime.Goexit on its processor")

// call runs the handler.
func (p *Processor) call(r *reqchan.Job) {
	p.inHandle = true
	p.cfg.Handle(r.Request())
	p.inHandle = false
}

// survive is deferred around handlers that run here. It answers for one that
// panicked, and then there is more to cut. runtime.Goexit can't be survived here:
// see exited.
func (p *Processor) survive(c *conn, lent *engine.Completion, again *bool) {
	if !p.inHandle {
		return
	}
	p.inHandle = false
	p.endBatch(c)
	r, v := p.direct, recover()
	goexit := v == nil // a panic with nil has a value of its own
	if goexit {
		v, p.exiting = ErrGoexit, r
	}
	p.count.panics++
	if !r.Answered() {
		r.Request().CloseConnection(reqchan.HandlerPanicked)
	}
	if p.cfg.Hooks.Panicked != nil {
		p.cfg.Hooks.Panicked(r.Request(), v, debug.Stack())
	}
	if !goexit {
		p.handled(c, r, lent)
		*again = true
	}
}

// exited is deferred by Run. A handler that calls runtime.Goexit takes the
// processor's goroutine with it, and on some engines nobody else may go on with
// the engine: the processor ends, as if its engine had died, with every
// connection closed and its memory given back.
func (p *Processor) exited() {
	r := p.exiting
	if r == nil {
		return
	}
	p.exiting = nil
	if r.HandleReturned() {
		p.measured(r)
		p.recycle(r)
	} else { // another goroutine is about to answer it, and brings it home
		p.direct = nil
		p.away++
	}
	_ = p.release() // the caller will never hear of it; Stats does
}
