//go:build linux

package uring

import (
	"errors"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"kring/engine"
	"kring/internal/invariants"
	"kring/internal/slab"
)

// ringEngine keeps the completion contract with one ring.
//
// Owner: the goroutine that opened it, but for Wake and Counters.
type ringEngine struct {
	ring       *ring
	entries    int // of the SQ
	window     *window
	large      *window // nil: there are no large buffers
	scratch    *scratch
	sleeper    sleeper
	config     Config
	use        use
	table      *table     // see directFDs
	busyPoller busyPoller // see busyPoll
	fixed      fixed      // see registeredBuffers

	sockets     sockets
	issued      uint64 // SQEs taken from the ring
	sequence    uint32 // of operations; tells apart those of one descriptor
	inflight    int    // operations whose last CQE is still to come
	unsubmitted SQE    // what a dead engine has filled instead of one of the ring's
	shut        []engine.FD
	backpressure
	follower   follower
	lateCloses []lateClose
	fileReads
	connects map[engine.FD]netip.AddrPort // where to, of each Connect that is outstanding
	spill    []CQE                        // reaped to make room in the CQ; only when the kernel insisted
	batch    [128]CQE
	reapMax  int // CQEs taken at once

	unbound *unix.CPUSet // of the owner's thread before it was bound to a CPU

	can           *abilities
	multishotRecv bool
	bulk          int                   // outstanding operations of bulkBytesMin or more
	sends         uint32                // not submitted yet, and thought to complete at once
	sending       [delayedSendsMax]*SQE // the first of them
	takenInPart   bool                  // the kernel has taken some of the SQEs, and their places may be others'
	sendsLater    bool                  // no send completes while it is submitted
	copiesNothing bool                  // in the call that submits
	quietWaits    bool                  // see quiet
	sendBytes     int                   // and what is in them
	delaySends    bool                  // the owner does not wait for them, see AllowDelayedSends
	announced     bool                  // see AnnounceWait
	mayBlockP     bool                  // nobody else is at work for the owner, see AllowBlockingP
	timeoutArmed  bool                  // a timeout is outstanding,
	timeoutSet    time.Time             // and was set or put off then

	total    totals
	counters engine.Counters
	dead     error
}

// socket is what the engine knows of a descriptor: at most one operation each
// way.
type socket struct {
	token   engine.Token
	in      operation // Accept, Connect, Recv or RecvInto
	out     operation // Send, or Close
	into    uintptr   // RecvInto's memory
	intoLen uint32    // or of a RecvLarge
	shut    shutHow   // waits in ringEngine.shut for this
	drained bool      // the last receive left nothing behind

	watch   uint32 // sequence of the watch beside a multishot receive; 0: none
	watches uint16 // polls for it not ended yet
	hungUp  bool   // the watch fired
	direct  bool   // stands in the engine's table

	served  uint64 // the round of refill after which it received last
	overdue bool   // found no buffer, and got none in the round before either

	copiedInVain uint8 // zero-copy sends in a row that were copied all the same

	heldUp bool // the last send took less than all: its peer does not read
}

type operation struct {
	sequence   uint32
	op         engine.Op // 0: none outstanding
	cancelled  bool      // the owner asked for its end
	starved    bool      // waits for its turn, see backpressure
	comingBack bool      // a multishot receive that was cancelled because others take turns
	bulk       bool
	asked      uint32 // bytes of a Send
	zeroCopy   bool   // a Send that ends with a notification
	result     int32  // of that Send, which has come before
	single     bool   // a receive that the engine arms again after each completion
	fixed      uint32 // one more than the registered buffer of a Recv; 0: none
	read       bool   // a RecvInto by reads of registered memory
	got        uint32 // by the reads before
	large      bool   // a RecvLarge
	connecting bool   // a Connect that the kernel goes on with, and whose end poll tells
	thread     int32  // that it was armed on, as far as follower knows
}

