package kafka

import (
	"math"
	"testing"
	"time"

	"kring/sasl"
)

// TestASessionThatLastsForCenturiesDoesNotEnd: such as of a token for 31 December 9999, or a
// SessionMax that means for ever.
func TestASessionThatLastsForCenturiesDoesNotEnd(t *testing.T) {
	for _, k := range []struct {
		max     time.Duration
		expires time.Time
	}{
		{0, time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)},
		{0, time.Unix(1_000_000, 0).Add(math.MaxInt64)},
		{math.MaxInt64, time.Time{}},
		{math.MaxInt64, time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)},
	} {
		g := filterWithSASL(t, SASLConfig{SessionMax: k.max, Mechanisms: []sasl.Mechanism{&toy{name: "TOY", expires: k.expires}}})
		g.now.Add(int64(time.Hour)) // the server has been up for a while
		g.handshake(1, "TOY")
		if r := g.token(2, "user alice"); r.SessionLifetimeMillis < (50 * 365 * 24 * time.Hour).Milliseconds() {
			t.Errorf("%+v: %d ms", k, r.SessionLifetimeMillis)
		}
		g.now.Add(int64(365 * 24 * time.Hour))
		g.served("alice")
	}
}
