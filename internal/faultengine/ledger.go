package faultengine

import (
	"hash/maphash"

	"kring/engine"
	"kring/internal/invariants"
	"kring/internal/slab"
)

// sums is the seed of the checksums over memory that owners must not change.
var sums = maphash.MakeSeed()

// fits reports whether the operation suits the descriptor and has memory it may use.
func (e *Engine) fits(verb string, d *desc, op *operation) bool {
	if (op.op == engine.OpAccept) != (d.listener != nil) {
		e.n.breach("%s on %s", verb, d)
		return false
	}
	if d.listener == nil && (op.op == engine.OpConnect) != (d.wire == nil) {
		e.n.breach("%s on %s", verb, d)
		return false
	}
	memory := op.bufs
	switch op.op {
	case engine.OpRecvInto:
		memory = [][]byte{op.into}
	case engine.OpSend:
		if len(op.bufs) == 0 {
			e.n.breach("Send of no buffers on %s", d)
			return false
		}
	}
	for i, b := range memory {
		if len(b) == 0 {
			e.n.breach("%s on %s with an empty buffer (%d of %d)", verb, d, i, len(memory))
			return false
		}
		if invariants.Enabled && !slab.Owns(b) {
			e.n.breach("%s on %s with memory that is not slab memory", verb, d)
			return false
		}
	}
	return true
}

// seal makes any use of the operation's memory before its completion show.
func (o *operation) seal() {
	for i := range o.into {
		o.into[i] = poison
	}
	for _, b := range o.bufs {
		o.total += len(b)
	}
	o.sum = o.checksum()
}

func (o *operation) checksum() uint64 {
	var h maphash.Hash
	h.SetSeed(sums)
	for _, b := range o.bufs {
		_, _ = h.Write(b)
	}
	return h.Sum64()
}

// untouched reports whether RecvInto's memory is as seal left it.
func (o *operation) untouched() bool {
	for _, b := range o.into {
		if b != poison {
			return false
		}
	}
	return true
}

// lookUp finds fd, and ties it to this engine and token at its first operation.
func (e *Engine) lookUp(verb string, fd engine.FD, t engine.Token) *desc {
	d := e.n.find(fd)
	_, gone := e.gone[t]
	switch {
	case d == nil:
		e.n.breach("%s on fd %d token %s: not open", verb, fd, t)
	case gone:
		e.n.breach("%s on fd %d with token %s after its OpClose", verb, fd, t)
	case t>>56 != 0:
		e.n.breach("%s on fd %d with token %#x of more than 56 bits", verb, fd, uint64(t))
	case d.closing:
		e.n.breach("%s on %s after CloseFD", verb, d)
	case d.owner == nil && e.bound[t] != nil:
		e.n.breach("%s on fd %d with token %s, which is still that of %s", verb, fd, t, e.bound[t])
	case d.owner == nil:
		d.owner, d.token = e, t
		e.bound[t] = d
		e.descs = append(e.descs, d)
		return d
	case d.owner != e:
		e.n.breach("%s on %s, which another engine uses", verb, d)
	case d.token != t:
		e.n.breach("%s on %s with token %s", verb, d, t)
	default:
		return d
	}
	return nil
}
