//go:build linux

package uring

import (
	"kring/engine"
	"kring/internal/invariants"
	"kring/internal/slab"
)

// registeredBuffers receives into, and sends from, memory that is registered with the ring
// (READ_FIXED, WRITE_FIXED).
//
// Kernel: 5.1; 6.15 for gathered sends.
//
// Cost: memory that stays resident and counts against the memlock limit; a buffer for each
// connection that waits. Off: a socket's data is copied all the same, and a write was
// slower than a send (2,592 against 2,288 ns for 128 bytes, 3,200 against 2,811 for 4 KiB).
var registeredBuffers = technique{
	asked:      (*Config).needsFixed,
	probe:      (*Network).probeFixed,
	open:       (*ringEngine).openFixed,
	operations: (*Config).fixedOps,
	hooks:      hooks{prepare: (*ringEngine).prepareFixed, complete: (*ringEngine).fixedDone, close: (*ringEngine).closeFixed},
}

// fixed is the memory that is registered with an engine's ring: the kernel has
// looked its pages up once and keeps them, so operations on it need not. One
// region belongs to the engine and is cut into receive buffers; one is the
// owner's, see Network.UseMemory.
//
// Invariant: each of the engine's buffers is spare, with a receive, or lent.
type fixed struct {
	own      []byte // nil unless Recv is RecvFixedMode
	size     int    // of a buffer, in bytes
	ownIndex uint16
	spare    []uint16
	lent     int
	closed   bool   // nothing is registered any more
	isLent   []bool // by buffer; only with assertions

	region     []byte  // the owner's, if it has one
	start, end uintptr // of it; equal: there is none
	index      uint16
}

// fixedLease is added to the number of a buffer of fixed, so that its lease is
// none of the window's.
const fixedLease = 1 << 16

// MemoryWanted is how much memory the engines would have registered, in bytes.
func (n *Network) MemoryWanted() int {
	if !n.config.needsFixed() {
		return 0
	}
	return n.config.FixedBytes
}

// UseMemory names the memory that engines opened from now on register: slab
// memory that stays mapped while any of them is open. What they send from
// elsewhere, or receive to, goes the usual way.
func (n *Network) UseMemory(b []byte) { n.memory = b }

// probeFixed registers as much as each engine will, so that a limit shows now.
func (n *Network) probeFixed() error {
	memory, err := slab.Map(n.config.FixedBytes)
	if err != nil {
		return mapError("registered buffers", n.config.FixedBytes, err)
	}
	defer slab.Unmap(memory)
	r, err := n.kernel.open(probeRingEntries, &Params{Flags: SetupClamp})
	if err != nil {
		return setupError(err)
	}
	defer r.Close()
	if err := r.RegisterBuffers(memory); err != nil {
		return registerError("BUFFERS", err)
	}
	known, err := r.Probe()
	if err != nil {
		return registerError("PROBE", err)
	}
	n.kernel.limit(&known)
	n.can.vectoredFixed = known.Has(opcodeWritevFixed)
	if !n.can.vectoredFixed && (n.config.Send == SendFixedMode || n.config.ZeroCopyFixed) {
		n.can.missing = append(n.can.missing, "WRITEV_FIXED (6.15)")
	}
	return nil
}

// openFixed registers. Order: before restrictions, which end all registering.
func (e *ringEngine) openFixed(engine.Wait) error {
	f := &e.fixed
	var all [][]byte
	if e.config.Recv == RecvFixedMode {
		f.size = e.config.BufferBytes
		n := e.config.FixedBytes / f.size
		own, err := slab.Map(n * f.size)
		if err != nil {
			return mapError("registered receive buffers", n*f.size, err)
		}
		slab.Register(own)
		f.own, f.spare = own, make([]uint16, n)
		for i := range f.spare {
			f.spare[i] = uint16(n - 1 - i)
		}
		if invariants.Enabled {
			f.isLent = make([]bool, n)
		}
		all = append(all, own)
	}
	if len(f.region) > 0 {
		f.index = uint16(len(all))
		f.start = address(f.region)
		f.end = f.start + uintptr(len(f.region))
		all = append(all, f.region)
	}
	if len(all) == 0 {
		return nil
	}
	if err := e.ring.RegisterBuffers(all...); err != nil {
		return registerError("BUFFERS", err)
	}
	return nil
}

// covers says whether n bytes from at on are the owner's registered memory.
func (f *fixed) covers(at uintptr, n int) bool {
	return at >= f.start && at < f.end && uintptr(n) <= f.end-at
}

// coversAll is covers for each of bufs.
func (f *fixed) coversAll(bufs [][]byte) bool {
	for _, b := range bufs {
		if !f.covers(address(b), len(b)) {
			return false
		}
	}
	return true
}

