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
