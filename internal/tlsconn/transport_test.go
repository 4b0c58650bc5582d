package tlsconn

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"io"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"

	"kring/internal/tlstest"
	"kring/reqchan"
)

// TestTheFieldsOfCryptoTLSAreFound: with this release of Go an idle connection holds no
// record. If they are gone, what find says has to change.
func TestTheFieldsOfCryptoTLSAreFound(t *testing.T) {
	if !fields.known {
		t.Error("crypto/tls.Conn has other fields: idle connections keep the memory of their largest record")
	}
}

// established is a side whose handshake is over, and its client, which writes to out.
func established(t *testing.T, version uint16) (s *side, c *tls.Conn, out *bytes.Buffer) {
	server, client := tlstest.Configs()
	client.MinVersion, client.MaxVersion = version, version
	client.DynamicRecordSizingDisabled = true // a Write of up to 16 KiB is a record
	s = newSide(t, server)
	near, far := net.Pipe()
	t.Cleanup(func() { _, _ = near.Close(), far.Close() })
	w := &kept{Conn: near}
	c = tls.Client(w, client)
	s.shake(c, far, func(n int) int { return min(n, 1) })
	w.bytes = new(bytes.Buffer)
	return s, c, w.bytes
}

// A record of 16 KiB leaves nothing behind.
func TestAnIdleConnectionHoldsNoRecord(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		s, c, out := established(t, version)
		for range 20 {
			_, _ = c.Write(bytes.Repeat([]byte("x"), plaintextMax))
		}
		for out.Len() > 0 {
			s.feed(out.Next(5000))
		}
		if len(s.got) != 20*plaintextMax {
			t.Fatalf("%d bytes came", len(s.got))
		}
		if n := s.of.Held() + rawInput(s.of.tls).Cap() + hand(s.of.tls).Cap(); n > 0 || s.memory.Lent() != 0 {
			t.Errorf("it holds %d bytes, and %d pieces of memory", n, s.memory.Lent())
		}
		s.close()
	}
}

// What comes in pieces of one byte is opened like anything else, and a byte or four of a
// head take no memory.
func TestARecordMayComeByteByByte(t *testing.T) {
	s, c, out := established(t, tls.VersionTLS13)
	defer s.close()
	_, _ = c.Write([]byte("byte by byte"))
	for out.Len() > 0 {
		s.feed(out.Next(1))
		if n := s.of.Held(); n > 4096 {
			t.Fatalf("it holds %d bytes", n)
		}
	}
	if string(s.got) != "byte by byte" {
		t.Errorf("%q came", s.got)
	}
}

// The smallest records and the largest, as many as come together.
func TestRecordsOfOneByteAndOf16KiBAreOpened(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		s, c, out := established(t, version)
		var want []byte
		for round := range 3 {
			for i := range 100 {
				want = append(want, byte(i))
				_, _ = c.Write(want[len(want)-1:])
			}
			large := bytes.Repeat([]byte{byte(round)}, 2*plaintextMax)
			want = append(want, large...)
			_, _ = c.Write(large)
			records := 0
			for b := out.Bytes(); len(b) > 0; records++ {
				n, _ := lengthOf(b)
				b = b[n:]
			}
			if records != 102 {
				t.Errorf("%d records leave the client", records)
			}
			s.feed(out.Next(out.Len()))
		}
		if !bytes.Equal(s.got, want) {
			t.Errorf("%s: %d bytes came, want %d", tls.VersionName(version), len(s.got), len(want))
		}
		s.close()
	}
}

// Another ClientHello is refused: with an alert, and for a reason. scripts/tls.sh tries
// the renegotiation of TLS 1.2. Kafka: F-77.
//
// Kafka: F-77.
func TestARenegotiationIsRefused(t *testing.T) {
	s, c := established13(t)
	defer s.close()
	c.seal(recordData, []byte("before")...)
	c.seal(recordHandshake, append([]byte{1, 0, 0, 40, 3, 3}, make([]byte, 38)...)...)
	s.feed(c.out.Bytes())
	if string(s.got) != "before" || s.end != reqchan.HandshakeFailed || s.of.info.EndDetail() == nil {
		t.Errorf("%q came, ended for %v: %v", s.got, s.end, s.of.info.EndDetail())
	}
	if len(s.take(nil)) == 0 {
		t.Error("there is no alert")
	}
}

// Garbage after the handshake is refused in the same way.
func TestGarbageAfterTheHandshakeIsRefused(t *testing.T) {
	for _, garbage := range []string{"\x17\x03\x03\x00\x20" + strings.Repeat("x", 32), "GET / HTTP/1.1\r\n\r\n", "\x17\x03\x03\xff\xff", strings.Repeat("\x00", 100)} {
		s, _, _ := established(t, tls.VersionTLS13)
		s.feed([]byte(garbage))
		if s.end != reqchan.HandshakeFailed || len(s.take(nil)) == 0 {
			t.Errorf("%.10q: ended for %v", garbage, s.end)
		}
		s.close()
	}
}