// user_data is op:8 | sequence:24 | descriptor:32. The sequence makes it name
// one operation, so a cancel that comes late can never hit the next one.
const (
	opShift      = 56
	sequenceBits = 24

	opWake   = 0x10 // the wake word's read
	opCancel = 0x11 // a cancel; only its failure completes
	opWatch  = 0x12 // a watch, see watch.go

	opMessage = 0x13 // a wake, see messenger
	opPlace   = 0x14 // a change of the table of direct descriptors; only its failure completes
	opFile    = 0x15 // a read of a file; its slot in place of the descriptor

	opTimeout       = 0x16 // the end of a quiet wait, see armTimeout
	opTimeoutUpdate = 0x17 // a timeout that could not be put off any more
)

// What the kernel may have to copy in a call that the Go scheduler is not told
// about: a MiB of sends (100 to 300 µs), in operations that are not bulk. How many
// receives it completes in a call is the kernel's affair. Kernel: 6.13 and later
// 20 at most, or as many as were waited for.
const (
	quickBytesMax = 1 << 20
	bulkBytesMin  = 256<<10 + 1
)

func sequenceOf(q *CQE) uint32 { return uint32(q.UserData>>32) & (1<<sequenceBits - 1) }

func userData(op engine.Op, sequence uint32, fd engine.FD) uint64 {
	return uint64(op)<<opShift | uint64(sequence)<<32 | uint64(uint32(fd))
}

var errClosed = errors.New("uring: the engine is closed")

func (e *ringEngine) Accept(fd engine.FD, t engine.Token) {
	s := e.begin(fd, t)
	e.beginIn(s, fd, engine.OpAccept)
	e.armAccept(fd, s)
}

func (e *ringEngine) Recv(fd engine.FD, t engine.Token) {
	s := e.beginBytes(fd, t)
	e.beginIn(s, fd, engine.OpRecv)
	e.takeTurn(fd, s, true)
	if e.receivesOn(s) {
		e.armWatch(fd, s)
	}
}

func (e *ringEngine) RecvInto(fd engine.FD, t engine.Token, buf []byte) {
	if invariants.Enabled {
		invariants.Assert(slab.Owns(buf), "uring: RecvInto of descriptor %d into memory that is not slab memory", fd)
	}
	s := e.beginBytes(fd, t)
	e.beginIn(s, fd, engine.OpRecvInto)
	s.into, s.intoLen = address(buf), uint32(len(buf))
	e.setBulk(&s.in, len(buf))
	e.armRecvInto(fd, s)
}

func (e *ringEngine) Send(fd engine.FD, t engine.Token, bufs [][]byte) {
	s := e.beginBytes(fd, t)
	if invariants.Enabled {
		invariants.Assert(s.out.op == 0, "uring: Send on descriptor %d while its %v is outstanding", fd, s.out.op)
		for _, b := range bufs {
			invariants.Assert(slab.Owns(b), "uring: Send on descriptor %d from memory that is not slab memory", fd)
		}
	}
	e.beginOut(s, engine.OpSend)
	if len(bufs) == 1 {
		e.armSend(fd, s, bufs)
	} else {
		e.armGatheredSend(fd, s, bufs)
	}
}

func (e *ringEngine) Cancel(fd engine.FD, t engine.Token) {
	s := e.sockets.of(fd)
	if s == nil || s.in.op == 0 || s.in.cancelled {
		return
	}
	if invariants.Enabled {
		invariants.Assert(s.token == t, "uring: Cancel of descriptor %d with token %v, which is %v's", fd, t, s.token)
	}
	s.in.cancelled = true
	if !s.in.starved { // else when it is armed again
		e.cancel(s.in.op, s.in.sequence, fd)
	}
}

func (e *ringEngine) Shutdown(fd engine.FD, t engine.Token) {
	s := e.begin(fd, t)
	if s.in.op == engine.OpConnect {
		e.Cancel(fd, t) // shutdown(2) would have the kernel begin the connect again
		return
	}
	e.shutLater(fd, s, shutBoth)
}

