package enginetest

import (
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// openDescriptors names what this process has open, by number and object.
func openDescriptors() map[string]string {
	open := map[string]string{}
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		if target, err := os.Readlink(filepath.Join("/proc/self/fd", e.Name())); err == nil {
			open[e.Name()] = target
		}
	}
	return open
}

// awaitDescriptors waits until nothing is open that was not open before.
func awaitDescriptors(t testing.TB, before map[string]string) {
	t.Helper()
	var extra []string
	for end := time.Now().Add(patience); time.Now().Before(end); <-time.After(5 * time.Millisecond) {
		extra = extra[:0]
		for number, target := range openDescriptors() {
			if before[number] != target {
				extra = append(extra, number+" "+target)
			}
		}
		if len(extra) == 0 {
			return
		}
	}
	t.Errorf("descriptors left open: %q", extra)
}

// warmUp makes the Go runtime open what it keeps for good: its poller.
var warmUp = sync.OnceFunc(func() {
	if l, err := net.Listen("tcp", "127.0.0.1:0"); err == nil {
		_ = l.Close()
	}
})
