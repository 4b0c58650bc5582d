package acceptor

import (
	"fmt"
	"testing"
)

// Listeners are opened and closed under ever new names. What is kept of closed ones
// is bounded, and one that is opened again soon goes on with its counts.
func TestGatesOfListenersThatAreGoneAreForgotten(t *testing.T) {
	a, err := NewAdmission(AdmissionConfig{})
	if err != nil {
		t.Fatal(err)
	}
	stays, err := a.OpenListener("stays")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 * closedListenersMax {
		g, err := a.OpenListener(fmt.Sprint("listener ", i))
		if err != nil {
			t.Fatal(err)
		}
		g.Close()
		again, err := a.OpenListener(g.name)
		if err != nil || again != g {
			t.Fatalf("the same name: another quota, or %v", err)
		}
		again.Close()
	}
	if n := len(a.quotas); n > closedListenersMax+1 {
		t.Errorf("%d quotas are kept", n)
	}
	if _, err := a.OpenListener("stays"); err == nil {
		t.Error("the quota of an open listener was forgotten")
	}
	stays.Close()
}

// Listeners that are closed while they have connections are forgotten like others, once these
// have ended: as they end, and nobody closes another one for that.
func TestListenersThatAreClosedWithConnectionsAreForgotten(t *testing.T) {
	a, err := NewAdmission(AdmissionConfig{})
	if err != nil {
		t.Fatal(err)
	}
	var last []*slot
	for i := range 10 * closedListenersMax {
		g, err := a.OpenListener(fmt.Sprint("listener ", i))
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if !g.takeSlot(a.limits.Load()) {
				t.Fatal("no slot")
			}
		}
		g.Close()
		first := &slot{quota: g}
		first.Release()
		last = append(last, &slot{quota: g})
	}
	if n := len(a.quotas); n != len(last) {
		t.Fatalf("%d quotas are kept, and %d have connections", n, len(last))
	}
	again, err := a.OpenListener("listener 0")
	if err != nil || again.Open() != 1 {
		t.Fatalf("the same name has lost its connection, or %v", err)
	}
	for _, p := range last {
		p.Release()
	}
	if n := len(a.quotas); n > closedListenersMax+1 {
		t.Errorf("%d quotas are kept", n)
	}
	if _, err := a.OpenListener("listener 0"); err == nil {
		t.Error("the quota of an open listener was forgotten")
	}
}
