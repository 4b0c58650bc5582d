package engine

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"
	"time"
)

// Engine is a proactor owned by one goroutine: operations go in, completions
// come out of Poll.
//
// Every operation ends in exactly one completion with More == false. Until
// then the engine may use the descriptor and the memory; after it, never. So a
// close is a join: Shutdown (or Cancel), wait for the last completions, CloseFD.
//
// At most one Recv or RecvInto, and at most one Send, may be outstanding per
// descriptor, nothing else beside a Connect, and all operations of a descriptor
// carry the same Token.
type Engine interface {
	// Accept accepts connections on a listening descriptor until cancelled.
	// Each completion with Res >= 0 carries a new descriptor that the owner
	// must pass on, or give back with Network.Discard. A completion with
	// More == false ends it (EMFILE, ENFILE, ECANCELED, …); the owner re-arms
	// after a pause of its choosing.
	Accept(fd FD, t Token)

	// Connect connects a descriptor of Network.Socket, and completes once: Res is 0, or
	// the errno of what failed (-ECONNREFUSED, -ENETUNREACH, -ETIMEDOUT, …); then the
	// descriptor is only good to be closed. How long it may take is the owner's affair, as
	// with every operation: Cancel and Shutdown end it (-ECANCELED, unless it ended before).
	Connect(fd FD, t Token, to netip.AddrPort)

	// Recv receives until cancelled: each completion with Res > 0 lends
	// Data (len(Data) == Res) until Recycle. Res == 0: the peer finished
	// sending. -ENOBUFS: every buffer is lent; re-arm after a Recycle.
	// -ECANCELED: the answer to Cancel; data may arrive before it.
	Recv(fd FD, t Token)

	// RecvInto receives into buf, and completes once: when buf is full, or
	// short (Res < len(buf)) when the peer ended, the operation was cancelled
	// or the connection broke after Res bytes; what stopped it shows at the
	// next receive, whose Res is then 0 or an error. buf is memory of
	// internal/slab, never of the Go heap: the kernel writes it while the
	// owner does other things.
	RecvInto(fd FD, t Token, buf []byte)

	// Cancel ends the Accept, Connect, Recv or RecvInto that is outstanding on fd. It
	// has no completion of its own: the cancelled operation's last completion
	// is its answer (-ECANCELED, unless something else ended it first; data
	// may arrive before). With nothing outstanding it does nothing.
	Cancel(fd FD, t Token)

	// Send sends bufs in order, as one gathered operation, and completes
	// once: Res bytes were taken, perhaps not all of them; the owner sends the
	// rest with another Send. There is at least one buffer, and none is empty.
	// The engine keeps bufs and the memory behind it
	// until then; the memory is internal/slab's, never the Go heap's. An
	// engine may send fewer buffers than given (its own iovec limit): that is
	// a short completion.
	Send(fd FD, t Token, bufs [][]byte)

	// Shutdown ends both directions of a connection: every outstanding
	// operation on fd completes soon, each with its own completion. It has no
	// completion of its own and is idempotent.
	Shutdown(fd FD, t Token)

	// ShutdownSend ends the outgoing direction of a connection: its peer reads an end
	// behind what was sent. Receives go on. Only when no Send is outstanding. It has no
	// completion and is idempotent; Shutdown may follow.
	ShutdownSend(fd FD, t Token)

	// Detach forgets fd without closing it, so that another engine of the Network
	// may use it from now on. Only when nothing is outstanding on fd. It has no
	// completion: t has had its last word.
	Detach(fd FD, t Token)

	// CloseFD closes fd; its completion (OpClose) is the last word for t. Only
	// when nothing is outstanding on fd.
	CloseFD(fd FD, t Token)

	// Poll submits what was asked for, waits until at least one completion is
	// there, Wake was called or wait has passed (wait < 0: no limit; wait == 0:
	// do not block), and fills done with up to len(done) completions. n may be
	// 0. Completions that did not fit are kept for the next call. An error means
	// that the engine is dead: nothing of it will complete any more.
	Poll(done []Completion, wait time.Duration) (n int, err error)

	// Recycle gives back the memory that c lent; c.Data is nil afterwards. It
	// does nothing for a completion that lent nothing. Leases may be returned in
	// any order and at any later time, by the owner.
	Recycle(c *Completion)

	// Wake makes a concurrent Poll, or else the next one, return. Any goroutine
	// may call it, at any time, also after Close. It is idempotent until a Poll
	// has returned.
	Wake()

	// Counters are the engine's own counts; any goroutine may read them.
	Counters() *Counters

	// Close releases the engine. Outstanding operations end without a
	// completion; their descriptors stay open and are the owner's to Discard,
	// but for those that CloseFD was called for: they are closed.
	// Memory handed to them is the owner's again, unless the error is
	// ErrMemoryHeld. Data that is still lent stays readable until its Recycle,
	// which the owner may still call.
	Close() error
}

