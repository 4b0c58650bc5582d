//go:build unix

package main

import (
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestTheStateCanBeAskedForAnyNumberOfTimes, and the server serves on.
func TestTheStateCanBeAskedForAnyNumberOfTimes(t *testing.T) {
	for _, engine := range enginesHere() {
		c := serve(t, "--engine", engine, "--handler", "null")
		c.awaitState(`msg=state open=0 accepted=0`)
		ask(t, dial(t, c.addr), kmsg.NewPtrMetadataRequest()) // answered, and counted soon
		c.awaitState(`msg=state open=1 accepted=1 requests=1 .* lent_bytes=0 .* goroutines=[1-9]`)
		c.signal(syscall.SIGTERM)
		if status := c.exit(); status != exitOK {
			t.Errorf("%s: exit status %d, want 0", engine, status)
		}
	}
}
