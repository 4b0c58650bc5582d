package tlsconn

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"kring/internal/fairqueue"
	"kring/internal/tlstest"
	"kring/reqchan"
)

// helloOf is a client's first message.
func helloOf() []byte {
	_, client := tlstest.Configs()
	var hello bytes.Buffer
	_ = tls.Client(&kept{bytes: &hello, Conn: broken{}}, client).Handshake()
	return hello.Bytes()
}

// A handshake begins when the whole first message has come, in whatever pieces and records.
func TestAClientHelloThatIsNotWholeTakesNoPlace(t *testing.T) {
	hello := helloOf()
	var small []byte
	for piece := range slices.Chunk(hello[headBytes:], 3) {
		small = append(append(small, handshakeRecord, 3, 1, 0, byte(len(piece))), piece...)
	}
	for name, wire := range map[string][]byte{"one record": hello, "many records": small} {
		server, _ := tlstest.Configs()
		s := newSide(t, server)
		for i, b := range wire {
			if n := s.all.Begun(); n != 0 || s.of.Waits() {
				t.Fatalf("%s: %d handshakes have begun after %d bytes of %d", name, n, i, len(wire))
			}
			if s.feed([]byte{b}); s.of.Held() > 2*helloBytesMax {
				t.Fatalf("%s: it holds %d bytes", name, s.of.Held())
			}
		}
		if !s.of.Waits() || s.end != reqchan.ReasonNone {
			t.Errorf("%s: no handshake has begun, the end is %v", name, s.end)
		}
		s.close()
	}
	server, _ := tlstest.Configs()
	s := newSide(t, server)
	s.feed(hello[:len(hello)-1])
	s.of.Feed(nil)
	if s.goOn(); s.end != reqchan.HandshakeFailed || s.of.info.EndDetail() == nil {
		t.Errorf("after the end: %v", s.end)
	}
	s.close()
}

// What is too long to be kept, or is no ClientHello, is for crypto/tls to judge at once.
func TestWhatIsNoClientHelloIsJudgedAtOnce(t *testing.T) {
	for name, b := range map[string][]byte{
		"too long":           append([]byte{22, 3, 1, 0x40, 0, 1, 0, 0x3f, 0xfc}, make([]byte, helloBytesMax)...),
		"too long a record":  {22, 3, 1, 0xff, 0xff},
		"another message":    {22, 3, 1, 0, 4, 2, 0, 0, 9},
		"another record":     {22, 3, 1, 0, 1, 1, 21, 3, 1, 0, 2},
		"another version":    {22, 3, 1, 0, 1, 1, 22, 2, 1, 0, 2},
		"a message of 0":     {22, 3, 1, 0, 4, 1, 0, 0, 0},
		"two in one record":  {22, 3, 1, 0, 8, 1, 0, 0, 0, 1, 0, 0, 9},
		"in two records":     {22, 3, 1, 0, 2, 1, 0, 22, 3, 1, 0, 2, 0, 0},
		"with empty records": {22, 3, 1, 0, 0, 22, 3, 1, 0, 4, 1, 0, 0, 0},
	} {
		if helloComes(b) {
			t.Errorf("%s: more is waited for", name)
		}
	}
}

// Whatever handshakes do, there are no more than there may be, one that computes never makes
// way, and none makes way for an address that has as many, but the one that waits longest.
func TestPlacesMakeWayForOthers(t *testing.T) {
	const most = 40
	r := rand.New(rand.NewPCG(3, 4))
	var p places
	p.setMax(most)
	key := func(n int) netip.Prefix {
		return fairqueue.KeyOf(netip.MustParseAddr(fmt.Sprintf("10.0.0.%d", n)))
	}
	var all []*handshake
	isGone := func(h *handshake) bool {
		select {
		case <-h.gone:
			return true
		default:
			return false
		}
	}
	for range 20_000 {
		switch i := r.IntN(max(len(all), 1)); r.IntN(6) {
		case 0, 1, 2:
			h := &handshake{gone: make(chan struct{}), key: key(r.IntN(r.IntN(20) + 1))}
			if p.take(h.key, h) {
				all = append(all, h)
			}
		case 3:
			if i < len(all) {
				p.wait(all[i].place, waitsFor(r.IntN(3)))
			}
		case 4:
			if i < len(all) && (isGone(all[i]) || r.IntN(4) == 0) {
				p.end(all[i].place)
				all = append(all[:i], all[i+1:]...)
			}
		}
		counts, leaving := map[netip.Prefix]int{}, 0
		for _, h := range all {
			if isGone(h) != h.place.leaving || h.place.leaving && h.place.at != nil {
				t.Fatal("one makes way and does not know, or waits still")
			}
			if h.place.leaving {
				leaving++
			} else {
				counts[h.key]++
			}
		}
		if p.begun != len(all) || p.leaving != leaving || len(all)-leaving > most || len(all) > PlacesMax(most, 0) || len(p.peers) != len(counts) || len(p.most) != len(counts) {
			t.Fatalf("%d of %d have begun, %d of %d make way, %d of %d addresses", p.begun, len(all), p.leaving, leaving, len(p.peers), len(counts))
		}
		for k, n := range counts {
			if of := p.peers[k]; of == nil || of.begun != n || p.most[of.at] != of || p.most[0].begun < n {
				t.Fatalf("%v has %d: %+v", k, n, of)
			}
		}
	}
}

// A crowd of one address makes way for itself, and leaves others alone.
func TestACrowdOfOneAddressTakesFromItself(t *testing.T) {
	var p places
	p.setMax(4)
	begin := func(addr string, what waitsFor) *handshake {
		key := fairqueue.KeyOf(netip.MustParseAddr(addr))
		h := &handshake{gone: make(chan struct{}), key: key}
		if !p.take(key, h) {
			return nil
		}
		p.wait(h.place, what)
		return h
	}
	good := begin("10.0.0.1", forPeer) // it has waited longest
	crowd := []*handshake{begin("10.0.0.9", forPeer), begin("10.0.0.9", forNothing), begin("10.0.0.9", forTurn)}
	more := begin("10.0.0.9", forNothing)
	if more == nil || !crowd[0].forced || good.forced || crowd[1].forced || crowd[2].forced {
		t.Fatal("another than the crowd's own, that waits for its peer, makes way")
	}
	if begin("10.0.0.9", forNothing) != nil {
		t.Error("the crowd has more than there may be")
	}
	if begin("10.0.0.2", forPeer) == nil || !crowd[2].forced || good.forced {
		t.Error("the crowd does not make way for another address")
	}
}
