// Package conntest is a transport for tests: it transforms every byte.
//
// Job: prove that the seam of internal/conn carries what is not plain, as TLS will be.
//
// Flow: Server makes the processor's side of a connection, Client wraps the other. Bytes go
// in records: a kind, a length, and bytes that differ from the plain ones by where they
// stand in the stream. The client begins with a hello, and the server answers it on a
// goroutine of its own before there is anything else; each side ends with a record.
//
// Ownership: a transport belongs to its connection, but for its one goroutine.
//
// Never: be used outside of tests.
//
// Kernel: none.
package conntest

import (
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync/atomic"

	"kring/internal/slab"
	"kring/reqchan"
)

const (
	headBytes = 3 // kind, length
	recordMax = 16 << 10

	hello = byte('h')
	data  = byte('d')
	end   = byte('e')
)

// masks is what the bytes of a stream are changed by, again and again; its length is prime,
// so that no size of a record divides it.
var masks = func() []byte {
	b := make([]byte, 65521)
	_, _ = rand.NewChaCha8([32]byte{'m', 'a', 's', 'k'}).Read(b)
	return b
}()

// mask is one direction of a stream.
type mask struct{ at int }

func (m *mask) apply(b []byte) {
	for len(b) > 0 {
		n := subtle.XORBytes(b, b, masks[m.at:])
		b, m.at = b[n:], (m.at+n)%len(masks)
	}
}

// record appends one.
func (m *mask) record(wire []byte, kind byte, plain []byte) []byte {
	wire = append(wire, kind)
	wire = binary.BigEndian.AppendUint16(wire, uint16(len(plain)))
	from := len(wire)
	wire = append(wire, plain...)
	m.apply(wire[from:])
	return wire
}

// Server is the processor's side; it is a conn.Transport.
type Server struct {
	moved   func()
	wire    []byte // was fed, and not opened
	opening []byte // of the record that is being opened
	over    bool   // the peer sends no more
	why     reqchan.CloseReason
	in, out mask
	state   atomic.Uint32
	own     bool // a record of its own is to be sent
	ending  bool
}

// How far a Server is.
const (
	greeted     = iota + 1 // the hello came: the goroutine is at work
	established            // its answer is to be sent
)

// NewServer makes a Server that calls moved when it has got on by itself.
func NewServer(moved func()) *Server { return &Server{moved: moved} }

// Waits says that moved will be called.
func (s *Server) Waits() bool { return s.state.Load() == greeted }

// Feed and what follows are conn.Transport's.
func (s *Server) Feed(wire []byte) {
	s.over = s.over || wire == nil
	s.wire = append(s.wire, wire...)
}

// Open is beside Feed.
func (s *Server) Open() bool { return s.state.Load() == established }

// Keep is beside Feed, which has kept all.
func (s *Server) Keep(*slab.Pool) bool { return true }

// Held is beside Feed; the test's own memory is not counted.
func (s *Server) Held() int { return 0 }

// Full is beside Feed.
func (s *Server) Full() bool { return false }

// Read is beside Feed.
func (s *Server) Read(b []byte) (int, reqchan.CloseReason) {
	for len(s.opening) == 0 {
		kind, plain, ok := s.next()
		switch {
		case s.why != reqchan.ReasonNone:
			return 0, s.why
		case !ok && s.over:
			return 0, reqchan.PeerReset // it did not say that it was done
		case !ok:
			return 0, reqchan.ReasonNone
		case kind == hello && s.state.CompareAndSwap(0, greeted):
			go func() {
				s.state.Store(established)
				s.moved()
			}()
			s.own = true
		case kind == data && s.state.Load() == established:
			s.opening = plain
		case kind == end:
			s.why = reqchan.PeerFinished
		default:
			s.why = reqchan.HeaderMalformed
		}
	}
	n := copy(b, s.opening)
	s.opening = s.opening[n:]
	return n, reqchan.ReasonNone
}

// next takes a whole record; none comes before what the goroutine does is done.
func (s *Server) next() (kind byte, plain []byte, ok bool) {
	if s.Waits() || len(s.wire) < headBytes {
		return 0, nil, false
	}
	n := headBytes + int(binary.BigEndian.Uint16(s.wire[1:]))
	if len(s.wire) < n {
		return 0, nil, false
	}
	kind, plain = s.wire[0], append([]byte(nil), s.wire[headBytes:n]...)
	s.in.apply(plain)
	s.wire = append(s.wire[:0], s.wire[n:]...)
	return kind, plain, true
}

// Sealed is beside Feed.
func (s *Server) Sealed(plain int) (n int) {
	if s.own && s.state.Load() == established {
		n += headBytes
	}
	if plain > 0 {
		n += headBytes + plain
	}
	if s.ending {
		n += headBytes
	}
	return n
}

// Seal is beside Feed.
func (s *Server) Seal(wire, plain []byte) ([]byte, reqchan.CloseReason) {
	if s.own && s.state.Load() == established {
		s.own = false
		wire = s.out.record(wire, hello, nil)
	}
	if len(plain) > 0 {
		wire = s.out.record(wire, data, plain)
	}
	if s.ending {
		s.ending = false
		wire = s.out.record(wire, end, nil)
	}
	return wire, reqchan.ReasonNone
}

// End is beside Feed.
func (s *Server) End() { s.ending = true }

// Close is beside Feed.
func (s *Server) Close(*slab.Pool) { s.wire, s.opening = nil, nil }

// Client is the other side of a connection, over one of any kind.
type Client struct {
	net.Conn
	in, out mask
	opening []byte
	greeted bool
}

// ErrTruncated: the stream ended without an end.
var ErrTruncated = errors.New("conntest: the stream ended without an end record")

// NewClient greets the server.
func NewClient(c net.Conn) (*Client, error) {
	k := &Client{Conn: c}
	_, err := c.Write(k.out.record(nil, hello, nil))
	return k, err
}

// Write sends b in records.
func (k *Client) Write(b []byte) (int, error) {
	for at := 0; at < len(b); at += recordMax {
		wire := k.out.record(nil, data, b[at:min(at+recordMax, len(b))])
		if _, err := k.Conn.Write(wire); err != nil {
			return at, err
		}
	}
	return len(b), nil
}

// End says that nothing more is sent.
func (k *Client) End() error {
	_, err := k.Conn.Write(k.out.record(nil, end, nil))
	return err
}

// Read gives what records bring; io.EOF after an end record.
func (k *Client) Read(b []byte) (int, error) {
	for len(k.opening) == 0 {
		var head [headBytes]byte
		if _, err := io.ReadFull(k.Conn, head[:]); err != nil {
			return 0, errors.Join(ErrTruncated, err)
		}
		k.opening = make([]byte, binary.BigEndian.Uint16(head[1:]))
		if _, err := io.ReadFull(k.Conn, k.opening); err != nil {
			return 0, errors.Join(ErrTruncated, err)
		}
		k.in.apply(k.opening)
		switch {
		case head[0] == hello && !k.greeted:
			k.greeted = true
		case head[0] == end:
			return 0, io.EOF
		case head[0] != data || !k.greeted:
			return 0, errors.New("conntest: record out of order")
		}
	}
	n := copy(b, k.opening)
	k.opening = k.opening[n:]
	return n, nil
}
