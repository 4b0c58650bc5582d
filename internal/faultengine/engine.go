package faultengine

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync/atomic"

	"kring/engine"
)

// Engine is an engine.Engine in memory. Its fields are guarded by n.mu, except
// where they say otherwise.
type Engine struct {
	n        *Network
	number   int
	rng      *rand.Rand
	counters engine.Counters // atomics: any goroutine
	inside   atomic.Bool     // a goroutine is in a method of the owner's
	bell     chan struct{}   // signalled when a sleeping Poll should look again

	tick      uint64 // steps so far: the engine's only clock
	polls     int
	woken     bool
	sleeping  bool
	closed    bool
	orderly   bool // closed with nothing outstanding: its owner has time to recycle
	submitted []submission
	queue     []entry // produced, not delivered; in order of production
	descs     []*desc // bound to this engine, in order of their first operation
	bound     map[engine.Token]*desc
	gone      map[engine.Token]struct{} // tokens whose OpClose was delivered
	lender    *lender
	large     *lender
	recycled  uint64 // Recycles so far
	held      []held // memory that Close did not give back
}

// operation is one Accept, Connect, Recv, RecvInto, Send or CloseFD, from the call to the
// delivery of its last completion.
type operation struct {
	op      engine.Op
	started bool   // Poll took the submission
	ended   bool   // the last completion was produced
	due     uint64 // when the latest completion is due: none overtakes it

	recycled  uint64 // Engine.recycled at the call
	cancelled bool   // Cancel was asked for
	cancelAt  uint64 // the step from which it takes effect, once Poll took it

	to    netip.AddrPort // of a Connect
	large int            // bytes of a RecvLarge
	into  []byte         // RecvInto's memory: poisoned until the completion
	got   []byte         // what was received for it

	bufs  [][]byte // Send's memory
	sum   uint64   // its checksum at the call
	total int
	goal  int // bytes to take before completing
	taken int
	rest  uint64 // the step until which it makes no progress
	held  bool   // a Send whose completion may be withheld
}

type action uint8

const (
	actStart action = iota
	actCancel
	actShutdown
	actShutdownSend
	actClose
)

type submission struct {
	act action
	d   *desc
	op  *operation
}

// entry is a completion on its way.
type entry struct {
	d   *desc
	op  *operation
	c   engine.Completion
	due uint64
}

// Accept accepts connections on a listening descriptor until cancelled.
func (e *Engine) Accept(fd engine.FD, t engine.Token) {
	e.start("Accept", fd, t, &operation{op: engine.OpAccept})
}

// Recv receives until cancelled.
func (e *Engine) Recv(fd engine.FD, t engine.Token) {
	e.start("Recv", fd, t, &operation{op: engine.OpRecv})
}

// LargeFrames are those that fit into a large buffer alone.
func (e *Engine) LargeFrames() (least, most int) { return e.lender.size + 1, e.large.size }

// RecvLarge receives once, into a large buffer.
func (e *Engine) RecvLarge(fd engine.FD, t engine.Token, n int) {
	e.start("RecvLarge", fd, t, &operation{op: engine.OpRecv, large: n})
}

// RecvInto receives into buf, which reads as poison until the completion.
func (e *Engine) RecvInto(fd engine.FD, t engine.Token, buf []byte) {
	e.start("RecvInto", fd, t, &operation{op: engine.OpRecvInto, into: buf})
}

// Send sends bufs in order.
func (e *Engine) Send(fd engine.FD, t engine.Token, bufs [][]byte) {
	e.start("Send", fd, t, &operation{op: engine.OpSend, bufs: bufs})
}

// Cancel ends the Accept, Connect, Recv or RecvInto outstanding on fd.
func (e *Engine) Cancel(fd engine.FD, t engine.Token) {
	if !e.enter("Cancel") {
		return
	}
	defer e.leave()
	d := e.lookUp("Cancel", fd, t)
	if d == nil || d.recv == nil {
		return
	}
	d.recv.cancelled = true
	e.submit(actCancel, d, d.recv)
}

// Shutdown ends both directions of a connection.
func (e *Engine) Shutdown(fd engine.FD, t engine.Token) {
	if !e.enter("Shutdown") {
		return
	}
	defer e.leave()
	d := e.lookUp("Shutdown", fd, t)
	if d == nil {
		return
	}
	if d.listener != nil {
		e.n.breach("Shutdown of %s: only connections have two directions", d)
		return
	}
	e.submit(actShutdown, d, nil)
}

// ShutdownSend ends the outgoing direction of a connection.
func (e *Engine) ShutdownSend(fd engine.FD, t engine.Token) {
	if !e.enter("ShutdownSend") {
		return
	}
	defer e.leave()
	d := e.lookUp("ShutdownSend", fd, t)
	if d == nil {
		return
	}
	if d.listener != nil || d.send != nil {
		e.n.breach("ShutdownSend of %s: only of connections on which no Send is outstanding", d)
		return
	}
	e.submit(actShutdownSend, d, nil)
}

