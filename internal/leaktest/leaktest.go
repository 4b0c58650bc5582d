// Package leaktest holds tests against the goroutines that they leave behind.
//
// Job: demand that none is left, and give those that are about to end the time of a machine
// that runs others first: goleak itself waits for half a second of such a machine's.
//
// Flow: a package's TestMain calls Main; a test calls Begin, and at its end what that
// returned.
//
// Ownership: none.
//
// Never: imported by anything but tests.
//
// Kernel: none.
package leaktest

import (
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience bounds failures; goroutines that end do not take that long.
const patience = time.Minute

// Main runs a package's tests and exits: with a failure if they leave goroutines behind.
func Main(m *testing.M) {
	status := m.Run()
	if status == 0 {
		if err := find(); err != nil {
			fmt.Fprintf(os.Stderr, "goroutines left behind: %v\n", err)
			status = 1
		}
	}
	os.Exit(status)
}

// Begin notes the goroutines that there are. The function that it returns demands that no
// others are left.
func Begin() (end func(t testing.TB)) {
	before := goleak.IgnoreCurrent()
	return func(t testing.TB) {
		t.Helper()
		if err := find(before); err != nil {
			t.Errorf("goroutines left behind: %v", err)
		}
	}
}

func find(options ...goleak.Option) (err error) {
	for end := time.Now().Add(patience); ; {
		if err = goleak.Find(options...); err == nil || time.Now().After(end) {
			return err
		}
	}
}
