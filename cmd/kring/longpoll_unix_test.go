//go:build unix

package main

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// What waits for something to happen in the server does not hold it up.
func TestALongPollDoesNotHoldUpTheEnd(t *testing.T) {
	for _, handler := range []string{"embedded", "null"} {
		t.Run(handler, func(t *testing.T) {
			c := serve(t, "--handler", handler)
			polling, begun := longPoll(t, c.addr), 3
			if handler == "embedded" {
				joinAlone(t, c.addr)
				begun += 2
			}
			// Whoever has asked before the signal is answered, and not who is about to.
			c.awaitState(fmt.Sprintf(`msg=state .* requests=%d `, begun))
			c.signal(syscall.SIGTERM)
			began := time.Now()
			response(t, polling)
			if status := c.exit(); status != exitOK {
				t.Errorf("exit status %d, want 0", status)
			}
			if took := time.Since(began); took > deadline/2 {
				t.Errorf("the end took %v", took)
			}
		})
	}
}

// joinAlone makes a member and has another join while the first does not join
// again: the second waits for the first, for longer than any test.
func joinAlone(t *testing.T, addr string) {
	t.Helper()
	join := kmsg.NewPtrJoinGroupRequest()
	join.Version, join.Group, join.ProtocolType = 3, "waiting", "consumer"
	join.SessionTimeoutMillis, join.RebalanceTimeoutMillis = 290_000, 290_000
	p := kmsg.NewJoinGroupRequestProtocol()
	p.Name = "range"
	join.Protocols = append(join.Protocols, p)
	ask(t, dial(t, addr), join)
	waiting := dial(t, addr)
	if _, err := waiting.Write(kmsg.NewRequestFormatter().AppendRequest(nil, join, 1)); err != nil {
		t.Fatal(err)
	}
}

// TestWhatWaitsBehindAGatewayDoesNotHoldUpItsEnd, however long --drain-timeout is.
func TestWhatWaitsBehindAGatewayDoesNotHoldUpItsEnd(t *testing.T) {
	upstream := startUpstream(t, "127.0.0.1:0")
	c, at := startGateway(t, upstream, "--drain-timeout", "10m")
	joinAlone(t, at)
	c.signal(syscall.SIGTERM)
	began := time.Now()
	if status := c.exit(); status != exitOK {
		t.Errorf("exit status %d:\n%s", status, c.stderr.String())
	}
	if took := time.Since(began); took > deadline/2 {
		t.Errorf("the end took %v", took)
	}
}
