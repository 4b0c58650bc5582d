package load

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestEachRequestOfTheTimetableIsOnOneConnectionAtOneTime: who works off the
// timetable and who looks up when a connection's request was due agree.
func TestEachRequestOfTheTimetableIsOnOneConnectionAtOneTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := Config{Conns: rapid.IntRange(1, 5).Draw(t, "conns"), Depth: rapid.IntRange(1, 4).Draw(t, "together"), Rate: 1e6}.withDefaults()
		x := newCore(&cfg, single(frameTemplate(128)), new(window))
		for i := range cfg.Conns {
			x.newConn(i)
		}
		x.begin(1000, 0)
		stood := rapid.IntRange(0, 40).Draw(t, "stood")
		last := int64(0)
		for k := range uint64(100) {
			if int(k) == stood {
				x.plan.stand(500)
			}
			at := x.plan.due(k)
			if at < last || k%x.plan.together != 0 && at != last && int(k) != stood {
				t.Fatalf("request %d is due at %d, the one before at %d", k, at, last)
			}
			last = at
			x.demandDue(at, func(c *conn) {
				if got := x.dueOf(c, c.due-1); got != at {
					t.Fatalf("request %d of connection %d is due at %d, and was at %d", c.due-1, c.id, got, at)
				}
			})
			if x.plan.next <= k {
				t.Fatalf("request %d was not made due at %d", k, at)
			}
		}
		if want := int64(1000) + int64(99/cfg.Depth*cfg.Depth)*1000 + 500; last != want {
			t.Fatalf("request 99 is due at %d, want %d", last, want)
		}
	})
}

// TestNothingIsDueWhileTheGeneratorStandsStill: what was to leave while a caller
// looks at its counters leaves after it, in its order, not all at once.
func TestNothingIsDueWhileTheGeneratorStandsStill(t *testing.T) {
	cfg := Config{Conns: 3, Rate: 1e6}.withDefaults()
	x := newCore(&cfg, single(frameTemplate(128)), new(window))
	for i := range cfg.Conns {
		x.newConn(i)
	}
	x.begin(0, 0)
	x.demandDue(5_000, func(*conn) {})
	x.plan.stand(1_000_000)
	x.demandDue(1_005_000, func(*conn) {})
	if x.inFlight != 6 {
		t.Errorf("%d requests were due at 5 µs and 1 ms later, want the 6 of the first", x.inFlight)
	}
	x.demandDue(1_006_000, func(*conn) {})
	if x.inFlight != 7 {
		t.Errorf("%d requests are due 1 µs after that, want 7", x.inFlight)
	}
}

// TestLatenciesAreToldApartByWhenTheyWereDue, whenever the answer came.
func TestLatenciesAreToldApartByWhenTheyWereDue(t *testing.T) {
	r := newRecord(true)
	r.slice(10*time.Microsecond, 25*time.Microsecond)
	r.span = span{start: 1000, end: 26_000}
	for _, of := range []struct{ due, now int64 }{{999, 2000}, {1000, 1100}, {10_999, 30_000}, {11_000, 12_000}, {25_999, 26_001}} {
		r.answer(of.due, of.due, of.now, 1)
	}
	var got []int64
	for _, s := range r.slices {
		got = append(got, s.TotalCount(), s.Max()/1000)
	}
	if want := []int64{2, 19, 1, 1, 1, 0}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
