//go:build unix

package main

import (
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestClientsWithoutAPlaceAreToldOf: in the log, with who has the places, and in the
// state line, waiting or refused.
func TestClientsWithoutAPlaceAreToldOf(t *testing.T) {
	for _, engine := range enginesHere() {
		for when, state := range map[string]string{
			"wait":   `msg=state open=1 accepted=[234] .* waiting=[123] waited=[123] parked=0 refused=0 .*busiest_address=127.0.0.1 its_connections=[234]`,
			"refuse": `msg=state open=1 accepted=4 .* waiting=0 waited=0 parked=0 refused=3 refused_by.full=3 busiest_address=127.0.0.1 its_connections=1`,
		} {
			c := serve(t, "--engine", engine, "--handler", "echo", "--max-connections", "1", "--when-full", when)
			in := dial(t, c.addr)
			ask(t, in, kmsg.NewPtrApiVersionsRequest())
			for range 3 {
				dial(t, c.addr)
			}
			c.logged(`level=WARN msg="the server is full: .* listener=PLAINTEXT bound=--max-connections max=1 .*busiest_address=127.0.0.1 its_connections=\d`)
			c.awaitState(state)
			ask(t, in, kmsg.NewPtrApiVersionsRequest())
			_ = in.Close()
			c.signal(syscall.SIGTERM)
			if status := c.exit(); status != exitOK {
				t.Errorf("%s, %s: exit status %d, want 0", engine, when, status)
			}
			c.logged(`msg=stopped connections=\d refused=\d .* waited=\d`)
		}
	}
}

// awaitState asks for the state until it matches.
func (c *child) awaitState(expr string) {
	c.t.Helper()
	form := regexp.MustCompile(expr)
	for end := time.Now().Add(deadline); time.Now().Before(end); {
		had := strings.Count(c.stderr.String(), "msg=state")
		c.signal(syscall.SIGUSR1)
		until(c.t, "the state is told", func() bool { return strings.Count(c.stderr.String(), "msg=state") > had })
		if form.MatchString(c.stderr.String()) {
			return
		}
	}
	c.t.Fatalf("no state line with %q on standard error:\n%s", expr, c.stderr.String())
}
