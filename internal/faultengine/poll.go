package faultengine

import (
	"errors"
	"math"
	"time"

	"kring/engine"
)

// ErrDead is what Poll returns once FailAfterPolls was reached.
var ErrDead = errors.New("faultengine: the engine died, as configured")

// Poll steps the engine until it has something to return.
func (e *Engine) Poll(done []engine.Completion, wait time.Duration) (int, error) {
	if !e.enter("Poll") {
		return 0, ErrDead
	}
	defer e.leave()
	if len(done) == 0 {
		e.n.breach("Poll with room for no completion")
		return 0, nil
	}
	if e.polls++; e.dead() {
		return 0, ErrDead
	}
	if e.chance(e.n.cfg.ShortPoll) {
		done = done[:1+e.rng.IntN(len(done))]
	}
	spurious := e.chance(e.n.cfg.SpuriousPoll)
	defer e.unhold()
	var limit *time.Timer
	for {
		e.hush()
		e.pass()
		n := 0
		if !e.holds() || wait == 0 || e.woken || spurious {
			n = e.deliver(done)
		}
		if n > 0 || e.woken || spurious || wait == 0 {
			e.woken = false
			return n, nil
		}
		if e.skipAhead() {
			continue
		}
		if limit == nil && wait > 0 {
			limit = time.NewTimer(wait)
			defer limit.Stop()
		}
		if !e.sleep(limit) {
			e.woken = false
			return 0, nil
		}
	}
}

// holds reports whether only completions are due that may be withheld.
func (e *Engine) holds() bool {
	held := false
	for i := range e.queue {
		if e.queue[i].due <= e.tick {
			if op := e.queue[i].op; !op.held || int(e.queue[i].c.Res) < op.total {
				return false
			}
			held = true
		}
	}
	return held
}

func (e *Engine) unhold() {
	for _, d := range e.descs {
		if d.send != nil {
			d.send.held = false
		}
	}
}

func (e *Engine) dead() bool {
	return e.n.killed || e.n.cfg.FailAfterPolls > 0 && e.polls >= e.n.cfg.FailAfterPolls
}

// deliver moves due completions to done. Order: those of one operation stay in
// their order, and so do all of them unless Reorder says otherwise.
func (e *Engine) deliver(done []engine.Completion) (n int) {
	shuffle := e.chance(e.n.cfg.Reorder)
	for n < len(done) {
		i := e.pick(shuffle)
		if i < 0 {
			break
		}
		q := e.queue[i]
		copy(e.queue[1:i+1], e.queue[:i]) // close the gap from the front: i is small
		e.queue[0] = entry{}
		e.queue = e.queue[1:]
		e.settleOne(&q)
		done[n] = q.c
		n++
	}
	e.counters.Completed.Add(uint64(n))
	return n
}

// reorderSpan is how far a completion can overtake others.
const reorderSpan = 32

// pick is the index of the next completion to deliver, or -1.
func (e *Engine) pick(shuffle bool) int {
	from := 0
	if shuffle && len(e.queue) > 1 {
		from = e.rng.IntN(min(len(e.queue), reorderSpan))
	}
	chosen := e.dueFrom(from)
	if chosen < 0 {
		return e.dueFrom(0)
	}
	for i := range chosen { // an earlier one of the same operation goes first
		if e.queue[i].op == e.queue[chosen].op {
			return i
		}
	}
	return chosen
}

// dueFrom is the index of the first completion from i on that is due, or -1.
// Those of one operation are due in their order, so in the queue's order the
// first is always the operation's own first.
func (e *Engine) dueFrom(i int) int {
	for ; i < len(e.queue); i++ {
		if e.queue[i].due <= e.tick {
			return i
		}
	}
	return -1
}

// settleOne records the delivery of a completion.
func (e *Engine) settleOne(q *entry) {
	verb := "completes " + q.c.Op.String()
	e.n.trace.add(step{engine: e.number, tick: e.tick, verb: verb, fd: q.d.fd, token: q.c.Token, res: q.c.Res, more: q.c.More})
	if q.c.Data != nil {
		e.counters.LentBytes.Add(int64(e.lenderOf(q.c.Lease).size))
	}
	if q.c.More {
		return
	}
	switch q.c.Op {
	case engine.OpSend:
		q.d.send = nil
		if q.op.checksum() != q.op.sum {
			e.n.breach("memory of a send on %s changed before its completion", q.d)
		}
	case engine.OpClose:
		delete(e.bound, q.c.Token)
		e.gone[q.c.Token] = struct{}{}
	case engine.OpRecvInto:
		q.d.recv = nil
		if !q.op.untouched() {
			e.n.breach("memory of a RecvInto on %s changed before its completion", q.d)
		}
		copy(q.op.into, q.op.got)
	default:
		q.d.recv = nil
	}
}

// skipAhead moves the clock to the next step at which something is due. Nothing
// else would happen before, so a delay costs no time.
func (e *Engine) skipAhead() bool {
	next := uint64(math.MaxUint64)
	at := func(tick uint64) {
		if tick > e.tick {
			next = min(next, tick)
		}
	}
	for i := range e.queue {
		at(e.queue[i].due)
	}
	for _, d := range e.descs {
		if d.recv != nil && !d.recv.ended {
			at(d.recv.cancelAt)
		}
		if d.send != nil && !d.send.ended {
			at(d.send.rest)
		}
	}
	if next == math.MaxUint64 {
		return false
	}
	e.tick = next - 1
	return true
}

// sleep waits for the bell; false if the time has passed.
func (e *Engine) sleep(limit *time.Timer) bool {
	var passed <-chan time.Time
	if limit != nil {
		passed = limit.C
	}
	e.sleeping = true
	e.n.mu.Unlock()
	rung := true
	select {
	case <-e.bell:
	case <-passed:
		rung = false
	}
	e.n.mu.Lock()
	e.sleeping = false
	return rung
}

// ring makes a sleeping Poll look again; n.mu is held.
func (e *Engine) ring() {
	select {
	case e.bell <- struct{}{}:
	default:
	}
}

// hush drops an earlier signal: the next step sees what it announced.
func (e *Engine) hush() {
	select {
	case <-e.bell:
	default:
	}
}

// Wake makes a concurrent Poll, or else the next one, return. Any goroutine.
func (e *Engine) Wake() {
	e.n.mu.Lock()
	defer e.n.mu.Unlock()
	if e.closed || e.woken {
		return
	}
	e.woken = true
	if e.sleeping {
		e.counters.Wakes.Add(1)
		e.counters.Enters.Add(1)
	}
	e.ring()
}
