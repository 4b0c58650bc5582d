package acceptor

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"kring/engine"
)

// period is a multiple of the 11 seconds after which a burst may come again.
const period = 33

// within reports whether a rate is within a tenth of what it should be.
func within(got, want float64) bool { return got > 0.9*want && got < 1.1*want }

// Kafka: CQ-07, CQ-09, CQ-11.
func TestNobodyWaitsBelowTheRates(t *testing.T) {
	d := newRig(t, Limits{
		Server: Bounds{RateMax: 125}, Listeners: map[string]Bounds{"A": {RateMax: 45}, "B": {RateMax: 45}},
		PerIP: Bounds{RateMax: 45},
	}, "A", "B", "C")
	const seconds = 30
	served := d.storm(seconds, 40, map[string]string{"A": alice, "B": bob, "C": "192.0.2.3"})
	for ip, n := range served {
		if n != seconds*40 {
			t.Errorf("%s: %d of %d were served", ip, n, seconds*40)
		}
	}
	for _, s := range d.admission.Stats() {
		if s.Blocked != 0 || s.Delayed != 0 || s.Throttled != 0 || s.RefusedTotal() != 0 {
			t.Errorf("%+v", s)
		}
	}
}

// Kafka: CQ-08.
func TestTheServersRateHoldsBackAllButTheProtectedListener(t *testing.T) {
	d := newRig(t, Limits{Server: Bounds{RateMax: 60}, Protected: "BROKERS"}, "A", "B", "BROKERS")
	from := map[string]string{"A": alice, "B": bob, "BROKERS": "192.0.2.3"}
	d.storm(period, 50, from) // uses up the burst
	const seconds = period
	served := d.storm(seconds, 50, from)
	if n := served["192.0.2.3"]; n != seconds*50 {
		t.Errorf("brokers: %d of %d were served", n, seconds*50)
	}
	if got := float64(served[alice]+served[bob]) / seconds; !within(got, 60) {
		t.Errorf("%v a second were served of the others, want 60", got)
	}
	if a, brokers := d.stats("A"), d.stats("BROKERS"); a.Delayed == 0 || a.DelayTime == 0 || a.Blocked == 0 || brokers.Blocked != 0 || brokers.Delayed != 0 {
		t.Errorf("%+v\n%+v", a, brokers)
	}
}

// Kafka: CQ-10.
func TestAListenersRateHoldsBackEvenTheProtectedOne(t *testing.T) {
	d := newRig(t, Limits{
		Listeners: map[string]Bounds{"A": {RateMax: 30}, "BROKERS": {RateMax: 30}}, Protected: "BROKERS",
	}, "A", "B", "BROKERS")
	from := map[string]string{"A": alice, "B": bob, "BROKERS": "192.0.2.3"}
	d.storm(period, 50, from)
	const seconds = period
	served := d.storm(seconds, 50, from)
	for ip, want := range map[string]float64{alice: 30, "192.0.2.3": 30, bob: 50} {
		if got := float64(served[ip]) / seconds; !within(got, want) {
			t.Errorf("%s: %v a second were served, want %v", ip, got, want)
		}
	}
	if s := d.stats("BROKERS"); s.Delayed == 0 || s.DelayTime == 0 {
		t.Errorf("%+v", s)
	}
}

// Kafka: CQ-08.
func TestAWaitForARateIsAtMostOneWindow(t *testing.T) {
	d := newRig(t, Limits{Server: Bounds{RateMax: 0.01}}, "A")
	for range 5 { // the rate alone would make it many seconds each
		fd := d.connect("A", alice)
		d.advanceClock(time.Second - 1)
		d.mustBe(fd, "kept")
		d.advanceClock(1)
		d.mustBe(fd, "served")
	}
}

