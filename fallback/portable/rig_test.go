package portable

import (
	"testing"
	"time"

	"kring/engine"
	"kring/internal/enginetest"
	"kring/internal/leaktest"
)

// patience is how long a test waits for what must happen.
const patience = time.Minute

// rig is an engine with its listener, owned by the test's goroutine.
type rig struct {
	*enginetest.Rig
	n *Network
	e *Engine
}

func newRig(t *testing.T, c Config) *rig {
	t.Helper()
	left := leaktest.Begin()
	t.Cleanup(func() { left(t) }) // the last clean-up to run
	n, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	r, e := enginetest.NewRig(t, n, engine.WaitParked)
	return &rig{Rig: r, n: n, e: e.(*Engine)}
}
