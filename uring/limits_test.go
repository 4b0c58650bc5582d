//go:build linux

package uring

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestADescriptorLimitIsNotBlamedOnTheKernel lets New run out of descriptors at
// every step, in a process of its own.
func TestADescriptorLimitIsNotBlamedOnTheKernel(t *testing.T) {
	inItsOwnProcess(t, runOutOfDescriptors)
}

func runOutOfDescriptors(t *testing.T) {
	newTestNetwork(t, Config{}) // opens what Go itself keeps open
	free := lowestFree(t)
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	refusals := 0
	for n := free; ; n++ {
		if n > free+32 {
			t.Fatalf("New still fails with 32 descriptors")
		}
		setNofile(t, n, before.Max)
		_, err := New(Config{})
		setNofile(t, int(before.Cur), before.Max)
		if err == nil {
			break
		}
		refusals++
		if !errors.Is(err, unix.EMFILE) || !strings.Contains(err.Error(), "ulimit -n") || strings.Contains(err.Error(), "lacks") {
			t.Errorf("with %d descriptors: %v", n-free, err)
		}
	}
	if refusals == 0 {
		t.Error("New took no descriptors")
	}
}

func setNofile(t *testing.T, n int, most uint64) {
	t.Helper()
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(n), Max: most}); err != nil {
		t.Fatal(err)
	}
}

func lowestFree(t *testing.T) int {
	t.Helper()
	fd, err := unix.Dup(0)
	if err != nil {
		t.Fatal(err)
	}
	_ = unix.Close(fd)
	return fd
}