// Key updates go on in both directions, also such as ask for one back. Kafka: F-77.
//
// Kafka: F-77.
func TestKeyUpdatesAreAnswered(t *testing.T) {
	s, c := established13(t)
	defer s.close()
	for range 100 {
		c.updateKey()
		c.seal(recordData, 'x')
	}
	for c.out.Len() > 0 {
		s.feed(c.out.Next(7))
		_ = s.take(nil)
	}
	if len(s.got) != 100 || s.end != reqchan.ReasonNone {
		t.Errorf("%d bytes came, ended for %v: %v", len(s.got), s.end, s.of.info.EndDetail())
	}
}

// Whoever asks for new keys and does not read the answers is not read any more.
func TestKeyUpdatesThatNobodyReadsTheAnswersOfAreBounded(t *testing.T) {
	s, c := established13(t)
	defer s.close()
	for range 1000 {
		c.updateKey()
		c.seal(recordData, 'x')
	}
	for c.out.Len() > 0 && !s.of.Full() {
		s.feed(c.out.Next(1000))
	}
	if n := s.of.Sealed(0); n > ownBytesMax+100 || len(s.got) == 1000 {
		t.Errorf("%d bytes wait to be sent, %d came", n, len(s.got))
	}
	for c.out.Len() > 0 || len(s.got) < 1000 {
		_ = s.take(nil)
		s.goOn()
		if c.out.Len() > 0 {
			s.feed(c.out.Next(1000))
		}
	}
}

// A handshake writes on a goroutine of its own, also between the question how much there is
// to send and its answer's use.
func TestWhatIsSealedKeepsToTheRoomThatWasAskedFor(t *testing.T) {
	var tr Transport
	for len(tr.own) < ownPieceMax {
		tr.own = append(tr.own, "a handshake's bytes "...)
	}
	all := string(tr.own)
	var sent []byte
	for len(tr.own) > 0 {
		room := make([]byte, 0, 1000)
		wire, _ := tr.Seal(room, nil)
		if len(wire) == 0 || &wire[0] != &room[:1][0] {
			t.Fatalf("%d bytes, and not where there was room", len(wire))
		}
		sent = append(sent, wire...)
	}
	if string(sent) != all {
		t.Errorf("%d bytes of %d were sent, or others", len(sent), len(all))
	}
}

// A handshake that the connection does not wait for any more ends, wherever it is.
func TestAHandshakeEndsWithItsConnection(t *testing.T) {
	server, client := tlstest.Configs()
	s := newSide(t, server)
	var hello bytes.Buffer
	_ = tls.Client(&kept{bytes: &hello, Conn: broken{}}, client).Handshake()
	s.feed(hello.Bytes())
	s.close() // waits for the goroutine
	if n := s.all.Begun(); n != 0 {
		t.Errorf("%d have begun", n)
	}
}

// broken is a connection that nothing comes from.
type broken struct{ net.Conn }

func (broken) Read([]byte) (int, error) { return 0, io.EOF }

// Beyond the bound a handshake is refused; one that panics or ends its goroutine gives
// its place back.
//
// Kafka: Q-11.
func TestHandshakesHaveABoundAndSurviveTheirConfiguration(t *testing.T) {
	_, client := tlstest.Configs()
	var hello bytes.Buffer
	_ = tls.Client(&kept{bytes: &hello, Conn: broken{}}, client).Handshake()
	all := New(Settings{Config: func() *tls.Config { panic("as asked") }, RunningMax: 1, WaitingMax: 1})
	var waiting []*side
	gone := make(chan struct{})
	end := all.turns.take(rankNew, netip.Prefix{}, gone) // nobody gets on
	for i := range 3 {
		s := newSide(t, nil)
		s.all = all
		s.of = all.Transport(&reqchan.Conn{}, func() { s.moved <- struct{}{} }).(*Transport)
		s.feed(hello.Bytes())
		if i == 2 && s.end != reqchan.HandshakesFull || i < 2 && s.end != reqchan.ReasonNone {
			t.Errorf("handshake %d: %v", i, s.end)
		}
		waiting = append(waiting, s)
	}
	end()
	for _, s := range waiting[:2] {
		<-s.moved
		if s.goOn(); s.end != reqchan.HandlerPanicked || !strings.Contains(s.of.info.EndDetail().Error(), "as asked") {
			t.Errorf("ended for %v: %v", s.end, s.of.info.EndDetail())
		}
	}
	for _, s := range waiting {
		s.close()
	}
	if got, want := all.Counts(), (Counts{Begun: 2, Failed: 2, Full: 1}); got != want {
		t.Errorf("counted %+v, want %+v", got, want)
	}
	if all.Begun() != 0 || all.turns.running != 0 {
		t.Errorf("%d have begun, %d run", all.Begun(), all.turns.running)
	}
}

