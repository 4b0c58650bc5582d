package epoll

import (
	"testing"

	"kring/engine"
	"kring/internal/enginetest"
)

func TestConformance(t *testing.T) {
	enginetest.Run(t, func(t testing.TB) engine.Network {
		n, err := New(Config{})
		if err != nil {
			t.Fatal(err)
		}
		return n
	})
}

// The same with little memory and little work a pass, where every bound is met.
func TestConformanceWithinNarrowBounds(t *testing.T) {
	enginetest.Run(t, func(t testing.TB) engine.Network {
		n, err := New(Config{Buffers: 8, BufferBytes: 4 << 10, ReceivesMax: 1})
		if err != nil {
			t.Fatal(err)
		}
		return n
	})
}