// registered says whether all that a Send hands over is registered memory.
func (e *ringEngine) registered(out outgoing) bool {
	if len(out.bufs) > 1 {
		return e.can.vectoredFixed && e.fixed.coversAll(out.bufs)
	}
	return e.fixed.covers(out.at, out.n)
}

// prepareFixed fills the SQE of an operation that has registered memory to go to, or to
// come from.
func (e *ringEngine) prepareFixed(q *SQE, fd engine.FD, s *socket, op engine.Op, out outgoing) bool {
	f, reads := &e.fixed, e.config.Recv == RecvFixedMode
	switch {
	case op == engine.OpRecv && len(f.spare) > 0:
		id := f.spare[len(f.spare)-1]
		f.spare = f.spare[:len(f.spare)-1]
		s.in.fixed = uint32(id) + 1
		q.PrepReadFixed(int32(fd), address(f.buffer(id)), uint32(f.size), 0, f.ownIndex)
	case op == engine.OpRecvInto && reads && f.covers(s.into, int(s.intoLen)):
		s.in.read = true
		q.PrepReadFixed(int32(fd), s.into, s.intoLen, 0, f.index)
	case op == engine.OpSend && e.config.Send == SendFixedMode && e.registered(out):
		if len(out.bufs) == 1 {
			q.PrepWriteFixed(int32(fd), out.at, uint32(out.n), 0, f.index)
		} else {
			first, count := e.scratch.vectorsOf()
			q.PrepWritevFixed(int32(fd), first, count, 0, f.index)
		}
	default:
		return false
	}
	e.total.registered++
	return true
}

// fixedDone is told of every completion. It says that a receive goes on.
func (e *ringEngine) fixedDone(fd engine.FD, s *socket, _ *CQE, c *engine.Completion) bool {
	switch {
	case c.Op == engine.OpRecv && s.in.fixed != 0:
		e.fixed.taken(&s.in, c)
	case c.Op == engine.OpRecvInto && s.in.read:
		return e.readDone(fd, s, c)
	}
	return false
}

// taken ends a receive into a buffer of ours, and lends it if something came.
func (f *fixed) taken(o *operation, c *engine.Completion) {
	id := uint16(o.fixed - 1)
	o.fixed = 0
	if c.Res <= 0 {
		f.spare = append(f.spare, id)
		return
	}
	if invariants.Enabled {
		invariants.Assert(!f.isLent[id], "uring: registered buffer %d was received into while lent", id)
		f.isLent[id] = true
	}
	f.lent++
	n := int(c.Res)
	c.Data, c.Lease = f.buffer(id)[:n:n], fixedLease+uint32(id)+1
}

func (f *fixed) giveBack(id uint16) {
	if invariants.Enabled {
		invariants.Assert(int(id) < len(f.isLent) && f.isLent[id], "uring: lease of registered buffer %d recycled twice or never lent", id)
		f.isLent[id] = false
		invariants.Poison(f.buffer(id))
	}
	f.lent--
	f.spare = append(f.spare, id)
	if f.closed {
		f.release()
	}
}

func (f *fixed) buffer(id uint16) []byte {
	at := int(id) * f.size
	return f.own[at : at+f.size : at+f.size]
}

// closeFixed frees the engine's own memory when the last buffer comes home. No
// operation may be outstanding.
func (e *ringEngine) closeFixed() error {
	e.fixed.closed = true
	e.fixed.release()
	return nil
}

func (f *fixed) release() {
	if f.lent == 0 && f.own != nil {
		unmapBuffers(f.own)
		f.own = nil
	}
}

// fixedOps are the operations that registered memory brings.
func (c *Config) fixedOps(can *abilities) []uint8 {
	var ops []uint8
	if c.Recv == RecvFixedMode {
		ops = append(ops, OpcodeReadFixed)
	}
	if c.Send == SendFixedMode {
		ops = append(ops, OpcodeWriteFixed)
		if can.vectoredFixed {
			ops = append(ops, opcodeWritevFixed)
		}
	}
	return ops
}

// readDone goes on with a receive into registered memory that is not full:
// a read has no MSG_WAITALL. It says that the receive stands again.
func (e *ringEngine) readDone(fd engine.FD, s *socket, c *engine.Completion) bool {
	if c.Res < 0 && transient(&s.in, c.Errno()) {
		return false
	}
	if c.Res > 0 {
		s.in.got += uint32(c.Res)
		s.into, s.intoLen = s.into+uintptr(c.Res), s.intoLen-uint32(c.Res)
		if s.intoLen > 0 && !s.in.cancelled {
			e.total.rearmed++
			e.armRecvInto(fd, s)
			return true
		}
	}
	if s.in.got > 0 { // what stopped it shows at the next receive
		c.Res = int32(s.in.got)
	}
	return false
}
