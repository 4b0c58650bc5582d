//go:build linux

package uring

import (
	"math"
	"os"
	"os/exec"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"kring/engine"
	"kring/internal/enginetest"
	"kring/internal/invariants"
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
			enginetest.Run(t, func(t testing.TB) engine.Network { return newTestNetwork(t, c.config) }, enginetest.Arrived(arrived))
		})
	}
}

// arrived are the bytes that TCP has received for a descriptor, taken or not;
// where it is none, all that were sent.
func arrived(_ engine.Network, fd engine.FD) int64 {
	info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return math.MaxInt64
	}
	return int64(info.Bytes_received)
}

// TestEveryKernelProfileKeepsTheEngineContract runs the ways that older kernels
// take, each through the whole suite.
func TestEveryKernelProfileKeepsTheEngineContract(t *testing.T) {
	profiles := KernelProfiles()
	var options []enginetest.Option
	if invariants.Enabled {
		options = append(options, enginetest.Light()) // the assertions take their time
	}
	inChildren(t, profiles[:len(profiles)-1], func(profile string) Config { // the last is the default, above
		return Config{KernelProfile: profile}
	}, options...)
}

// inChildren runs the suite for each case and wait in a process of its own: it
// mostly waits, and what it counts is the process's, so only processes can run
// beside each other.
func inChildren(t *testing.T, cases []string, config func(name string) Config, options ...enginetest.Option) {
	const child = "KRING_TEST_SUITE_CHILD"
	if name, ok := os.LookupEnv(child); ok {
		c := config(name)
		options = append(options, enginetest.Arrived(arrived))
		if c.SQPoll > 0 {
			options = append(options, enginetest.Unentered())
		}
		enginetest.Run(t, func(t testing.TB) engine.Network { return newTestNetwork(t, c) }, options...)
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	top := t.Name()
	for _, name := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var waits sync.WaitGroup
			for _, w := range []engine.Wait{engine.WaitLocked, engine.WaitParked} {
				waits.Go(func() {
					c := exec.Command(self, "-test.run=^"+top+"$/^"+w.String()+"$", "-test.count=1", "-test.timeout=5m")
					c.Env = append(os.Environ(), child+"="+name)
					if out, err := c.CombinedOutput(); err != nil {
						t.Errorf("%v\n%s", err, out)
					}
				})
			}
			waits.Wait()
		})
	}
}
