package processor

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

func TestAlarmsComeInOrderOfTimeAndMoveAndGo(t *testing.T) {
	var a alarms
	conns := make([]*conn, 50)
	for i := range conns {
		conns[i] = &conn{}
		a.set(conns[i], int64(i*37%50)*1000)
	}
	for i, c := range conns {
		switch i % 3 {
		case 0:
			a.remove(c)
			a.remove(c)
		case 1:
			a.set(c, c.alarm.at+500_000)
		}
	}
	if got := a.wait(0, -1); got != 1000 { // the first that is left
		t.Errorf("the first is due in %d ns", got)
	}
	if got := a.wait(0, 5); got != 5 {
		t.Errorf("the wheel's turn is due in %d ns", got)
	}
	last := int64(-1)
	for n := 0; len(a.byTime) > 0; n++ {
		c := a.byTime[0]
		if c.alarm.at < last || c.alarm.place != 1 {
			t.Fatalf("alarm of %d after %d, at place %d", c.alarm.at, last, c.alarm.place)
		}
		last = c.alarm.at
		a.remove(c)
	}
	if got := a.wait(0, -1); got != -1 {
		t.Errorf("without an alarm the wait is %d", got)
	}
}
