package portable

import (
	"testing"

	"kring/engine"
	"kring/internal/enginetest"
)

func TestConformance(t *testing.T) { conform(t, Config{}) }

// The same with little memory, so that every bound is reached.
func TestConformanceWithinNarrowBounds(t *testing.T) {
	conform(t, Config{Buffers: 8, BufferBytes: 4 << 10, AcceptsMax: 1})
}

func conform(t *testing.T, c Config) {
	enginetest.Run(t, func(t testing.TB) engine.Network {
		n, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		return &watched{Network: n}
	}, enginetest.Allocates(), enginetest.AtEnd(func(t testing.TB, n engine.Network) {
		n.(*watched).check(t)
	}))
}

// watched remembers its engines.
type watched struct {
	*Network
	engines []*Engine
}

func (w *watched) Open(wait engine.Wait) (engine.Engine, error) {
	e, err := w.Network.Open(wait)
	if err == nil {
		w.engines = append(w.engines, e.(*Engine))
	}
	return e, err
}

// check demands that every buffer was given back, except those that the case did not
// recycle.
func (w *watched) check(t testing.TB) {
	var lent int64
	for _, e := range w.engines {
		lent += e.Counters().LentBytes.Load() / int64(w.config.BufferBytes)
	}
	if out := w.pool.Lent(); out != lent {
		t.Errorf("%d buffers are out, %d of them lent", out, lent)
	}
}