// Who has computed before goes first, and who leaves the line is not waited for.
//
// Kafka: Q-11.
func TestTurnsGoToThoseWhoHaveBegun(t *testing.T) {
	var turns turns
	turns.setMax(1)
	end := turns.take(rankNew, netip.Prefix{}, nil)
	order, gone := make(chan string, 2), make(chan struct{})
	left := make(chan struct{})
	go func() {
		if turns.take(rankNew, netip.Prefix{}, gone) != nil {
			t.Error("a turn for one that left")
		}
		close(left)
	}()
	waiting := func(n int) {
		inLine := func() int {
			turns.mu.Lock()
			defer turns.mu.Unlock()
			return turns.inLine()
		}
		for inLine() != n {
			runtime.Gosched()
		}
	}
	waiting(1)
	close(gone)
	<-left
	go func() { end := turns.take(rankNew, netip.Prefix{}, nil); order <- "new"; end() }()
	waiting(1)
	go func() { end := turns.take(rankBegun, netip.Prefix{}, nil); order <- "begun"; end() }()
	waiting(2)
	end()
	if first, second := <-order, <-order; first != "begun" || second != "new" {
		t.Errorf("first %s, then %s", first, second)
	}
}

// client13 seals records of TLS 1.3 that crypto/tls's client does not: it goes on from the
// secret that the client logged.
type client13 struct {
	secret []byte
	seq    byte
	out    bytes.Buffer
}

// established13 is a side and a client that seals by itself.
func established13(t *testing.T) (*side, *client13) {
	server, client := tlstest.Configs()
	client.MinVersion = tls.VersionTLS13
	var secrets bytes.Buffer
	client.KeyLogWriter = &secrets
	s := newSide(t, server)
	near, far := net.Pipe()
	t.Cleanup(func() { _, _ = near.Close(), far.Close() })
	c := tls.Client(near, client)
	s.shake(c, far, func(n int) int { return n })
	if c.ConnectionState().CipherSuite != tls.TLS_AES_128_GCM_SHA256 {
		t.Skip("another cipher suite was chosen") // lint:ignore skip crypto/tls prefers this one wherever the CPU has AES, and the client here seals no other
	}
	for line := range strings.Lines(secrets.String()) {
		if words := strings.Fields(line); words[0] == "CLIENT_TRAFFIC_SECRET_0" {
			secret, err := hex.DecodeString(words[2])
			if err != nil {
				t.Fatal(err)
			}
			return s, &client13{secret: secret}
		}
	}
	t.Fatal("the client logged no secret")
	return nil, nil
}

func (c *client13) expand(label string, n int) []byte {
	label = "tls13 " + label
	info := append([]byte{0, byte(n), byte(len(label))}, label...)
	b, err := hkdf.Expand(sha256.New, c.secret, string(append(info, 0)), n)
	if err != nil {
		panic(err)
	}
	return b
}

// seal writes a record of a kind.
func (c *client13) seal(kind byte, content ...byte) {
	block, err := aes.NewCipher(c.expand("key", 16))
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	nonce := c.expand("iv", 12)
	nonce[11] ^= c.seq
	c.seq++
	plain := append(bytes.Clone(content), kind)
	head := []byte{23, 3, 3, 0, byte(len(plain) + aead.Overhead())}
	c.out.Write(append(head, aead.Seal(nil, nonce, plain, head)...))
}

// updateKey asks the other side to update its key as well.
func (c *client13) updateKey() {
	c.seal(recordHandshake, 24, 0, 0, 1, 1)
	c.secret, c.seq = c.expand("traffic upd", 32), 0
}

const (
	recordHandshake = 22
	recordData      = 23
)

// Behind the alert for a broken record nothing is sealed, and whoever has something to send is
// told so.
func TestNothingIsSealedBehindAnAlert(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		s, c, out := established(t, version)
		_, _ = c.Write([]byte("broken on its way"))
		out.Bytes()[out.Len()-1] ^= 1
		s.feed(out.Bytes())
		if s.end != reqchan.HandshakeFailed {
			t.Fatalf("ended for %v", s.end)
		}
		plain := make([]byte, plaintextMax)
		for n := range 2 {
			wire, end := s.of.Seal(make([]byte, 0, s.of.Sealed(len(plain))), plain)
			if alert := n == 0; alert != (len(wire) > 0) || len(wire) > 100 || end != reqchan.HandshakeFailed {
				t.Errorf("time %d: %d bytes, and %v", n, len(wire), end)
			}
		}
		s.close()
	}
}