// Detach forgets fd; its token is used up.
func (e *Engine) Detach(fd engine.FD, t engine.Token) {
	if !e.enter("Detach") {
		return
	}
	defer e.leave()
	d := e.lookUp("Detach", fd, t)
	if d == nil {
		return
	}
	if d.recv != nil || d.send != nil {
		e.n.breach("Detach of %s with %s outstanding", d, d.outstanding())
		return
	}
	e.note("detaches", d)
	e.forget(d)
	delete(e.bound, t)
	e.gone[t] = struct{}{}
	d.owner, d.token = nil, 0
}

// AllowDelayedSends implements engine.DelayedSender.
func (e *Engine) AllowDelayedSends() {
	if !e.enter("SendsCanWait") {
		return
	}
	defer e.leave()
	for _, s := range e.submitted {
		if s.act == actStart && s.op.op == engine.OpSend {
			s.op.held = e.n.cfg.WithholdDelayedSends
		}
	}
}

// CloseFD closes fd.
func (e *Engine) CloseFD(fd engine.FD, t engine.Token) {
	if !e.enter("CloseFD") {
		return
	}
	defer e.leave()
	d := e.lookUp("CloseFD", fd, t)
	if d == nil {
		return
	}
	if d.recv != nil || d.send != nil {
		e.n.breach("CloseFD of %s with %s outstanding", d, d.outstanding())
		return
	}
	d.closing = true
	e.submit(actClose, d, &operation{op: engine.OpClose})
}

// start checks and submits an operation that has completions.
func (e *Engine) start(verb string, fd engine.FD, t engine.Token, op *operation) {
	if !e.enter(verb) {
		return
	}
	defer e.leave()
	d := e.lookUp(verb, fd, t)
	if d == nil || !e.fits(verb, d, op) {
		return
	}
	place := &d.recv
	if op.op == engine.OpSend {
		place = &d.send
	}
	if *place != nil {
		e.n.breach("%s on %s while %s is outstanding", verb, d, (*place).op)
		return
	}
	*place = op
	op.recycled = e.recycled
	op.seal()
	e.submit(actStart, d, op)
}

func (e *Engine) submit(act action, d *desc, op *operation) {
	e.submitted = append(e.submitted, submission{act, d, op})
}

// enter locks n.mu and reports whether the engine may be used; leave unlocks.
func (e *Engine) enter(verb string) bool {
	if !e.enterAlways(verb) {
		return false
	}
	if e.closed {
		defer e.leave()
		e.n.breach("%s after Close of engine %d", verb, e.number)
		return false
	}
	return true
}

// enterAlways is enter for what may be called after Close.
func (e *Engine) enterAlways(verb string) bool {
	if !e.inside.CompareAndSwap(false, true) {
		e.n.mu.Lock()
		defer e.n.mu.Unlock()
		e.n.breach("%s while another goroutine uses engine %d", verb, e.number)
		return false
	}
	e.n.mu.Lock()
	return true
}

func (e *Engine) leave() {
	e.n.mu.Unlock()
	e.inside.Store(false)
}

// Counters are the engine's own counts.
func (e *Engine) Counters() *engine.Counters { return &e.counters }

// Close releases the engine.
func (e *Engine) Close() error {
	if !e.enterAlways("Close") {
		return nil
	}
	defer e.leave()
	if e.closed {
		return nil
	}
	e.closed = true
	e.settle()
	orderly := !e.dead()
	for _, d := range e.descs {
		orderly = orderly && d.recv == nil && d.send == nil
		e.hold(d.recv)
		e.hold(d.send)
		d.recv, d.send, d.owner = nil, nil, nil
	}
	e.orderly = orderly
	e.lender.close()
	e.large.close()
	e.submitted, e.queue, e.descs = nil, nil, nil
	if len(e.held) > 0 {
		return fmt.Errorf("faultengine: Close of engine %d: %w", e.number, engine.ErrMemoryHeld)
	}
	return nil
}

// settle ends what the owner of a closed engine can't end: descriptors that it asked to
// close, and accepted ones that it never saw.
func (e *Engine) settle() {
	for _, s := range e.submitted {
		if s.act == actClose {
			e.n.close(s.d)
			e.n.limbo[s.d.fd]++
			e.forget(s.d)
		}
	}
	for i := range e.queue {
		q := &e.queue[i]
		switch {
		case q.c.Data != nil:
			e.lenderOf(q.c.Lease).giveBack(q.c.Lease)
		case q.c.Op == engine.OpAccept && q.c.Res >= 0:
			e.n.close(e.n.find(engine.FD(q.c.Res)))
		case q.c.Op == engine.OpClose:
			e.n.limbo[q.d.fd]++
		}
	}
}

func (e *Engine) forget(d *desc) {
	for i, have := range e.descs {
		if have == d {
			e.descs = append(e.descs[:i], e.descs[i+1:]...)
			return
		}
	}
}
