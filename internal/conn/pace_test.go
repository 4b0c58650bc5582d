package conn

import (
	"testing"
	"time"
)

// TestRatesAndLatenciesAreOfLately: not of a connection's whole life, and those of a long
// poll don't count.
func TestRatesAndLatenciesAreOfLately(t *testing.T) {
	l := newTestLoop(t, Settings{}, nil)
	defer l.end()
	l.shared.cfg.APIOf = func(p []byte) (int16, int16) { return int16(p[0]), 0 }
	l.shared.cfg.LongPoll = func(api int16) bool { return api == 1 }
	ask := func(payload string, takes time.Duration) {
		l.receive(testFrame(payload), true)
		l.shared.now += int64(takes)
		l.answer(echo)
		l.flush()
		l.sent(len(l.sending))
	}
	info := func() Info { return l.conn.Describe() }
	l.shared.now += int64(time.Second / 2)
	ask("\x02hello", 0)
	if r := info().Rates; r.Requests != 2 || r.BytesIn != 20 || r.BytesOut != 20 {
		t.Errorf("in half a second: %+v", r)
	}
	for range 40 {
		ask("\x02hello", 50*time.Millisecond)
	}
	ask("\x01poll", time.Minute)
	i := info()
	if between := func(d time.Duration) bool { return d > 43*time.Millisecond && d < 57*time.Millisecond }; !between(i.Latency.P50) || !between(i.Latency.P99) {
		t.Errorf("%+v", i.Latency)
	}
	l.shared.now += int64(time.Minute)
	info()
	if r := info().Rates; r.Requests > 0.02 || i.Requests != 42 {
		t.Errorf("after a minute: %+v", r)
	}
	for range 20 {
		ask("\x02hello", 100*time.Millisecond)
	}
	if r := info().Rates; r.Requests < 8 || r.Requests > 12 || r.BytesIn < 80 || r.BytesIn > 120 {
		t.Errorf("ten a second: %+v", r)
	}
}

// TestTheNextConnectionOfASlotBeginsAnew.
func TestTheNextConnectionOfASlotBeginsAnew(t *testing.T) {
	c := &Conn{shared: &Shared{now: 1}, at: moments{opened: 1, window: 1 + ratesOver}}
	c.shared.now += int64(time.Hour)
	c.noteLatency(1000, 10)
	c.pipeline.cut, c.in.bytes = 7, 8
	c.keepPace()
	recent := c.out.recent
	if c.vacate(); c.pace != (pace{}) || c.out.recent != recent || !recent.Empty() {
		t.Errorf("%+v, %+v", c.pace, c.out)
	}
}

// BenchmarkPace is what it costs a connection per pass.
func BenchmarkPace(b *testing.B) {
	c := &Conn{shared: &Shared{now: 1}, at: moments{opened: 1, window: 1 + ratesOver}}
	for b.Loop() {
		c.shared.now += 10_000
		c.keepPace() // received
		c.keepPace() // sent
	}
}
