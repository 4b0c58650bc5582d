package main

import (
	"os"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestClientsAreServedWhereDevNullIsMissing, as in a chroot and under systemd's
// RootDirectory=. Only root can take /dev away from a process.
func TestClientsAreServedWhereDevNullIsMissing(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("not root: acceptor's TestClientsAreServedWhereNoSpareDescriptorCanBeHad has the same without a cage")
		return
	}
	for _, engine := range enginesHere() {
		c := startCaged(t, "nodev", "serve", "--listen", "127.0.0.1:0", "--engine", engine, "--data-dir", t.TempDir())
		m := readyForm.FindStringSubmatch(<-c.lines())
		if m == nil {
			if c.exit() == 99 {
				t.Logf("this root may not mount: %s", c.stderr.String()) // a container without CAP_SYS_ADMIN
				return
			}
			t.Fatalf("%s: no ready line; standard error:\n%s", engine, c.stderr.String())
		}
		ask(t, dial(t, m[1]), kmsg.NewPtrApiVersionsRequest())
		c.signal(syscall.SIGTERM)
		if status := c.exit(); status != exitOK {
			t.Errorf("%s: exit status %d, want 0; standard error:\n%s", engine, status, c.stderr.String())
		}
	}
}
