package kafka

import (
	"net/netip"
	"testing"

	"kring/internal/fairqueue"
	"kring/reqchan"
	"kring/telemetry"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestAFloodOfPushesKeepsNobodyOut: when as many wait as may, who has most of them is told to
// come again.
func TestAFloodOfPushesKeepsNobodyOut(t *testing.T) {
	state, err := telemetry.New(telemetry.Config{})
	if err != nil {
		t.Fatal(err)
	}
	f := NewFilter(everything(t), &recorder{})
	f.Telemetry, f.pushesLine.waitingMax = state, 4
	gate := make(chan struct{})
	f.pushesLine.start(fairqueue.KeyOf(netip.Addr{}), work{run: func() { <-gate }})
	conns := uint64(0)
	push := func(from string) (c *client, answered bool) {
		conns++
		req := kmsg.NewPtrPushTelemetryRequest()
		req.ClientInstanceID[0] = byte(conns)
		c = newClient(t, f)
		c.conn.ID, c.conn.Remote = reqchan.ConnID{Index: conns}, netip.AddrPortFrom(netip.MustParseAddr(from), 1)
		return c, c.start(framePayload(req, 4711, "test"))
	}
	code := func(c *client) int16 {
		_, response, _ := c.request.Answer()
		return decodeResponse[*kmsg.PushTelemetryResponse](t, response[reqchan.SizeBytes:], kmsg.NewPtrPushTelemetryRequest()).ErrorCode
	}
	var waiting []*client
	for range 4 {
		c, answered := push("10.0.0.9")
		if answered {
			t.Fatalf("a push is answered at once: %d", code(c))
		}
		waiting = append(waiting, c)
	}
	if c, answered := push("10.0.0.9"); !answered || code(c) != codeThrottled {
		t.Error("one more push of the same address is not told to come again")
	}
	good, answered := push("10.0.0.1")
	if answered {
		t.Fatalf("a push of another address is answered at once: %d", code(good))
	}
	waiting[3].await() // the youngest made way
	if got := code(waiting[3]); got != codeThrottled {
		t.Errorf("who made way is told %d", got)
	}
	close(gate)
	const codeUnknownSubscription = 117
	for _, c := range append(waiting[:3], good) {
		if c.await(); code(c) != codeUnknownSubscription {
			t.Errorf("a push that waited is told %d", code(c))
		}
	}
}

// TestAPushThatPanicsEndsItsConnectionAlone.
func TestAPushThatPanicsEndsItsConnectionAlone(t *testing.T) {
	f := NewFilter(everything(t), &recorder{})
	f.Telemetry = new(telemetry.State) // was not made by New, and panics
	for range 2 {                      // the line goes on
		req := kmsg.NewPtrPushTelemetryRequest()
		req.ClientInstanceID[0] = 1
		c := newClient(t, f)
		if !c.start(framePayload(req, 4711, "test")) {
			c.await()
		}
		if kind, _, why := c.request.Answer(); kind != reqchan.AnswerClose || why != reqchan.HandlerPanicked {
			t.Errorf("it is answered with %v, %v", kind, why)
		}
	}
}
