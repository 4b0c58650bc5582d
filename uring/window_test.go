//go:build linux

package uring

import (
	"testing"
)

func TestTheWindowWidensUnderBurstsAndRests(t *testing.T) {
	w, err := openWindow(&Config{Buffers: 64, BuffersHot: 4, BufferBytes: 64})
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	check := func(given, lent int) {
		t.Helper()
		if w.given != given || w.lent != lent || w.given+w.lent+len(w.spare) != 64 {
			t.Fatalf("given %d, lent %d, spare %d", w.given, w.lent, len(w.spare))
		}
	}
	check(4, 0)
	var lent []uint16
	take := func(n int) {
		for range n {
			e := w.ring.entries[(w.ring.tail-uint16(w.given))&w.ring.mask]
			bid := e.Bid
			if (w.ring.tail-uint16(w.given))&w.ring.mask == 0 {
				bid = w.ring.first
			}
			w.lend(bid, 1, false)
			lent = append(lent, bid)
		}
	}
	take(4)
	if w.exhausted() {
		t.Fatal("exhausted with 60 spare buffers")
	}
	w.publish()
	check(8, 4)
	for range 4 {
		take(w.given)
		w.exhausted()
		w.publish()
	}
	check(0, 64)
	if !w.exhausted() {
		t.Fatal("not exhausted with every buffer lent")
	}
	for _, bid := range lent {
		w.giveBack(bid)
	}
	check(64, 0)
	lent = nil
	for range restEvery * 10 {
		take(1)
		w.publish()
		w.giveBack(lent[0])
		lent = lent[:0]
		w.publish()
	}
	check(4, 0)
}
