package faultengine

import (
	"syscall"

	"kring/engine"
)

// multishotMax bounds what one descriptor gets per step, as io_uring's 32.
const multishotMax = 32

var (
	acceptErrors  = [...]syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED}
	recvErrors    = [...]syscall.Errno{syscall.ECONNRESET, syscall.ETIMEDOUT, syscall.EHOSTUNREACH}
	connectErrors = [...]syscall.Errno{syscall.ECONNREFUSED, syscall.ETIMEDOUT, syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EADDRNOTAVAIL}
	sendErrors    = [...]syscall.Errno{syscall.EPIPE, syscall.ECONNRESET, syscall.ETIMEDOUT}
)

// pass is one step: take the submissions, then move what can be moved.
func (e *Engine) pass() {
	e.tick++
	e.counters.Enters.Add(1)
	for _, s := range e.submitted {
		e.counters.Submitted.Add(1)
		e.execute(s)
	}
	e.submitted = e.submitted[:0]
	for _, d := range e.descs {
		if op := d.recv; op != nil && op.started && !op.ended {
			e.receive(d, op)
		}
		if op := d.send; op != nil && op.started && !op.ended {
			e.send(d, op)
		}
	}
}

func (e *Engine) execute(s submission) {
	e.note([...]string{"starts", "cancels", "shuts down", "stops sending", "closes"}[s.act], s.d)
	switch s.act {
	case actStart:
		s.op.started = true
		s.op.goal = e.shorten(e.n.cfg.ShortSend, s.op.total)
	case actCancel:
		if s.op.cancelAt == 0 {
			s.op.cancelAt = e.tick + e.delay(e.n.cfg.LateCancel)
		}
	case actShutdown:
		if s.d.wire == nil {
			s.d.shut = true
		} else {
			s.d.wire.shutdown()
		}
	case actShutdownSend:
		if s.d.wire != nil {
			s.d.wire.shutdownSend()
		}
	case actClose:
		e.n.close(s.d)
		e.forget(s.d)
		res := int32(0)
		if e.chance(e.n.cfg.FailClose) {
			res = engine.Failed(syscall.EIO)
		}
		e.finish(s.d, s.op, res)
	}
}

// receive moves what an Accept, Connect, Recv or RecvInto can take now.
func (e *Engine) receive(d *desc, op *operation) {
	for range multishotMax {
		if op.cancelAt != 0 && e.tick >= op.cancelAt {
			res := engine.Failed(syscall.ECANCELED)
			if len(op.got) > 0 {
				res = int32(len(op.got))
			}
			e.finish(d, op, res)
			return
		}
		var goesOn bool
		switch op.op {
		case engine.OpAccept:
			goesOn = e.acceptOne(d, op)
		case engine.OpConnect:
			e.connect(d, op)
		case engine.OpRecv:
			goesOn = e.recvSome(d, op)
		case engine.OpRecvInto:
			goesOn = e.recvInto(d, op)
		}
		if !goesOn {
			return
		}
	}
}

func (e *Engine) acceptOne(d *desc, op *operation) (goesOn bool) {
	l := d.listener
	if len(l.backlog) == 0 {
		return false
	}
	if e.chance(e.n.cfg.FailAccept) {
		why := acceptErrors[e.rng.IntN(len(acceptErrors))]
		if why == syscall.ECONNABORTED {
			l.backlog[0].breakOff(syscall.ECONNRESET)
			l.backlog = l.backlog[1:]
		}
		e.finish(d, op, engine.Failed(why))
		return false
	}
	w := l.backlog[0]
	l.backlog = l.backlog[1:]
	w.desc = e.n.open(&desc{wire: w})
	more := !e.chance(e.n.cfg.EndEarly)
	e.produce(d, op, engine.Completion{Res: int32(w.desc.fd), More: more})
	return more
}

func (e *Engine) recvSome(d *desc, op *operation) (goesOn bool) {
	in := &d.wire.toServer
	if len(in.data) == 0 {
		if res, ends := d.wire.receiveEnd(); ends {
			e.finish(d, op, res)
		}
		return false
	}
	if e.breaks(d, op, e.n.cfg.FailRecv, recvErrors[:]) {
		return false
	}
	from := e.lender
	if op.large > 0 {
		from = e.large
	}
	// Nothing was left, or nothing was left before the latest Recycle.
	lostRace := e.recycled > op.recycled && e.chance(e.n.cfg.Exhaust)
	if lostRace || len(from.free) == 0 {
		e.counters.Exhausted.Add(1)
		e.finish(d, op, engine.Failed(syscall.ENOBUFS))
		return false
	}
	buf, lease, _ := e.take(from)
	if op.large > 0 {
		k := in.take(buf[:e.shorten(e.n.cfg.ShortRecv, min(op.large, len(in.data)))])
		d.wire.tellPeer()
		e.produce(d, op, engine.Completion{Res: int32(k), Lease: lease, Data: buf[:k]})
		return false
	}
	k := in.take(buf[:e.shorten(e.n.cfg.ShortRecv, min(len(buf), len(in.data)))])
	d.wire.tellPeer()
	more := !e.chance(e.n.cfg.EndEarly)
	e.produce(d, op, engine.Completion{Res: int32(k), More: more, Lease: lease, Data: buf[:k:k]})
	return more
}