// Kafka: CQ-12, CQ-18, SS-23, Q-1.
func TestAnAddressOverItsRateIsParkedAndClosedAndHoldsBackNobody(t *testing.T) {
	const carol = "192.0.2.3"
	d := newRig(t, Limits{
		PerIP: Bounds{RateMax: 20}, ThrottledConnsMax: 1000,
		Overrides: []Override{{netip.MustParsePrefix(carol + "/32"), Bounds{RateMax: 40}}},
	}, "A", "B", "C")
	from := map[string]string{"A": alice, "B": bob, "C": carol}
	d.storm(period, 50, from)
	const seconds = period
	served := d.storm(seconds, 50, from)
	for ip, want := range map[string]float64{alice: 20, bob: 20, carol: 40} {
		if got := float64(served[ip]) / seconds; !within(got, want) {
			t.Errorf("%s: %v a second were served, want %v", ip, got, want)
		}
	}
	for _, s := range d.admission.Stats() {
		if s.Blocked != 0 || s.Throttled == 0 || s.ThrottledTime == 0 {
			t.Errorf("%+v", s)
		}
		if s.Refused[AddressRate]+uint64(s.ThrottledNow) != s.Throttled {
			t.Errorf("%d closed and %d kept of %d throttled", s.Refused[AddressRate], s.ThrottledNow, s.Throttled)
		}
	}
}

// Kafka: Q-1, F-33.
func TestParkedConnectionsCloseInOrderOfTheirTimeThoughNewOnesCome(t *testing.T) {
	d := newRig(t, Limits{ThrottledConnsMax: 100, Overrides: []Override{
		{netip.MustParsePrefix(alice + "/32"), Bounds{RateMax: 0.1}}, // waits for a whole window
		{netip.MustParsePrefix(bob + "/32"), Bounds{RateMax: 2}},     // for half a second
	}}, "A")
	d.connectServed("A", alice)
	for range 20 {
		d.connectServed("A", bob)
	}
	long, short := d.connect("A", alice), d.connect("A", bob)
	for range 5 { // new connections, to be closed later
		d.advanceClock(time.Second / 10)
		d.mustBe(long, "kept")
		d.connect("A", alice)
	}
	d.mustBe(short, "closed")
	d.advanceClock(time.Second / 2)
	d.mustBe(long, "closed")
	if n := d.stats("A").ThrottledNow; n != 5 {
		t.Errorf("%d are throttled, want the 5 that came last", n)
	}
	d.advanceClock(time.Second)
	if n := d.stats("A").ThrottledNow; n != 0 {
		t.Errorf("%d are throttled after their time", n)
	}
}

// Kafka: Q-1, SS-24.
func TestParkedConnectionsAreBoundedAndCloseWithTheListener(t *testing.T) {
	d := newRig(t, Limits{PerIP: Bounds{RateMax: 0.1}, ThrottledConnsMax: 3}, "A", "B")
	d.connectServed("A", alice)
	var throttled []engine.FD
	for i := range 3 {
		throttled = append(throttled, d.connect([]string{"A", "B"}[i%2], alice))
	}
	d.mustBe(d.connect("B", alice), "closed") // the bound is the server's
	for _, fd := range throttled {
		d.mustBe(fd, "kept")
	}
	d.queues["A"].Close()
	d.mustBe(throttled[0], "closed")
	d.mustBe(throttled[1], "kept")
	d.mustBe(d.connect("B", alice), "kept") // there is room again
}

// Kafka: CQ-13.
func TestWhoWaitsForTheListenerIsNotOverTheRateOfTheAddress(t *testing.T) {
	d := newRig(t, Limits{
		Listeners: map[string]Bounds{"A": {RateMax: 25}}, PerIP: Bounds{RateMax: 30}, ThrottledConnsMax: 100,
	}, "A")
	d.storm(60, 50, map[string]string{"A": alice})
	if s := d.stats("A"); s.Throttled != 0 || s.Delayed == 0 {
		t.Errorf("%+v", s)
	}
}

// Kafka: CQ-14.
func TestWhoIsParkedCountsInNoRate(t *testing.T) {
	d := newRig(t, Limits{PerIP: Bounds{RateMax: 1}, Server: Bounds{RateMax: 1000}, ThrottledConnsMax: 100, Protected: "BROKERS"}, "A", "BROKERS")
	for range 10 {
		d.connectServed("A", alice)
	}
	d.advanceClock(time.Minute)
	before := d.admission.AcceptRate()
	for range 10 {
		d.connectServed("A", alice)
	}
	rate := d.stats("A").AcceptRate
	for range 50 {
		d.mustBe(d.connect("A", alice), "kept")
		d.mustBe(d.connect("BROKERS", alice), "kept")
	}
	if before != 0 || d.admission.AcceptRate() != rate || d.stats("A").AcceptRate != rate || d.stats("BROKERS").AcceptRate != 0 {
		t.Errorf("server %v, listener %v, protected listener %v a second: want %v, %v, 0",
			d.admission.AcceptRate(), d.stats("A").AcceptRate, d.stats("BROKERS").AcceptRate, rate, rate)
	}
	d.advanceClock(11 * time.Second)
	d.connectServed("A", alice) // nor in the address's own
}

