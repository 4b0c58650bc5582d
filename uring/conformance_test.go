//go:build linux

package uring

import (
	"math"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

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
	inChildren(t, profiles[:len(profiles)-1], func(profile string) Config { // the last is the default, above
		return Config{KernelProfile: profile}
	})
}

// inChildren runs the suite for each case and wait in a process of its own: it
// mostly waits, and what it counts is the process's, so only processes can run
// beside each other, and as many as the machine has CPUs for, whatever GOMAXPROCS is.
// Of those in which a thread of the kernel polls, one at a time: two of them keep two
// CPUs busy, and everybody waits for a turn, them too.
//
// Each has a quarter of the default's buffers: what exhausts them, three times, is most of
// what the suite moves, and TestEveryRingKeepsTheEngineContract has all of them.
func inChildren(t *testing.T, cases []string, config func(name string) Config, options ...enginetest.Option) {
	const child = "KRING_TEST_SUITE_CHILD"
	if name, ok := os.LookupEnv(child); ok {
		c := config(name)
		if c.Buffers == 0 {
			c.Buffers = Config{}.withDefaults().Buffers / 4
		}
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
	type run struct {
		name string
		wait engine.Wait
	}
	polled, others := make(chan run, 2*len(cases)), make(chan run, 2*len(cases))
	for _, name := range cases {
		queue := others
		if config(name).SQPoll > 0 {
			queue = polled
		}
		queue <- run{name, engine.WaitLocked}
		queue <- run{name, engine.WaitParked}
	}
	close(polled)
	close(others)
	var at sync.WaitGroup
	for _, queue := range append([]chan run{polled}, slices.Repeat([]chan run{others}, 2*min(runtime.GOMAXPROCS(0), runtime.NumCPU())-1)...) {
		at.Go(func() {
			for r := range queue {
				t.Run(r.name+" "+r.wait.String(), func(t *testing.T) {
					c := exec.Command(self, "-test.run=^"+top+"$/^"+r.wait.String()+"$", "-test.count=1", "-test.timeout=5m")
					c.Env = append(os.Environ(), child+"="+r.name)
					if out, err := c.CombinedOutput(); err != nil {
						t.Errorf("%v\n%s", err, out)
					}
				})
			}
		})
	}
	at.Wait()
}
