// Package contract holds the behaviours of Kafka's network layer that can be
// seen from outside a Server, one test each, on every engine. The comment of a
// test names the cases of Kafka's own tests that it covers, in a line of the
// form "Kafka: SS-10, SE-13."; docs/CONFORMANCE.md is generated from them.
package contract

import (
	"testing"

	"go.uber.org/goleak"

	"kring"
	"kring/internal/servertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Kafka: SS-10.
func TestARequestWithoutResponseLetsTheNextGoOn(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		s := servertest.Start(t, cfg, kring.HandlerFunc(func(r *kring.Request) {
			if string(r.Payload) == "last" {
				r.Respond(r.Payload)
				return
			}
			r.NoResponse()
		}))
		c := servertest.Dial(t, s)
		c.Send("one", "two", "last")
		if got := c.Receive(); got != "last" {
			t.Errorf("answer %q", got)
		}
	})
}
