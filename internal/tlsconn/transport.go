package tlsconn

import (
	"crypto/tls"
	"errors"
	"io"
	"net"

	"kring/internal/conn"
	"kring/internal/slab"
	"kring/reqchan"
)

const (
	// behindBytes is how much may have come for a handshake before nothing more is
	// received; crypto/tls itself bounds the messages.
	behindBytes = 32 << 10
	// heldBytesMax is how much may be here that was not opened before nothing more is
	// received: it is more than a record.
	heldBytesMax = 32 << 10
	// ownBytesMax is how much of its own (answers to key updates) a connection may have to
	// send before nothing more is opened.
	ownBytesMax = 4 << 10
	// ownPieceMax is how much of that goes out in one piece.
	ownPieceMax = 16 << 10
	// messageBytesMax is how much of a handshake message may have come after the handshake,
	// and not be whole, without the connection's end: a key update has 5 bytes. crypto/tls
	// keeps up to 256 KiB for each connection, in memory that nobody counts.
	messageBytesMax = 4 << 10
)

// serverMessageBytesMax is the same of a server, whose tickets may hold the certificates of its
// client (Java's do).
const serverMessageBytesMax = 64 << 10

func (t *Transport) messageMax() int {
	if t.client != nil {
		return serverMessageBytesMax
	}
	return messageBytesMax
}

var errMessageBytes = errors.New("a handshake message after the handshake is longer than any that a client may send")

// Transport is the TLS of one connection: a conn.Transport.
type Transport struct {
	all   *Handshakes
	info  *reqchan.Conn
	moved func()
	work  func(n int32) // see conn.ComputingTransport

	shakes *handshake // nil before the first bytes, and when it is open
	tls    *tls.Conn
	client *tls.Config // of a connection that this side made; nil: of a client's
	open   bool        // the handshake is over
	over   bool        // the peer sends no more

	records records
	memory  *slab.Pool // Keep's; nil before the first
	plain   []byte     // slab memory: what was opened and there was no place for, from plainAt on
	plainAt int
	sealing []byte // where crypto/tls writes while Seal runs; nil otherwise
	own     []byte // what it wrote otherwise
	end     reqchan.CloseReason
	// Where the fields of crypto/tls are not known.
	reading []byte // what it is to read next
	full    bool   // the last Read gave as much as was asked for
}

var _ conn.ComputingTransport = (*Transport)(nil)

// TellWork is conn.ComputingTransport's.
func (t *Transport) TellWork(tell func(n int32)) {
	t.work = tell
	if t.client != nil && !t.begin(t.all.settings.Load(), nil) { // the client's side speaks first
		t.end = reqchan.HandshakesFull
	}
}

// Worked is conn.ComputingTransport's.
func (t *Transport) Worked(now int64) int64 {
	if t.shakes == nil {
		return 0
	}
	return t.shakes.workedUntil(now)
}

// Waits and what follows are conn.Transport's.
func (t *Transport) Waits() bool { return t.shakes != nil }

// Open is beside Waits.
func (t *Transport) Open() bool { return t.open }

// Feed is beside Waits.
func (t *Transport) Feed(wire []byte) {
	t.over = t.over || wire == nil
	if t.shakes != nil {
		t.shakes.feed(wire)
		return
	}
	t.records.wire = wire
}

// Keep is beside Waits.
func (t *Transport) Keep(memory *slab.Pool) bool {
	if memory == nil {
		t.records.wire = nil
		return true
	}
	t.memory = memory
	return t.keepPlain() && t.records.keep(memory)
}

// Held is beside Waits.
func (t *Transport) Held() int {
	if t.shakes != nil {
		t.shakes.mu.Lock()
		defer t.shakes.mu.Unlock()
		return cap(t.shakes.in)
	}
	return t.records.memory() + cap(t.plain)
}

// Full is beside Waits.
func (t *Transport) Full() bool {
	if t.shakes != nil {
		t.shakes.mu.Lock()
		defer t.shakes.mu.Unlock()
		return t.shakes.behind
	}
	return len(t.records.held)-t.records.at > heldBytesMax
}

// Read is beside Waits.
func (t *Transport) Read(b []byte) (int, reqchan.CloseReason) {
	if t.end != reqchan.ReasonNone {
		return 0, t.end
	}
	if !t.open && !t.opens() {
		return 0, t.end
	}
	if n := copy(b, t.plain[t.plainAt:]); n > 0 {
		if t.plainAt += n; t.plainAt == len(t.plain) {
			t.dropPlain(t.memory)
		}
		return n, reqchan.ReasonNone
	}
	return t.read(b)
}