// ErrMemoryHeld is an error of Close: operations have not ended, and the kernel may
// read and write the memory of any that is outstanding, for ever. The owner must
// not use that memory again, nor unmap it.
var ErrMemoryHeld = errors.New("memory of operations that have not ended stays with the kernel")

// FD names a socket of one Network: the file descriptor on Linux engines, a
// table index on portable. Nothing above the engines may use it as a number.
type FD int32

// Token says whose completion it is: a slot and the generation of its use, so
// that a slot used again never receives an old completion (the defect of
// KAFKA-5595). 56 bits; an engine may use the 8 above for itself.
type Token uint64

// GenerationMax is the last generation before it wraps to 0.
const GenerationMax = 1<<24 - 1

// MakeToken packs a slot with the low 24 bits of a generation.
func MakeToken(slot, generation uint32) Token {
	return Token(slot) | Token(generation&GenerationMax)<<32
}

// Slot is the index that the owner gave.
func (t Token) Slot() uint32 { return uint32(t) }

// Generation is the low 24 bits of the generation that the owner gave.
func (t Token) Generation() uint32 { return uint32(t>>32) & GenerationMax }

func (t Token) String() string { return fmt.Sprintf("%d.%d", t.Slot(), t.Generation()) }

// Op is the operation that a completion belongs to.
type Op uint8

// The operations that complete.
const (
	// OpAccept: Accept gave a connection, or ended.
	OpAccept Op = iota + 1
	// OpRecv: Recv lent data, or ended.
	OpRecv
	// OpRecvInto: the buffer of RecvInto is full, or the peer ended.
	OpRecvInto
	// OpSend: Send took bytes, or failed.
	OpSend
	// OpClose: CloseFD is done, and the token free.
	OpClose
	// OpReadFile: see FileReader.
	OpReadFile
	// OpConnect: Connect has connected, or failed.
	OpConnect
)

var opNames = [...]string{OpAccept: "accept", OpRecv: "recv", OpRecvInto: "recv_into", OpSend: "send", OpClose: "close",
	OpReadFile: "read_file", OpConnect: "connect"}

func (o Op) String() string {
	if int(o) < len(opNames) && opNames[o] != "" {
		return opNames[o]
	}
	return fmt.Sprintf("op(%d)", uint8(o))
}

// Completion is one answer of an engine.
type Completion struct {
	Token Token
	// Res is a count of bytes, a descriptor (OpAccept), or a negated errno.
	Res int32
	Op  Op
	// More: the operation stands and will complete again.
	More bool
	// Lease is the engine's own mark of the memory behind Data.
	Lease uint32
	// Data is memory lent to the owner until Recycle; only OpRecv with Res > 0
	// has it. Its capacity ends where its length does.
	Data []byte
}

// Errno is the failure as an errno, 0 when there is none.
func (c *Completion) Errno() syscall.Errno {
	if c.Res >= 0 {
		return 0
	}
	return syscall.Errno(-int64(c.Res))
}

// Failed makes the Res of an errno.
func Failed(e syscall.Errno) int32 { return -int32(e) }
