package tlsconn

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"time"

	"kring/internal/fairqueue"
	"kring/reqchan"
)

// handshake is one that has begun: what its goroutine and the processor share.
//
// Its Conn is the net.Conn of crypto/tls while the goroutine runs: Read blocks.
type handshake struct {
	of    *Transport
	set   *Settings
	key   netip.Prefix // of its client
	place *place
	gone  chan struct{} // closed by end
	wake  chan struct{} // holds one: something came

	mu     sync.Mutex
	in     []byte              // guarded by mu; was received
	out    []byte              // guarded by mu; is to be sent
	over   bool                // guarded by mu; the peer sends no more
	ended  bool                // guarded by mu; gone is closed
	forced bool                // guarded by mu; it makes way for another
	done   bool                // guarded by mu; the goroutine has nothing more to do with the connection
	why    reqchan.CloseReason // guarded by mu; of one that failed
	waits  bool                // guarded by mu; for its peer: it has nothing to do
	behind bool                // guarded by mu; nothing more is received until the goroutine takes what came
	since  int64               // guarded by mu; of reqchan.Now: it does not wait for its peer
	worked int64               // guarded by mu; the time before since in which it did not

	// Of the goroutine.
	endTurn func()
	rank    int
	head    [headBytes]byte // of the record that is being read, as far as it was given
	heads   int
	left    int // of its body
	taken   int // bytes of the whole handshake, heads included
}

// handshakeBytesMax is how much a client may send in one handshake. crypto/tls would keep a
// message of 64 KiB, and of 256 KiB if it says that it has certificates, wanted or not. Java
// takes 32 KiB for one (jdk.tls.maxHandshakeMessageSize).
const handshakeBytesMax = 48 << 10

var errHandshakeBytes = fmt.Errorf("the handshake has more than %d bytes, which is the most that is taken; send fewer or smaller certificates", handshakeBytesMax)

// errEnded is what crypto/tls reads and writes when the connection has ended.
var errEnded = errors.New("the connection was closed")

var errExited = errors.New("a function of the TLS configuration ended its goroutine")

// begin starts the goroutine, if there is a place for it.
func (t *Transport) begin(set *Settings, first []byte) bool {
	h := &handshake{
		of: t, set: set, key: fairqueue.KeyOf(t.info.ClientAddr()), in: first,
		gone: make(chan struct{}), wake: make(chan struct{}, 1), rank: rankNew, since: reqchan.Now(),
	}
	if !t.all.places.take(h.key, h) {
		t.all.counted.full.Add(1)
		return false
	}
	t.all.counted.begun.Add(1)
	t.shakes = h
	t.work(1)
	t.all.at.Go(h.run)
	return true
}

// run is the goroutine.
func (h *handshake) run() {
	why, err := reqchan.HandlerPanicked, errExited
	defer func() { // also when a function of the configuration calls runtime.Goexit
		if h.endTurn != nil {
			h.endTurn()
		}
		h.of.all.places.end(h.place)
		h.mu.Lock()
		if h.forced && why == reqchan.HandshakeFailed {
			why, err = reqchan.HandshakesFull, errMadeWay
		}
		h.mu.Unlock()
		h.of.all.counted.ended(why, err)
		if err != nil {
			h.of.info.SetEndDetail(h.detail(err))
		}
		h.of.work(-1) // Order: from done on the connection may go to another processor
		h.mu.Lock()
		h.done, h.why = true, why
		h.mu.Unlock()
		h.of.moved()
	}()
	if !h.takeTurn() {
		why, err = reqchan.HandshakeFailed, errEnded
		return
	}
	w, e := h.shake()
	why, err = w, e
}

// detailBytesMax is how much is kept of why a client was refused.
const detailBytesMax = 512

// detail is what is kept of err as long as anybody remembers the connection. Of a client it
// is the beginning of the text alone: an error of crypto/tls holds every certificate that the
// client sent, and its text every protocol that it offered. An upstream's owner asks what
// the error is.
func (h *handshake) detail(err error) error {
	if h.of.client != nil {
		return err
	}
	const cut = "…"
	text := err.Error()
	if len(text) > detailBytesMax {
		text = strings.ToValidUTF8(text[:detailBytesMax-len(cut)], "") + cut
	}
	return errors.New(text)
}

// shake runs the handshake, and asks who the peer is.
func (h *handshake) shake() (why reqchan.CloseReason, err error) {
	defer func() {
		if v := recover(); v != nil {
			why, err = reqchan.HandlerPanicked, fmt.Errorf("a function of the TLS configuration panicked: %v", v)
		}
	}()
	t := h.of
	if t.client != nil {
		t.tls = tls.Client(wire{t}, t.client)
	} else {
		t.tls = tls.Server(wire{t}, h.set.Config())
	}
	if err := t.tls.Handshake(); err != nil {
		return reqchan.HandshakeFailed, err
	}
	state := t.tls.ConnectionState()
	if state.Version < tls.VersionTLS12 {
		return reqchan.HandshakeFailed, fmt.Errorf("the peer speaks %s, and TLS 1.2 is the oldest version here", tls.VersionName(state.Version))
	}
	t.info.SetTLS(&state)
	if h.set.Principal != nil {
		who, err := h.set.Principal(&state)
		if err != nil {
			return reqchan.AuthenticationFailed, err
		}
		if who != "" {
			t.info.SetPrincipal(who)
		}
	}
	return reqchan.ReasonNone, nil
}

// takeTurn waits for one; false: the connection has ended.
func (h *handshake) takeTurn() bool {
	h.of.all.places.wait(h.place, forTurn)
	h.endTurn = h.of.all.turns.take(h.rank, h.key, h.gone)
	h.of.all.places.wait(h.place, forNothing)
	h.rank = rankBegun
	if h.endTurn == nil {
		return false
	}
	giveWay()
	return true
}