// opens goes on before it is open, and says that it is now.
func (t *Transport) opens() bool {
	if t.shakes == nil {
		t.look()
		return false
	}
	h := t.shakes
	done, why := h.isDone()
	if !done {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	t.shakes, t.own, t.end = nil, h.out, why
	if why != reqchan.ReasonNone {
		t.fail(why)
		return false
	}
	t.open = true
	t.records.held, t.records.heap = h.in, h.in != nil
	t.forgetHandshake()
	return true
}

// look looks at the first bytes. A handshake begins when the client's first message is
// there: until then it costs nothing but what came of that.
func (t *Transport) look() {
	b := t.records.wire
	if held := t.records.held; len(held) > 0 {
		b = append(append(make([]byte, 0, len(held)+len(b)), held...), b...)
	}
	switch {
	case len(b) == 0 && t.over:
		t.end = reqchan.PeerFinished
	case len(b) == 0:
	case conn.IsTLS(b) && helloComes(b):
		if t.over {
			t.info.SetEndDetail(io.ErrUnexpectedEOF)
			t.end = reqchan.HandshakeFailed
		}
	case conn.IsTLS(b):
		t.start(b)
	case len(b) < 4 && !t.over:
	case conn.IsHTTP(b):
		t.end = reqchan.HTTPRequest
	default:
		t.end = reqchan.PlaintextOnTLS
	}
}

// start begins the handshake with the first bytes.
func (t *Transport) start(b []byte) {
	first := append(make([]byte, 0, max(len(b), 2<<10)), b...)
	if !t.begin(t.all.settings.Load(), first) {
		t.end = reqchan.HandshakesFull
		return
	}
	t.records.wire = nil
	t.records.free(t.memory)
	if t.over {
		t.shakes.feed(nil)
	}
}

// read opens a record into b.
func (t *Transport) read(b []byte) (int, reqchan.CloseReason) {
	for {
		if len(t.own) > ownBytesMax {
			return 0, reqchan.ReasonNone
		}
		if t.pending() == 0 {
			record, ok := t.records.next(t.memory)
			switch {
			case !ok:
				return 0, t.fail(reqchan.MemoryRefused)
			case record == nil && !t.over:
				return 0, reqchan.ReasonNone
			case record == nil && t.records.empty():
				return 0, t.fail(reqchan.PeerFinished)
			case record == nil:
				return 0, t.fail(reqchan.Truncated)
			}
			t.lend(record)
		}
		n, err := t.tls.Read(b)
		t.wasRead(n, len(b))
		if n > 0 {
			if err != nil && err != errAgain {
				t.end = t.reasonOf(err)
			}
			return n, reqchan.ReasonNone
		}
		if err == errAgain && t.unhandled() > t.messageMax() {
			err = errMessageBytes
		}
		if err != errAgain {
			return 0, t.fail(t.reasonOf(err))
		}
	}
}

// fail ends what it opens, for why.
func (t *Transport) fail(why reqchan.CloseReason) reqchan.CloseReason {
	t.end = why
	return why
}

// reasonOf is why crypto/tls opens nothing more.
func (t *Transport) reasonOf(err error) reqchan.CloseReason {
	if err == io.EOF {
		return reqchan.PeerFinished // close_notify: there is no other end of its wire
	}
	t.info.SetEndDetail(err)
	if op := (*net.OpError)(nil); errors.As(err, &op) && op.Op == "remote error" {
		return reqchan.PeerReset // its alert
	}
	return reqchan.HandshakeFailed
}

// keepPlain moves what was opened and not taken out of memory that is lent.
func (t *Transport) keepPlain() bool {
	if !t.open {
		return true
	}
	n := t.pending()
	if n == 0 {
		return true
	}
	b, err := t.memory.TryGet(n)
	if err != nil {
		return false
	}
	n, err = t.tls.Read(b)
	t.wasRead(n, len(b)+1) // that was all
	if err != nil && err != errAgain {
		t.end = t.reasonOf(err)
	}
	if n == 0 { // there was none after all
		t.memory.Put(b)
		return true
	}
	t.plain, t.plainAt = b[:n], 0
	return true
}

func (t *Transport) dropPlain(memory *slab.Pool) {
	if t.plain != nil {
		memory.Put(t.plain)
	}
	t.plain, t.plainAt = nil, 0
}

// Close is beside Waits.
func (t *Transport) Close(memory *slab.Pool) {
	if t.shakes != nil {
		t.shakes.end()
	}
	t.records.wire = nil
	t.records.free(memory)
	t.dropPlain(memory)
	t.own, t.end = nil, reqchan.PeerReset
}