// Kafka: CQ-16, CQ-17, CQ-19, DynamicConnectionQuotaTest.
func TestChangedRatesHoldAtOnce(t *testing.T) {
	d := newRig(t, Limits{
		Server: Bounds{RateMax: 1}, Listeners: map[string]Bounds{"A": {RateMax: 1}}, PerIP: Bounds{RateMax: 1000}, ThrottledConnsMax: 100,
	}, "A")
	for range 10 {
		d.connectServed("A", alice)
	}
	waits := d.connect("A", alice)
	d.mustBe(waits, "kept")
	d.set(Limits{PerIP: Bounds{RateMax: 1000}})
	d.proceed()
	d.mustBe(waits, "served")
	for range 1000 {
		d.connectServed("A", alice)
	}
	d.set(Limits{PerIP: Bounds{RateMax: 1}, ThrottledConnsMax: 100})
	d.mustBe(d.connect("A", alice), "kept")
	d.set(Limits{})
	d.connectServed("A", alice)
	for _, l := range []Limits{{Server: Bounds{RateMax: 10}}, {Listeners: map[string]Bounds{"A": {RateMax: 10}}}} {
		d.set(l)
		d.storm(period, 50, map[string]string{"A": alice})
		if got := float64(d.storm(period, 50, map[string]string{"A": alice})[alice]) / period; !within(got, 10) {
			t.Errorf("%v a second were served, want 10", got)
		}
	}
}

// Kafka: CQ-18, CQ-19.
func TestAnOverrideOutlivesTheDefaultsChange(t *testing.T) {
	own := []Override{{netip.MustParsePrefix(alice + "/32"), Bounds{RateMax: 1}}}
	d := newRig(t, Limits{PerIP: Bounds{RateMax: 100}, Overrides: own, ThrottledConnsMax: 100}, "A")
	for range 10 {
		d.connectServed("A", alice)
	}
	for _, l := range []Limits{
		{PerIP: Bounds{RateMax: 50}, Overrides: own, ThrottledConnsMax: 100}, {Overrides: own, ThrottledConnsMax: 100},
	} {
		d.set(l)
		d.mustBe(d.connect("A", alice), "kept")
		d.connectServed("A", bob)
	}
	d.set(Limits{PerIP: Bounds{RateMax: 100}, ThrottledConnsMax: 100})
	d.connectServed("A", alice) // without an override the default holds
}

// Kafka: CQ-20.
func TestCountAndRateHoldTogether(t *testing.T) {
	d := newRig(t, Limits{Listeners: map[string]Bounds{"A": {ConnsMax: 60, RateMax: 5}}}, "A")
	var in []engine.FD
	for range 60 {
		fd := d.connect("A", alice)
		d.advanceClock(time.Second)
		d.mustBe(fd, "served")
		in = append(in, fd)
	}
	if s := d.stats("A"); s.Delayed != 0 {
		t.Errorf("one a second waited for a rate of 5")
	}
	waits := d.connect("A", alice)
	d.advanceClock(time.Minute)
	d.mustBe(waits, "kept")
	d.disconnect(in[0])
	d.mustBe(waits, "served")
}

// Kafka: Q-17.
func TestShardsAreManyAndEachAddressHasOne(t *testing.T) {
	all := newAddresses(newRig(t, Limits{}, "A").admission.windows)
	used := map[*addressShard]int{}
	for i := range 10_000 {
		ip := netip.MustParseAddr(fmt.Sprintf("10.0.%d.%d", i>>8, i&0xff))
		if first, again := all.shard(ip), all.shard(ip); first != again {
			t.Fatal("an address has two shards")
		}
		used[all.shard(ip)]++
	}
	for _, n := range used {
		if n > 10_000/addressShards*2 {
			t.Errorf("a shard has %d addresses of 10000: a lock for too many", n)
		}
	}
}
