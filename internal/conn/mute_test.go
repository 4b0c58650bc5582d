package conn

import (
	"strings"
	"testing"
)

// TestMuteStatesAreKafkas holds the table against KafkaChannel's
// handleChannelMuteEvent, mute and maybeUnmute: every legal step by name, and no
// other is.
func TestMuteStatesAreKafkas(t *testing.T) {
	const m, resp, thr = "MUTED", "_AND_RESPONSE_PENDING", "_AND_THROTTLED"
	legal := map[string]string{
		"NOT_MUTED mute": m, m + " mute": m, m + resp + " mute": m + resp, m + thr + " mute": m + thr, m + thr + resp + " mute": m + thr + resp,
		m + " received":    m + resp,
		m + resp + " sent": m, m + thr + resp + " sent": m + thr,
		m + resp + " throttled": m + thr + resp,
		m + thr + " over":       m, m + thr + resp + " over": m + resp,
		"NOT_MUTED unmute": "NOT_MUTED", m + " unmute": "NOT_MUTED", m + resp + " unmute": m + resp,
		m + thr + " unmute": m + thr, m + thr + resp + " unmute": m + thr + resp,
	}
	steps := [muteSteps]string{"mute", "received", "sent", "throttled", "over", "unmute"}
	for from := range muteStates {
		for step := range muteSteps {
			want := legal[from.String()+" "+steps[step]]
			if want == "" {
				want = "ILLEGAL"
			}
			if got := muteTable[from][step]; got.String() != want {
				t.Errorf("%v, %s: %v, want %s", from, steps[step], got, want)
			}
		}
		if got := from.throttled(); got != strings.Contains(from.String(), thr) {
			t.Errorf("%v is throttled: %v", from, got)
		}
	}
}
