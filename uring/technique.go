//go:build linux

package uring

import (
	"time"

	"kring/engine"
)

// technique is a selectable way to use io_uring. Each has a file of its own, which says
// what it is, since which kernel, what it costs and why it is on or off. The engine's path
// from accept to close reads as if there were none: it calls what the techniques that its
// Config asks for have put into its hooks. A nil function has nothing to do.
type technique struct {
	asked func(c *Config) bool

	// probe asks the kernel, for New, whether it can be done.
	probe func(n *Network) error
	// setup changes what a ring is set up with.
	setup func(n *Network, p *Params)
	// open prepares an engine. Order: in that of techniques, before the first operation.
	open func(e *ringEngine, w engine.Wait) error
	// operations are those that a restricted ring has to allow for it.
	operations func(c *Config, can *abilities) []uint8

	hooks
}

// hooks are the places in an engine's path where a technique comes in.
type hooks struct {
	// begin comes before the SQE of a receive or a send.
	begin func(e *ringEngine, fd engine.FD, s *socket)
	// prepare fills the SQE in the engine's place, or says no. out is a Send's.
	prepare func(e *ringEngine, q *SQE, fd engine.FD, s *socket, op engine.Op, out outgoing) bool
	// prepared may change an SQE that is about to be queued.
	prepared func(e *ringEngine, q *SQE, fd engine.FD)
	// split may turn a CQE into several: it leaves the first in q, and puts the others
	// before those that are to be completed next.
	split func(e *ringEngine, q *CQE)
	// complete comes before the engine's own look at a completion. It says that the
	// operation goes on, and that there is nothing to tell the owner.
	complete func(e *ringEngine, fd engine.FD, s *socket, q *CQE, c *engine.Completion) bool
	// look comes before a sleep, and says whether that is not needed. between is called
	// between looks.
	look func(e *ringEngine, a *wakeupFlag, wait time.Duration, between func()) (bool, error)
	// disconnect comes with a connection's shutdown, and at the engine's end.
	disconnect func(e *ringEngine, fd engine.FD, s *socket)
	// end comes before a socket's close, and at a Detach.
	end func(e *ringEngine, fd engine.FD, s *socket)
	// close gives memory back. No operation is outstanding.
	close func(e *ringEngine) error
}

// outgoing is what a Send hands over: a buffer, or a msghdr that describes bufs.
type outgoing struct {
	bufs [][]byte
	at   uintptr // of the buffer, or of the msghdr
	n    int     // bytes
}

// techniques are all, in the order of their hooks. Order: a send without a copy goes
// before one from registered memory, which it may use; restrictions come last, because
// they end all registering.
var techniques = []*technique{
	&acceptSingle, &pollFirst, &directFDs, &zeroCopy, &registeredBuffers, &bundles, &incremental,
	&sqPoll, &noIOWait, &minWait, &napiBusyPoll, &registeredRing, &busyPoll, &restrict,
}

// use are the hooks of the techniques that an engine uses, each place chosen once.
type use struct {
	begin      []func(e *ringEngine, fd engine.FD, s *socket)
	prepare    []func(e *ringEngine, q *SQE, fd engine.FD, s *socket, op engine.Op, out outgoing) bool
	prepared   []func(e *ringEngine, q *SQE, fd engine.FD)
	complete   []func(e *ringEngine, fd engine.FD, s *socket, q *CQE, c *engine.Completion) bool
	disconnect []func(e *ringEngine, fd engine.FD, s *socket)
	end        []func(e *ringEngine, fd engine.FD, s *socket)
	close      []func(e *ringEngine) error
	split      func(e *ringEngine, q *CQE)
	look       func(e *ringEngine, a *wakeupFlag, wait time.Duration, between func()) (bool, error)
	operations []func(c *Config, can *abilities) []uint8
}

// usedBy are the techniques that a Config asks for.
func usedBy(c *Config) (all []*technique) {
	for _, t := range techniques {
		if t.asked(c) {
			all = append(all, t)
		}
	}
	return all
}

func hooksOf(c *Config) (u use) {
	for _, t := range usedBy(c) {
		u.begin = with(u.begin, t.begin, t.begin != nil)
		u.prepare = with(u.prepare, t.prepare, t.prepare != nil)
		u.prepared = with(u.prepared, t.prepared, t.prepared != nil)
		u.complete = with(u.complete, t.complete, t.complete != nil)
		u.disconnect = with(u.disconnect, t.disconnect, t.disconnect != nil)
		u.end = with(u.end, t.end, t.end != nil)
		u.close = with(u.close, t.close, t.close != nil)
		u.operations = with(u.operations, t.operations, t.operations != nil)
		if t.split != nil {
			u.split = t.split
		}
		if t.look != nil {
			u.look = t.look
		}
	}
	return u
}

func with[F any](all []F, f F, is bool) []F {
	if is {
		return append(all, f)
	}
	return all
}

// prepares says that a technique has filled the SQE.
func (e *ringEngine) prepares(q *SQE, fd engine.FD, s *socket, op engine.Op, out outgoing) bool {
	for _, prepare := range e.use.prepare {
		if prepare(e, q, fd, s, op, out) {
			return true
		}
	}
	return false
}

func (e *ringEngine) endSocket(fd engine.FD, s *socket) {
	for _, end := range e.use.end {
		end(e, fd, s)
	}
}
