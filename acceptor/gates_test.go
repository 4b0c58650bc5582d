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
	stays, err := a.Gate("stays")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 * closedGatesMax {
		g, err := a.Gate(fmt.Sprint("listener ", i))
		if err != nil {
			t.Fatal(err)
		}
		g.Close()
		again, err := a.Gate(g.name)
		if err != nil || again != g {
			t.Fatalf("the same name: another gate, or %v", err)
		}
		again.Close()
	}
	if n := len(a.gates); n > closedGatesMax+1 {
		t.Errorf("%d gates are kept", n)
	}
	if _, err := a.Gate("stays"); err == nil {
		t.Error("the gate that is open was forgotten")
	}
	stays.Close()
}
