package tlsconn

import (
	"testing"
	"time"

	"kring/internal/tlstest"
	"kring/reqchan"
)

// A client that begins a handshake message after the handshake, and never ends it, has little
// of it kept: crypto/tls alone would keep 256 KiB for each connection.
func TestAHandshakeMessageThatNeverEndsHoldsLittle(t *testing.T) {
	s, c := established13(t)
	defer s.close()
	c.seal(recordHandshake, 11, 3, 0xff, 0) // certificates of 256 KiB
	most := 0
	for range 1000 {
		if s.end != reqchan.ReasonNone {
			break
		}
		c.seal(recordHandshake, make([]byte, 200)...)
		s.feed(c.out.Bytes())
		c.out.Reset()
		most = max(most, hand(s.of.tls).Len())
		if c.seq == 250 {
			break // of the sequence number client13 has but one byte
		}
	}
	if s.end != reqchan.HandshakeFailed || s.of.info.EndDetail() == nil || most > messageBytesMax+plaintextMax {
		t.Errorf("%d bytes were kept, ended for %v: %v", most, s.end, s.of.info.EndDetail())
	}
}

// In the handshake, too, there is a bound: one that is longer ends without its last byte.
func TestAHandshakeThatNeverEndsHoldsLittle(t *testing.T) {
	server, _ := tlstest.Configs()
	s := newSide(t, server)
	defer s.close()
	const body = 1 << 10
	record := append([]byte{recordHandshake, 3, 1, body >> 8, 0}, make([]byte, body)...)
	first := append([]byte(nil), record...)
	copy(first[5:], []byte{1, 0, 0xff, 0}) // a ClientHello of 65,280 bytes
	s.feed(first)
	for sent := len(first); sent <= handshakeBytesMax; sent += len(record) {
		s.feed(record)
	}
	for late := time.After(time.Minute); s.end == reqchan.ReasonNone; s.goOn() {
		select {
		case <-s.moved:
		case <-late:
			t.Fatal("it waits for more")
		}
	}
	if s.end != reqchan.HandshakeFailed || s.of.info.EndDetail() == nil {
		t.Errorf("ended for %v: %v", s.end, s.of.info.EndDetail())
	}
}