func (e *ringEngine) ShutdownSend(fd engine.FD, t engine.Token) {
	e.shutLater(fd, e.begin(fd, t), shutSend)
}

// shutHow is what shutdown(2) is to end; the larger includes the smaller.
type shutHow uint8

const (
	shutNothing shutHow = iota
	shutSend
	shutBoth
)

func (e *ringEngine) shutLater(fd engine.FD, s *socket, how shutHow) {
	if s.shut == shutNothing {
		e.shut = append(e.shut, fd)
	}
	s.shut = max(s.shut, how)
}

func (e *ringEngine) CloseFD(fd engine.FD, t engine.Token) {
	s := e.begin(fd, t)
	if invariants.Enabled {
		invariants.Assert(s.in.op == 0 && s.out.op == 0,
			"uring: CloseFD of descriptor %d while %v and %v are outstanding", fd, s.in.op, s.out.op)
	}
	s.shut = shutNothing // the close says it all, and the number may be another's afterwards
	e.beginOut(s, engine.OpClose)
	if s.watches == 0 { // else when the last has ended
		e.armClose(fd, s)
	}
}

// Detach has nothing to forget but what begin would: a watch that is not ended
// yet is told apart by its sequence, and the next Poll ends it.
func (e *ringEngine) Detach(fd engine.FD, t engine.Token) {
	s := e.begin(fd, t)
	if invariants.Enabled {
		invariants.Assert(s.in.op == 0 && s.out.op == 0,
			"uring: Detach of descriptor %d while %v and %v are outstanding", fd, s.in.op, s.out.op)
	}
	s.hungUp, s.copiedInVain = false, 0
	e.endSocket(fd, s)
}

// ReceiveBuffers is engine.BufferCounter's.
func (e *ringEngine) ReceiveBuffers() int { return e.config.Buffers }

func (e *ringEngine) Recycle(c *engine.Completion) {
	if c.Lease > largeLease {
		e.large.giveBack(uint16(c.Lease - largeLease - 1))
	} else if c.Lease > fixedLease {
		e.fixed.giveBack(uint16(c.Lease - fixedLease - 1))
	} else if c.Lease != 0 {
		e.window.giveBack(uint16(c.Lease - 1))
	}
	if c.Lease != 0 {
		e.publishBuffers()
		c.Lease = 0
	}
	c.Data = nil
}

// AllowDelayedSends is engine.DelayedSender's.
func (e *ringEngine) AllowDelayedSends() { e.delaySends = e.canHurry() }

// AnnounceWait is engine.WaitAnnouncer's.
func (e *ringEngine) AnnounceWait() { e.announced = true }

// AllowBlockingP is engine.BlockingWaiter's.
func (e *ringEngine) AllowBlockingP() { e.mayBlockP = true }

func (e *ringEngine) Wake() { e.sleeper.wake() }

func (e *ringEngine) Counters() *engine.Counters { return &e.counters }

// begin finds the record of fd, whose operations are now t's.
func (e *ringEngine) begin(fd engine.FD, t engine.Token) *socket {
	s := e.sockets.made(fd)
	if invariants.Enabled {
		invariants.Assert(s.token == t || s.in.op == 0 && (s.out.op == 0 || s.out.op == engine.OpClose && s.watches == 0),
			"uring: descriptor %d used with token %v while operations of %v are outstanding", fd, t, s.token)
	}
	if s.token != t {
		e.outliveClose(s)
		s.token, s.hungUp, s.drained, s.copiedInVain, s.heldUp = t, false, false, 0, false
		s.served, s.overdue, s.direct = e.rounds, false, false
	}
	return s
}

// beginBytes is begin for a receive or a send.
func (e *ringEngine) beginBytes(fd engine.FD, t engine.Token) *socket {
	s := e.begin(fd, t)
	for _, begin := range e.use.begin {
		begin(e, fd, s)
	}
	return s
}
