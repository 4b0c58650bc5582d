package contestant

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"strings"

	"kring"
	"kring/internal/slab"
	"kring/reqchan"
)

// goNetServer is what one writes in Go without a framework: a goroutine per
// connection that reads what is there, answers every whole frame of it, and
// writes the answers together.
type goNetServer struct {
	listeners []net.Listener
	handler   kring.Handler // nil: echo
}

func openGoNet(c ServeConfig) (server, error) {
	s := &goNetServer{}
	secure, err := c.tls()
	if err == nil && c.Kafka {
		s.handler, err = nullHandler()
	}
	if err == nil && (secure == nil || c.PlainToo) {
		err = s.listen(nil)
	}
	if err == nil && secure != nil {
		err = s.listen(secure)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	for _, ln := range s.listeners {
		go s.accept(ln)
	}
	return s, nil
}

func (s *goNetServer) listen(secure *tls.Config) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if secure != nil {
		ln = tls.NewListener(ln, secure)
	}
	s.listeners = append(s.listeners, ln)
	return nil
}

func (s *goNetServer) own(Own) {}

func (s *goNetServer) addr() string {
	var all []string
	for _, ln := range s.listeners {
		all = append(all, ln.Addr().String())
	}
	return strings.Join(all, ",")
}

func (s *goNetServer) close() {
	for _, ln := range s.listeners {
		ln.Close()
	}
}

func (s *goNetServer) accept(ln net.Listener) {
	for {
		c, err := ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		if s.handler == nil {
			go echoFrames(c)
		} else {
			go s.handleFrames(c)
		}
	}
}

// goNetFrameBytesMax is Kafka's default bound.
const goNetFrameBytesMax = 100 << 20

// frames reads from a connection into one memory, which grows to the largest
// frame.
type frames struct {
	conn net.Conn
	buf  []byte
	have int
}

// next reads until at least one frame is whole, and gives all that are; the
// bytes are valid until drop.
func (f *frames) next() ([]byte, error) {
	for {
		n, need, err := wholeFrames(f.buf[:f.have])
		if n > 0 || err != nil {
			return f.buf[:n], err
		}
		if need > len(f.buf) {
			f.buf = append(make([]byte, 0, need), f.buf[:f.have]...)[:need]
		}
		got, err := f.conn.Read(f.buf[f.have:])
		if err != nil {
			return nil, err
		}
		f.have += got
	}
}

// drop forgets the first n bytes.
func (f *frames) drop(n int) {
	copy(f.buf, f.buf[n:f.have])
	f.have -= n
}

// wholeFrames is the length of the whole frames in front, and how much memory
// the first that is not whole needs.
func wholeFrames(b []byte) (n, need int, err error) {
	for len(b)-n >= 4 {
		size := int(binary.BigEndian.Uint32(b[n:]))
		if size > goNetFrameBytesMax {
			return 0, 0, errors.New("frame too big")
		}
		if len(b)-n < 4+size {
			return n, 4 + size, nil
		}
		n += 4 + size
	}
	return n, 0, nil
}

func echoFrames(c net.Conn) {
	defer c.Close()
	f := frames{conn: c, buf: make([]byte, 16<<10)}
	for {
		b, err := f.next()
		if err != nil {
			return
		}
		if _, err := c.Write(b); err != nil {
			return
		}
		f.drop(len(b))
	}
}

// handleFrames runs kring's handler where its processor would.
func (s *goNetServer) handleFrames(c net.Conn) {
	defer c.Close()
	f := frames{conn: c, buf: make([]byte, 16<<10)}
	pool := &slab.Pool{}
	local, _ := netip.ParseAddrPort(c.LocalAddr().String())
	conn := &kring.Conn{Local: local}
	var jobs reqchan.Jobs
	r := jobs.Take(conn, 0) // again and again, as a processor does for handlers that run there
	defer r.Free()
	var out []byte
	for {
		b, err := f.next()
		if err != nil {
			return
		}
		out = out[:0]
		for rest := b; len(rest) > 0; {
			n := 4 + int(binary.BigEndian.Uint32(rest))
			r.Frame = rest[:n:n]
			r.Begin(nil, pool)
			s.handler.Handle(r.Request())
			if !r.HandleReturned() {
				return // a handler that answers later has no place here
			}
			kind, response, _ := r.Answer()
			if out = append(out, response...); kind == answerClose {
				return
			}
			rest = rest[n:]
		}
		if _, err := c.Write(out); err != nil {
			return
		}
		f.drop(len(b))
	}
}
