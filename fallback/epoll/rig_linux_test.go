package epoll

import (
	"runtime"
	"testing"
	"time"

	"kring/engine"
	"kring/internal/enginetest"
)

// patience is how long a test waits for what must happen.
const patience = time.Minute

// rig is an engine with its listener, owned by the test's goroutine.
type rig struct {
	*enginetest.Rig
	n *Network
	e *Engine
}

// both runs a test with both ways to wait.
func both(t *testing.T, f func(t *testing.T, w engine.Wait)) {
	for _, w := range []engine.Wait{engine.WaitParked, engine.WaitLocked} {
		t.Run(w.String(), func(t *testing.T) {
			if w == engine.WaitLocked {
				runtime.LockOSThread()
				defer runtime.UnlockOSThread()
			}
			f(t, w)
		})
	}
}

func newRig(t *testing.T, w engine.Wait, c Config) *rig {
	t.Helper()
	n, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	r, e := enginetest.NewRig(t, n, w)
	return &rig{Rig: r, n: n, e: e.(*Engine)}
}
