package tlsconn

import (
	"bytes"
	"crypto/tls"
	"math/rand/v2"
	"net"
	"testing"

	"kring/internal/tlstest"
	"kring/reqchan"
)

// FuzzRecordSplits splits what a client sends by seed, changes a byte of it if corrupt
// says so, and compares what is opened with what was sent: all of it, or the beginning and
// an end that is counted. The handshake's bytes are split too.
func FuzzRecordSplits(f *testing.F) {
	f.Add([]byte("hello"), uint64(1), uint16(0), false)
	f.Add(bytes.Repeat([]byte("x"), 40_000), uint64(2), uint16(0), true)
	f.Add(bytes.Repeat([]byte("y"), 17_000), uint64(3), uint16(900), false)
	f.Add([]byte{}, uint64(4), uint16(1), true)
	server, client := tlstest.Configs()
	server.SessionTicketsDisabled = true
	f.Fuzz(func(t *testing.T, sent []byte, seed uint64, corrupt uint16, old bool) {
		for _, known := range []bool{true, false} {
			was := fields.known
			fields.known = was && known
			splitRecords(t, server, client, sent, seed, int(corrupt), old)
			fields.known = was
		}
	})
}

func splitRecords(t *testing.T, server, client *tls.Config, sent []byte, seed uint64, corrupt int, old bool) {
	random := rand.New(rand.NewPCG(seed, 0))
	client = client.Clone()
	if old {
		client.MaxVersion = tls.VersionTLS12
	}
	s := newSide(t, server)
	defer s.close()
	s.most = 1 + random.IntN(plaintextMax)
	wire := s.clientBytes(client, random, sent)
	if corrupt > 0 {
		wire[corrupt%len(wire)] ^= 1 + byte(corrupt>>8)
	}
	for rest := wire; len(rest) > 0; {
		n := min(len(rest), 1+random.IntN(1+random.IntN(20_000)))
		s.feed(rest[:n])
		rest = rest[n:]
		_ = s.take(nil)
	}
	s.feed(nil)
	switch {
	case corrupt == 0 && (!bytes.Equal(s.got, sent) || s.end != reqchan.PeerFinished):
		t.Fatalf("%d bytes of %d, ended for %v: %v", len(s.got), len(sent), s.end, s.of.info.EndDetail())
	case !bytes.HasPrefix(sent, s.got):
		t.Fatal("what was opened is not what was sent")
	case s.end == reqchan.ReasonNone:
		t.Fatal("it has not ended")
	}
}

// clientBytes shakes hands, and is what the client then writes for sent, with its
// close_notify.
func (s *side) clientBytes(client *tls.Config, random *rand.Rand, sent []byte) []byte {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	w := &kept{Conn: near}
	c := tls.Client(w, client)
	s.shake(c, far, func(n int) int { return 1 + random.IntN(n) })
	w.bytes = new(bytes.Buffer)
	for rest := sent; len(rest) > 0; {
		n := 1 + random.IntN(len(rest))
		if _, err := c.Write(rest[:n]); err != nil {
			s.t.Fatal(err)
		}
		rest = rest[n:]
	}
	if err := c.CloseWrite(); err != nil {
		s.t.Fatal(err)
	}
	return w.bytes.Bytes()
}

// TestARecordThatFillsWhatItIsReadIntoLeavesNothing: without the fields of crypto/tls nobody
// knows that there is no more of it, and what was taken for more must come back each time.
func TestARecordThatFillsWhatItIsReadIntoLeavesNothing(t *testing.T) {
	was := fields.known
	fields.known = false
	defer func() { fields.known = was }()
	server, client := tlstest.Configs()
	server.SessionTicketsDisabled = true
	s := newSide(t, server)
	defer s.close()
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	w := &kept{Conn: near}
	c := tls.Client(w, client)
	s.shake(c, far, func(n int) int { return n })
	b := make([]byte, 10)
	for i := range 3 {
		w.bytes = new(bytes.Buffer)
		if _, err := c.Write(make([]byte, len(b))); err != nil {
			t.Fatal(err)
		}
		s.of.Feed(w.bytes.Bytes())
		if n, end := s.of.Read(b); n != len(b) {
			t.Fatalf("record %d: %d bytes, %v", i, n, end)
		}
		if !s.of.Keep(&s.memory) || s.of.Held() != 0 || s.memory.Lent() != 0 {
			t.Fatalf("record %d: %d bytes in %d pieces are held, and nothing is left of it", i, s.of.Held(), s.memory.Lent())
		}
	}
}
