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

// TestEveryKernelProfileKeepsTheEngineContract runs the ways that older kernels
// take.
func TestEveryKernelProfileKeepsTheEngineContract(t *testing.T) {
	for _, profile := range KernelProfiles() {
		if profile == profileMax {
			continue // the default, above
		}
		t.Run(profile, func(t *testing.T) {
			enginetest.Run(t, func(t testing.TB) engine.Network {
				return newTestNetwork(t, Config{KernelProfile: profile})
			}, enginetest.Light())
		})
	}
}
