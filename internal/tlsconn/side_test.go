package tlsconn

import (
	"bytes"
	"crypto/tls"
	"net"
	"testing"

	"kring/internal/slab"
	"kring/reqchan"
)

// side plays the processor for one Transport: what a client wrote is fed to it in pieces,
// and what it seals goes to the client.
type side struct {
	t      testing.TB
	of     *Transport
	all    *Handshakes
	memory slab.Pool
	moved  chan struct{}
	got    []byte
	end    reqchan.CloseReason
	most   int // what one Read is asked for
}

func newSide(t testing.TB, server *tls.Config) *side {
	s := &side{t: t, moved: make(chan struct{}, 100), most: plaintextMax}
	s.all = New(Settings{Config: func() *tls.Config { return server }, RunningMax: 1, WaitingMax: 10})
	s.of = s.all.Transport(&reqchan.Conn{}, func() { s.moved <- struct{}{} }).(*Transport)
	return s
}

// feed is what a connection does with received bytes.
func (s *side) feed(wire []byte) {
	lent := bytes.Clone(wire)
	s.of.Feed(lent)
	s.goOn()
	for i := range lent {
		lent[i] = 0xee // it was lent
	}
	if n := s.of.Held(); n > 3*(recordBytesMax+heldBytesMax) {
		s.t.Fatalf("it holds %d bytes", n)
	}
}

// goOn is what a connection does then, and when its transport moved.
func (s *side) goOn() {
	b := make([]byte, s.most)
	for s.end == reqchan.ReasonNone {
		n, end := s.of.Read(b)
		if n == 0 {
			s.end = end
			break
		}
		s.got = append(s.got, b[:n]...)
	}
	if !s.of.Keep(&s.memory) {
		s.t.Fatal("no memory")
	}
}

// take is what there is to send, plain sealed with it.
func (s *side) take(plain []byte) (wire []byte) {
	for {
		piece := plain[:min(len(plain), plaintextMax)]
		n := s.of.Sealed(len(piece))
		if n == 0 {
			return wire
		}
		if n > slab.ArenaChunkBytes {
			s.t.Fatalf("%d bytes for %d", n, len(piece))
		}
		sealed, end := s.of.Seal(make([]byte, 0, n), piece)
		if end != reqchan.ReasonNone {
			s.t.Fatalf("nothing is sealed any more, for %v", end)
		}
		if len(sealed) > n {
			s.t.Fatalf("%d bytes became %d, and there was room for %d", len(piece), len(sealed), n)
		}
		wire, plain = append(wire, sealed...), plain[len(piece):]
	}
}

func (s *side) close() {
	s.of.Close(&s.memory)
	s.all.Wait()
	if s.memory.Lent() != 0 {
		s.t.Errorf("%d pieces of memory did not come back", s.memory.Lent())
	}
	s.memory.Close()
}

// shake runs the handshake with c, whose other side is far; the client's bytes come in
// pieces.
func (s *side) shake(c *tls.Conn, far net.Conn, piece func(n int) int) {
	done, came := make(chan error, 1), make(chan []byte, 1000)
	go func() { done <- c.Handshake() }()
	go func() {
		for {
			b := make([]byte, 4096)
			n, err := far.Read(b)
			if err != nil {
				return
			}
			came <- b[:n]
		}
	}()
	out := make(chan []byte, 1000)
	defer close(out)
	go func() {
		for b := range out {
			_, _ = far.Write(b)
		}
	}()
	for shaken := false; !shaken || !s.of.Open(); {
		select {
		case b := <-came:
			for len(b) > 0 {
				n := piece(len(b))
				s.feed(b[:n])
				b = b[n:]
			}
		case <-s.moved:
			s.goOn()
		case err := <-done:
			if err != nil {
				s.t.Fatal(err)
			}
			shaken = true
		}
		if wire := s.take(nil); len(wire) > 0 {
			out <- wire
		}
		if s.end != reqchan.ReasonNone {
			s.t.Fatalf("ended for %v: %v", s.end, s.of.info.EndDetail())
		}
	}
}

// kept is a connection that keeps what is written once it is told to.
type kept struct {
	net.Conn
	bytes *bytes.Buffer
}

func (k *kept) Write(b []byte) (int, error) {
	if k.bytes != nil {
		return k.bytes.Write(b)
	}
	return k.Conn.Write(b)
}
