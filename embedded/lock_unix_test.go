//go:build unix && !solaris && !aix

package embedded

import (
	"errors"
	"testing"
	"time"
)

// TestOpenWaitsForTheProcessThatHasTheDirectory for as long as it was told to, and no longer.
// A wait that was given up leaves no lock behind.
func TestOpenWaitsForTheProcessThatHasTheDirectory(t *testing.T) {
	dir := t.TempDir()
	other, err := lockDir(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, wait := range []time.Duration{0, time.Millisecond} {
		if _, err := Open(Config{DataDir: dir, InUseWait: wait}); !errors.Is(err, ErrInUse) {
			t.Errorf("a wait of %v for a process that stays: %v", wait, err)
		}
	}
	opened := make(chan error, 1)
	go func() {
		c, err := Open(Config{DataDir: dir, InUseWait: time.Minute})
		if err == nil {
			err = c.Close()
		}
		opened <- err
	}()
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-opened; err != nil {
		t.Errorf("the other process ended, and %v", err)
	}
	if _, err := Open(Config{DataDir: dir, InUseWait: -1}); err == nil {
		t.Error("a wait of less than nothing is taken")
	}
}
