package gateway

import (
	"time"

	"kring/kafka"
)

// Dialer opens connections to brokers. It is what the gateway needs of the network. All
// methods may be called from any goroutine, with locks of the gateway held: they never block
// and never call a LinkEvents before they have returned.
type Dialer interface {
	// Dial begins to open a connection and returns at once. The first event is Opened, or
	// Closed if it never opens. A TLS handshake belongs to opening it; SASL does not.
	Dial(to Target, events LinkEvents) Link
}

// Target says where a connection leads, and within which bounds.
type Target struct {
	// Address is the broker's, as the upstream cluster advertises it, or a bootstrap
	// address. A host name is resolved by the Dialer, off the network goroutines.
	Address kafka.Address
	// Identity names the TLS identity of the connection, "" the Dialer's default one: for
	// upstream users that are told apart by client certificates.
	Identity string
	// Near is the processor (kring.Conn.Processor) whose clients use it most, -1: none.
	// A Link that lives there costs no hand-over between goroutines.
	Near int
	// FrameBytesMax is the largest frame that may arrive, without its size; a larger one
	// closes the connection.
	FrameBytesMax int
	// OpenTimeout is from Dial to Opened: resolving, connecting and the TLS handshake.
	OpenTimeout time.Duration
	// FrameTimeout is how long a frame may take from its first byte to its last.
	// WriteTimeout is how long the peer may take nothing of what is being sent.
	FrameTimeout, WriteTimeout time.Duration
}

// Link is a connection to a broker that carries frames. All methods may be called from any
// goroutine, also within an event of the same Link, with locks of the gateway held: they
// never block, and never call a LinkEvents or Write.Done before they have returned.
type Link interface {
	// Write queues a frame. Frames leave in the order of the calls; several that wait leave
	// in one send. It may be called before Opened. After Close or Closed the frame is done
	// at once, unbegun (but Done is still called later, not within Write).
	Write(w Write)
	// Close ends the connection at once. Closed(why) follows, once, if it has not come yet.
	Close(why error)
}

// Write is a frame to be sent.
type Write struct {
	// Parts are sent in order. The first begins with the frame's size: the Link adds
	// nothing. Their memory is the Link's until Done; it may be the payload of a client's
	// request, or of the Go heap: what must not be given to the kernel, the Link copies.
	Parts [][]byte
	// Copied: parts larger than 4 KiB are of the Go heap, and the Link copies them. Else they
	// must lie in memory that the kernel may be given (kring.Request.Payload).
	Copied bool
	// NoReply: the broker answers nothing to it.
	NoReply bool
	// Done, if set, is called once, on the Link's goroutine, when the Link does not need
	// the memory any more. begun: bytes of the frame may have left. err is nil when all of
	// them did (the kernel took them), else why they did not. Every Done comes before Closed,
	// but that of a frame that was written when the Link had ended: it may come at any time,
	// unbegun. kring.ErrMemoryHeld says that the kernel may send from Parts for ever, and of
	// Closed that it may write to the memory of FrameBegins.
	Done func(begun bool, err error)
}

// LinkEvents is told of one Link. The events of a Link come one at a time, on the goroutine
// that owns it, and never block it. Nothing comes after Closed.
type LinkEvents interface {
	// Opened: the connection is there, with its TLS handshake.
	Opened()
	// FrameBegins: a frame of size bytes (without its size field) has begun to arrive, and
	// its correlation id is there. into, if not nil, is where the frame is to be received:
	// at least size bytes, from the first one on (the correlation id included), in memory of
	// kring.Request.Buffer that the request owns; the Link has it until Frame or Closed. nil:
	// in memory of the Link's own. An error closes the connection, for that reason. It is not
	// called for a frame that arrives whole.
	FrameBegins(size int, correlationID int32) (into []byte, err error)
	// Frame: the frame is whole. payload has no size field; it is into[:size], or memory
	// that is valid until Frame returns and that may be written to.
	Frame(payload []byte)
	// Closed: the connection is gone, or never came to be. err is never nil: io.EOF when
	// the peer closed it between two frames, what Close was called with, or what failed,
	// such as a *net.OpError, with the address in its text. It comes after the Done of every
	// Write; memory of FrameBegins is the gateway's again.
	Closed(err error)
}
