package proxyproto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	// BytesMax is the longest header that is taken, in bytes. The protocol allows 64 KiB in
	// version 2; what forwarders send is far below 1 KiB, unless they pass on certificates.
	BytesMax = 4 << 10
	// v1BytesMax is the longest line of version 1, its CRLF included (2.1 of the protocol).
	v1BytesMax = 107
	// fixedBytes is what every header of version 2 begins with: signature, version and
	// command, family and transport, length.
	fixedBytes = 16
)

// The first bytes of a header, by which it is known.
const (
	signature1 = "PROXY "
	signature2 = "\r\n\r\n\x00\r\nQUIT\n"
)

// ErrMissing says that what came is no header.
var ErrMissing = errors.New("the connection does not begin with a PROXY protocol header")

// MalformedError says what is wrong with a header.
type MalformedError struct{ Version, What string }

func (e *MalformedError) Error() string {
	return "PROXY protocol header, version " + e.Version + ": " + e.What
}

func malformed1(format string, args ...any) error {
	return &MalformedError{"1", fmt.Sprintf(format, args...)}
}

func malformed2(format string, args ...any) error {
	return &MalformedError{"2", fmt.Sprintf(format, args...)}
}

// Parser reads one header. The zero value is ready.
//
// Invariant: until size is known nothing but first holds bytes; the first n bytes of
// first, or of long once there is one, are those that came.
type Parser struct {
	first [v1BytesMax]byte
	long  []byte // of a header that first has no room for
	n     int
	size  int // of the whole header; 0 while it is not known
}

// Take takes what of b belongs to the header, n bytes. Until all of it has come h is nil.
// After a Header or an error it must not be called again. An error is ErrMissing or a
// *MalformedError; it does not depend on the pieces that the bytes come in.
func (p *Parser) Take(b []byte) (n int, h *Header, err error) {
	if p.n == 0 { // it usually comes in one piece, and then nothing is copied
		if size, err := sizeOf(b); err != nil {
			return 0, nil, err
		} else if size > 0 && size <= len(b) {
			h, err = parse(b[:size])
			return size, h, err
		}
	}
	if p.size == 0 {
		n = copy(p.first[p.n:], b)
		size, err := sizeOf(p.first[:p.n+n])
		if err != nil {
			return n, nil, err
		}
		if size > 0 && size <= p.n+n {
			h, err = parse(p.first[:size])
			return size - p.n, h, err
		}
		p.n += n
		if p.size = size; size > len(p.first) {
			p.long = make([]byte, size)
			copy(p.long, p.first[:p.n])
		}
	}
	if p.size == 0 {
		return n, nil, nil
	}
	all := p.first[:]
	if p.long != nil {
		all = p.long
	}
	more := copy(all[p.n:p.size], b[n:])
	p.n, n = p.n+more, n+more
	if p.n == p.size {
		h, err = parse(all[:p.size])
	}
	return n, h, err
}

// Begun says that some bytes of a header came.
func (p *Parser) Begun() bool { return p.n > 0 }

// Memory is what it holds beside itself, in bytes.
func (p *Parser) Memory() int { return len(p.long) }

// sizeOf is how long the header is that begins with b; 0 while b is too short to tell.
func sizeOf(b []byte) (int, error) {
	switch {
	case begins(b, signature2):
		if len(b) < fixedBytes {
			return 0, nil
		}
		return sizeOf2(b)
	case begins(b, signature1):
		line := b[:min(len(b), v1BytesMax)]
		if end := bytes.IndexByte(line, '\n'); end >= 0 {
			return end + 1, nil
		}
		if len(line) == v1BytesMax {
			return 0, malformed1("there is no end of line in its first %d bytes, which is the most", v1BytesMax)
		}
		return 0, nil
	}
	return 0, ErrMissing
}

// begins says that b is signature and more, or the beginning of signature.
func begins(b []byte, signature string) bool {
	n := min(len(b), len(signature))
	return string(b[:n]) == signature[:n]
}

func sizeOf2(b []byte) (int, error) {
	if version := b[12] >> 4; version != 2 {
		return 0, malformed2("its version is %d, which there is not", version)
	}
	if command := b[12] & 0xf; command != commandLocal && command != commandProxy {
		return 0, malformed2("its command is %d: there are 0 (LOCAL) and 1 (PROXY)", command)
	}
	size := fixedBytes + int(binary.BigEndian.Uint16(b[14:]))
	if size > BytesMax {
		return 0, malformed2("it has %d bytes, and %d are the most that is taken", size, BytesMax)
	}
	return size, nil
}

// parse reads a whole header, whose size was found by sizeOf.
func parse(b []byte) (*Header, error) {
	if b[0] == signature1[0] {
		return parse1(b)
	}
	return parse2(b)
}

// Sniffer looks whether a connection that must not begin with a header does. The zero value
// is ready.
type Sniffer struct {
	seen [len(signature2)]byte
	n    int
}

// Look takes the next bytes of a connection. decided: they are a header, or they are none,
// and then what came before them (Seen) belongs to the connection. Otherwise all of b is
// kept, and more bytes must come.
func (s *Sniffer) Look(b []byte) (is, decided bool) {
	n := copy(s.seen[s.n:], b)
	all := s.seen[:s.n+n]
	for _, signature := range [...]string{signature1, signature2} {
		if !begins(all, signature) {
			continue
		}
		if len(all) >= len(signature) {
			return true, true
		}
		s.n += n
		return false, false
	}
	return false, true
}

// Seen is what Look kept; nil when nothing was.
func (s *Sniffer) Seen() []byte { return s.seen[:s.n] }