func (e *Engine) recvInto(d *desc, op *operation) (goesOn bool) {
	in := &d.wire.toServer
	if len(in.data) == 0 {
		if len(op.got) > 0 {
			if d.wire.broken != 0 || d.wire.shut || in.finished {
				d.wire.told = d.wire.told || d.wire.broken != 0 // swallowed: the next receive ends with 0, as after MSG_WAITALL
				e.finish(d, op, int32(len(op.got)))
			}
		} else if res, ends := d.wire.receiveEnd(); ends {
			e.finish(d, op, res)
		}
		return false
	}
	if len(op.got) == 0 && e.breaks(d, op, e.n.cfg.FailRecv, recvErrors[:]) {
		return false
	}
	if op.got == nil {
		op.got = make([]byte, 0, len(op.into))
	}
	at := len(op.got)
	k := in.take(op.got[at:cap(op.got)])
	op.got = op.got[:at+k]
	d.wire.tellPeer()
	if len(op.got) == len(op.into) {
		e.finish(d, op, int32(len(op.got)))
		return false
	}
	return true
}

func (e *Engine) send(d *desc, op *operation) {
	w := d.wire
	if res, ends := w.sendEnd(); ends {
		if op.taken > 0 {
			res = int32(op.taken)
		}
		e.finish(d, op, res)
		return
	}
	if e.tick < op.rest || w.toPeer.room() == 0 && !w.peerClosed {
		return
	}
	// Only a send that could go on rests: else the clock would run for nothing.
	if op.rest = e.tick + e.delay(e.n.cfg.StallSend); op.rest > e.tick {
		return
	}
	if op.taken == 0 && e.breaks(d, op, e.n.cfg.FailSend, sendErrors[:]) {
		return
	}
	if w.peerClosed { // taken by the kernel, answered by a reset
		w.breakOff(syscall.ECONNRESET)
		e.finish(d, op, int32(op.goal))
		return
	}
	k := min(w.toPeer.room(), op.goal-op.taken)
	w.toPeer.data = op.appendTo(w.toPeer.data, k)
	w.tellPeer()
	if op.taken == op.goal {
		e.finish(d, op, int32(op.goal))
	}
}

// appendTo takes the next k bytes of a send.
func (o *operation) appendTo(out []byte, k int) []byte {
	at := 0
	for _, b := range o.bufs {
		from := max(0, o.taken-at)
		at += len(b)
		if from >= len(b) {
			continue
		}
		part := b[from:min(len(b), from+k)]
		out = append(out, part...)
		o.taken += len(part)
		if k -= len(part); k == 0 {
			break
		}
	}
	return out
}

// breaks draws whether the connection breaks under this operation.
func (e *Engine) breaks(d *desc, op *operation, chance float64, why []syscall.Errno) bool {
	if !e.chance(chance) {
		return false
	}
	errno := why[e.rng.IntN(len(why))]
	if d.wire.broken == 0 {
		d.wire.told = e.chance(0.5) // or the other direction hears of it, too
		d.wire.breakOff(errno)
	}
	if e.chance(0.5) {
		d.wire.toServer.data = nil
	}
	e.finish(d, op, engine.Failed(errno))
	return true
}

// finish produces the last completion of an operation.
func (e *Engine) finish(d *desc, op *operation, res int32) {
	e.produce(d, op, engine.Completion{Res: res})
}

func (e *Engine) produce(d *desc, op *operation, c engine.Completion) {
	c.Token, c.Op = d.token, op.op
	op.ended = !c.More
	op.due = max(op.due, e.tick+e.delay(e.n.cfg.Late))
	e.queue = append(e.queue, entry{d: d, op: op, c: c, due: op.due})
}

func (e *Engine) chance(p float64) bool { return p > 0 && e.rng.Float64() < p }

// delay is 0, or with the given chance 1 to LateMax steps.
func (e *Engine) delay(chance float64) uint64 {
	if !e.chance(chance) {
		return 0
	}
	return 1 + uint64(e.rng.IntN(e.n.cfg.LateMax))
}

// shorten is n, or with the given chance less, but never nothing.
func (e *Engine) shorten(chance float64, n int) int {
	if n < 2 || !e.chance(chance) {
		return n
	}
	if e.rng.IntN(4) == 0 {
		return 1
	}
	return 1 + e.rng.IntN(n)
}

func (e *Engine) note(verb string, d *desc) {
	e.n.trace.add(step{engine: e.number, tick: e.tick, verb: verb, fd: d.fd, token: d.token})
}