const (
	// givesWayMax bounds how often a handshake gives way before it computes, and givesWayFor
	// for how long: its share of a P that is never idle.
	givesWayMax   = 8
	givesWayFor   = 300 * time.Microsecond
	othersAreIdle = 5 * time.Microsecond
)

// giveWay lets everybody run who waits for this P. What a handshake computes takes longer
// than most of what others do, and nobody interrupts it for 10 ms. Turns pass from one
// goroutine to the next, so a burst of handshakes would keep a P to itself.
//
// It gives way again while others have something to do: a request goes from the processor to
// a handler and back, and each is behind whoever waited before it. A round that is over at
// once found nobody but processors that looked and had nothing.
func giveWay() {
	began := time.Now()
	for n, last := 0, began; n < givesWayMax; n++ {
		runtime.Gosched()
		now := time.Now()
		if now.Sub(last) < othersAreIdle || now.Sub(began) > givesWayFor {
			return
		}
		last = now
	}
}

// read is net.Conn's Read for the goroutine. It gives no byte of the record after the one
// that crypto/tls asks for: what comes after the handshake stays here.
func (h *handshake) read(b []byte) (int, error) {
	for {
		if h.taken > handshakeBytesMax {
			return 0, errHandshakeBytes
		}
		h.mu.Lock()
		n, over, ended := h.give(b), h.over, h.ended
		if n == 0 && !over && !ended {
			h.waits = true
			h.worked += reqchan.Now() - h.since
			h.of.work(-1)
		}
		caughtUp := h.behind && len(h.in) == 0
		if caughtUp {
			h.behind = false
		}
		h.mu.Unlock()
		switch {
		case ended:
			return 0, errEnded
		case caughtUp:
			h.of.moved()
		}
		if n > 0 {
			h.taken += n
			return n, nil
		}
		if over {
			return 0, io.EOF
		}
		h.endTurn() // who waits for its peer does not compute
		h.endTurn = nil
		h.of.all.places.wait(h.place, forPeer)
		select {
		case <-h.wake:
		case <-h.gone:
		}
		h.mu.Lock()
		h.works()
		ended = h.ended
		h.mu.Unlock()
		if ended {
			return 0, errEnded
		}
		if !h.takeTurn() {
			return 0, errEnded
		}
	}
}

// works says that it does not wait for its peer any more. mu is held.
func (h *handshake) works() {
	if h.waits {
		h.waits, h.since = false, reqchan.Now()
		h.of.work(1)
	}
}

// workedUntil is how long it has not waited for its peer.
func (h *handshake) workedUntil(now int64) int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.waits {
		return h.worked
	}
	return h.worked + max(now-h.since, 0) // a pass of the processor may have begun before that
}

// give gives bytes of one head, or of one body. mu is held.
func (h *handshake) give(b []byte) (n int) {
	if h.left > 0 {
		n = copy(b[:min(len(b), h.left)], h.in)
		h.left -= n
	} else {
		n = copy(h.head[h.heads:], h.in[:min(len(b), len(h.in))])
		copy(b, h.head[h.heads:h.heads+n])
		if h.heads += n; h.heads == headBytes {
			h.heads, h.left = 0, int(binary.BigEndian.Uint16(h.head[3:]))
		}
	}
	if h.in = h.in[n:]; len(h.in) == 0 {
		h.in = nil
	}
	return n
}

// write is net.Conn's Write for the goroutine.
func (h *handshake) write(b []byte) (int, error) {
	h.mu.Lock()
	tell := len(h.out) == 0
	h.out = append(h.out, b...)
	ended := h.ended
	h.mu.Unlock()
	if ended {
		return 0, errEnded
	}
	if tell {
		h.of.moved()
	}
	return len(b), nil
}

// feed gives the goroutine bytes; nil: there are no more.
func (h *handshake) feed(b []byte) {
	h.mu.Lock()
	h.in = append(h.in, b...)
	h.over = h.over || b == nil
	h.behind = h.behind || len(h.in) > behindBytes
	h.works()
	h.mu.Unlock()
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// end has the goroutine end soon.
func (h *handshake) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.ended {
		h.ended = true
		close(h.gone)
	}
}

// makeWay is end, for another handshake's sake.
func (h *handshake) makeWay() {
	h.mu.Lock()
	h.forced = true
	h.mu.Unlock()
	h.end()
}

// isDone says whether the goroutine has nothing more to do with the connection, and why
// the handshake failed.
func (h *handshake) isDone() (done bool, why reqchan.CloseReason) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.done, h.why
}

// wire is the net.Conn of crypto/tls.
type wire struct{ t *Transport }

func (w wire) Read(b []byte) (int, error) {
	if w.t.open {
		return w.t.readWire(b)
	}
	return w.t.shakes.read(b)
}

func (w wire) Write(b []byte) (int, error) {
	if w.t.open {
		return w.t.writeWire(b)
	}
	return w.t.shakes.write(b)
}

// Close and what follows are never of any use here: the connection is the processor's.
func (w wire) Close() error                     { return nil }
func (w wire) LocalAddr() net.Addr              { return addr(w.t.info.Local.String()) }
func (w wire) RemoteAddr() net.Addr             { return addr(w.t.info.Remote.String()) }
func (w wire) SetDeadline(time.Time) error      { return nil }
func (w wire) SetReadDeadline(time.Time) error  { return nil }
func (w wire) SetWriteDeadline(time.Time) error { return nil }

// addr is an address as text.
type addr string

func (a addr) Network() string { return "tcp" }
func (a addr) String() string  { return string(a) }
