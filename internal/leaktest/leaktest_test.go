package leaktest

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestAGoroutineThatEndsLateIsWaitedFor, for longer than goleak waits.
func TestAGoroutineThatEndsLateIsWaitedFor(t *testing.T) {
	end := Begin()
	go func() { <-time.After(1500 * time.Millisecond) }()
	if goleak.Find() == nil {
		t.Log("this machine looked so late that there was nothing to wait for")
	}
	end(t)
}
