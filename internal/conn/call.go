package conn

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
func (sh *Shared) call(r *reqchan.Job) {
	sh.direct.inside = true
	sh.cfg.Handle(r.Request())
	sh.direct.inside = false
}

// survive is deferred around handlers that run here. It answers for one that
// panicked, and then there is more to cut. runtime.Goexit can't be survived here:
// see HandlerExited.
func (c *Conn) survive(lent *engine.Completion, again *bool) {
	if !c.shared.direct.inside {
		return
	}
	c.shared.direct.inside = false
	c.endBatch()
	r, v := c.shared.direct.job, recover()
	goexit := v == nil // a panic with nil has a value of its own
	if goexit {
		v, c.shared.direct.exiting = ErrGoexit, r
	}
	c.shared.count.Panics++
	if !r.Answered() {
		r.Request().CloseConnection(reqchan.HandlerPanicked)
	}
	if c.shared.cfg.Panicked != nil {
		c.shared.cfg.Panicked(r.Request(), v, debug.Stack())
	}
	if !goexit {
		c.handled(r, c.shared.timesOf(r.API), lent)
		*again = true
	}
}

// HandlerExited says that a handler has called runtime.Goexit: the processor's goroutine
// ends, and the request of that handler has been seen to.
func (sh *Shared) HandlerExited() bool {
	r := sh.direct.exiting
	if r == nil {
		return false
	}
	sh.direct.exiting = nil
	if r.HandleReturned() {
		sh.endUnsent(r)
	} else { // another goroutine is about to answer it, and brings it home
		sh.direct.job = nil
		sh.away++
	}
	return true
}
