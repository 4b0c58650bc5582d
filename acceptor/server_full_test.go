package acceptor

import (
	"fmt"
	"testing"
	"time"
)

// The event comes once a minute while the server is full, and counts who waits.
func TestWhoTakesEveryPlaceIsNamed(t *testing.T) {
	d := newRig(t, Limits{Server: Bounds{ConnsMax: 4}}, "A", "B")
	var told []string
	d.admission.serverFull = func(is ServerFull) {
		told = append(told, fmt.Sprintf("%s %v %d: %d wait, %v has %d", is.Listener, is.Server, is.ConnsMax, is.Waiting, is.Busiest, is.BusiestConns))
	}
	d.connectServed("B", "192.0.2.1")
	for range 3 {
		d.connectServed("A", "192.0.2.9")
	}
	first, second := d.connect("A", "192.0.2.2"), d.connect("B", "192.0.2.3")
	d.advanceClock(30 * time.Second)
	if want := "A true 4: 1 wait, 192.0.2.9 has 3"; len(told) != 1 || told[0] != want {
		t.Fatalf("told %q, want %q once", told, want)
	}
	if a, b := d.stats("A"), d.stats("B"); a.Waited != 1 || b.Waited != 1 || a.WaitingNow+b.WaitingNow != 2 {
		t.Errorf("waited %d and %d, %d do now", a.Waited, b.Waited, a.WaitingNow+b.WaitingNow)
	}
	d.advanceClock(time.Minute)
	if len(told) != 2 {
		t.Errorf("after a minute more: told %q", told)
	}
	d.mustBe(first, "kept")
	d.mustBe(second, "kept")
}

// The bound of a listener is reported like that of the server.
func TestWhoIsRefusedForWantOfAPlaceIsToldOf(t *testing.T) {
	d := newRig(t, Limits{Server: Bounds{ConnsMax: 9}, Listeners: map[string]Bounds{"A": {ConnsMax: 1}}, Refuse: true}, "A", "B")
	var told []ServerFull
	d.admission.serverFull = func(is ServerFull) { told = append(told, is) }
	d.connectServed("A", "192.0.2.1")
	for range 3 {
		d.mustBe(d.connect("A", "192.0.2.2"), "closed")
	}
	d.connectServed("B", "192.0.2.2")
	if len(told) != 1 || told[0].Server || told[0].ConnsMax != 1 || told[0].Refused != 1 || told[0].Busiest.String() != "192.0.2.1" {
		t.Errorf("told %+v", told)
	}
	if s := d.stats("A"); s.Refused[Full] != 3 || s.Waited != 0 {
		t.Errorf("%+v", s)
	}
}
