//go:build linux

package uring

import (
	"testing"

	"kring/engine"
	"kring/internal/enginetest"
)

func TestEveryRingKeepsTheEngineContract(t *testing.T) {
	for _, c := range []struct {
		name   string
		config Config
	}{
		{"default", Config{}},
		{"tiny queues", Config{Entries: 2, CQEntries: 4, Buffers: 64, BuffersHot: 2, BufferBytes: 1024, SendBuffersMax: 3, SendBytesMax: 64 << 10}},
	} {
		t.Run(c.name, func(t *testing.T) {
			enginetest.Run(t, func(t testing.TB) engine.Network { return newTestNetwork(t, c.config) })
		})
	}
}

// TestOlderKernelsKeepTheEngineContract takes away what newer kernels brought:
// multishot receive (6.0) and the setup flags that came after 5.18.
func TestOlderKernelsKeepTheEngineContract(t *testing.T) {
	enginetest.Run(t, func(t testing.TB) engine.Network {
		n := newTestNetwork(t, Config{})
		n.can.multishotRecv = false
		n.can.flags = [2]uint32{setupBase, setupBase}
		return n
	})
}
