//go:build unix

package main

import (
	"net"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// throttleOf asks for no topics as client "greedy", and gives the milliseconds
// that the answer says it has to wait.
func throttleOf(t *testing.T, conn net.Conn) int32 {
	t.Helper()
	req := kmsg.NewPtrMetadataRequest()
	req.Version, req.Topics = 3, []kmsg.MetadataRequestTopic{}
	return asked[*kmsg.MetadataResponse](t, conn, req, kmsg.FormatterClientID("greedy")).ThrottleMillis
}

// TestQuotasAreReadAgainAtASignal, as a whole or not at all.
func TestQuotasAreReadAgainAtASignal(t *testing.T) {
	file := filepath.Join(t.TempDir(), "quotas")
	write := func(text string) {
		writeFile(t, file, []byte(text))
	}
	for _, handler := range []string{"null", "embedded"} {
		t.Run(handler, func(t *testing.T) {
			write("# nobody yet\n")
			c := serve(t, "--handler", handler, "--quota-file", file, "--quota", "user=other,requests=1", "--max-throttle", "3ms")
			conn := dial(t, c.addr)
			for range 3 {
				if ms := throttleOf(t, conn); ms != 0 {
					t.Fatalf("without a limit: %d ms", ms)
				}
			}
			write("client-id=greedy,requests=0.1\n")
			c.signal(syscall.SIGHUP)
			c.logged(`msg="the quotas were read again" .*limits=2`)
			throttleOf(t, conn)
			for range 2 {
				if ms := throttleOf(t, conn); ms != 3 {
					t.Errorf("over the limit: %d ms, want 3", ms)
				}
			}
			write("client-id=greedy,requests=1000000\nspeed=1\n\nuser=a,requests=x")
			c.signal(syscall.SIGHUP)
			c.logged(`(?s)level=ERROR msg="the quotas stay as they were" .*limits=2 .*line 2:.*speed.*line 4:.*not a number`)
			if ms := throttleOf(t, conn); ms != 3 {
				t.Errorf("after a refusal: %d ms, want 3", ms)
			}
			write("user=other,requests=3\n")
			c.signal(syscall.SIGHUP)
			c.logged(`is there twice`)
			write("")
			c.signal(syscall.SIGHUP)
			c.logged(`msg="the quotas were read again" .*limits=1`)
			if ms := throttleOf(t, conn); ms != 0 {
				t.Errorf("after the limit was lifted: %d ms", ms)
			}
			c.signal(syscall.SIGTERM)
			if status := c.exit(); status != exitOK {
				t.Errorf("exit status %d, want 0", status)
			}
		})
	}
}

func TestHostsOfLimitsAreResolvedAgainAtASignal(t *testing.T) {
	c := serve(t, "--handler", "echo", "--ip-limit", "localhost=100")
	c.signal(syscall.SIGHUP)
	c.logged(`msg="the hosts of --ip-limit were resolved again"`)
	echoes(t, c.addr)
	c.signal(syscall.SIGTERM)
	if status := c.exit(); status != exitOK {
		t.Errorf("exit status %d, want 0", status)
	}
}

// TestWithNothingToReadAgainTheSignalChangesNothing: a service manager's reload, or
// the end of a terminal, must not end connections and what they have in flight.
func TestWithNothingToReadAgainTheSignalChangesNothing(t *testing.T) {
	for _, handler := range []string{"echo", "embedded"} {
		c := serve(t, "--handler", handler)
		c.signal(syscall.SIGHUP)
		c.logged(`level=INFO msg="nothing to reread: none of the settings names a file or a host"`)
		ask(t, dial(t, c.addr), kmsg.NewPtrApiVersionsRequest())
		c.signal(syscall.SIGTERM)
		if status := c.exit(); status != exitOK {
			t.Errorf("%s: exit status %d, want 0", handler, status)
		}
	}
}
