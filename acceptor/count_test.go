package acceptor

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"kring/engine"
	"kring/internal/rate"
)

const (
	alice = "192.0.2.1"
	bob   = "192.0.2.2"
)

// Kafka: CQ-01.
func TestConnectionsEnterByAGateOfTheirOwnListenerOnly(t *testing.T) {
	d := newRig(t, Limits{}, "A")
	if _, err := d.admission.OpenListener("A"); err == nil {
		t.Error("two listeners share a name, and so their limits")
	}
	d.connectServed("A", alice)
	d.queues["A"].Close()
	d.queues["A"].quota.Close()
	again, err := d.admission.OpenListener("A")
	if err != nil {
		t.Fatal(err)
	}
	if n := again.Open(); n != 1 {
		t.Errorf("a listener that came back counts %d connections, want the one that is still there", n)
	}
}

// Kafka: CQ-02.
func TestAPlaceIsGivenBackOnce(t *testing.T) {
	d := newRig(t, Limits{Server: Bounds{ConnsMax: 2}}, "A")
	first, _ := d.connectServed("A", alice), d.connectServed("A", bob)
	p := d.served[first]
	d.disconnect(first)
	p.Release()
	if n := d.admission.Open(); n != 1 {
		t.Errorf("%d connections are counted, want 1: a slot was given back twice", n)
	}
}

// TestAConnectionThatDrainsIsNotCountedForItsClient, whose address comes behind its slot's end:
// nobody would take it off again.
func TestAConnectionThatDrainsIsNotCountedForItsClient(t *testing.T) {
	d := newRig(t, Limits{}, "A")
	p := d.served[d.connectServed("A", alice)]
	p.Release()
	if v, hold := p.(engine.Identifier).Identify(netip.MustParseAddr(bob)); v != engine.WithinBounds || hold != 0 {
		t.Errorf("it is judged: %v, %v", v, hold)
	}
	if n := d.admission.addresses.count(); n != 0 {
		t.Errorf("%d addresses are remembered", n)
	}
}

// Kafka: CQ-03.
func TestNothingIsLimitedByDefault(t *testing.T) {
	d := newRig(t, Limits{}, "A", "B", "C")
	for i := range 10_000 {
		for _, name := range []string{"A", "B", "C"} {
			d.connect(name, fmt.Sprintf("10.0.%d.%d", i>>8&0xff, i&0xff))
		}
	}
	for _, s := range d.admission.Stats() {
		if s.Open != 10_000 || s.AcceptRate != 1000 || s.Blocked != 0 || s.RefusedTotal() != 0 {
			t.Errorf("%+v", s)
		}
	}
	if got := d.admission.AcceptRate(); got != 3000 {
		t.Errorf("%v a second were let in, want 3000", got)
	}
	for fd := range d.served {
		d.disconnect(fd)
	}
	if n := d.admission.addresses.count(); n != 0 {
		t.Errorf("%d addresses are remembered", n)
	}
}

// Kafka: CQ-04, Q-4.
func TestAnAddressOverItsCountIsClosedAndNobodyElse(t *testing.T) {
	d := newRig(t, Limits{PerIP: Bounds{ConnsMax: 2}}, "A", "B")
	first, _ := d.connectServed("A", alice), d.connectServed("B", alice)
	d.mustBe(d.connect("A", alice), "closed")
	d.mustBe(d.connect("B", "::ffff:"+alice), "closed") // the same address, written as IPv6
	d.connectServed("A", bob)
	d.disconnect(first)
	d.connectServed("B", alice)
	if s := d.stats("A"); s.Refused[AddressFull] != 1 || s.Accepted != 3 || s.Blocked != 0 {
		t.Errorf("%+v", s)
	}
}

// Kafka: SS-20, SS-21, conn_quota_test.
func TestOverridesAreForTheirAddressesAndTheLongestPrefixWins(t *testing.T) {
	override := func(prefix string, most int64) Override {
		return Override{netip.MustParsePrefix(prefix), Bounds{ConnsMax: most}}
	}
	d := newRig(t, Limits{PerIP: Bounds{ConnsMax: NoConns}, Overrides: []Override{
		override("10.0.0.0/8", 1), override("10.1.0.0/16", 2), override("10.1.1.1/32", NoConns),
		override("2001:db8::/32", 1), override("::ffff:10.2.0.0/112", 3),
	}}, "A")
	for ip, most := range map[string]int{
		"10.9.9.9": 1, "10.1.9.9": 2, "10.1.1.1": 0, alice: 0, "2001:db8::7": 1, "2001:db9::7": 0, "10.2.3.4": 3,
		"::ffff:10.9.9.8": 1,
	} {
		for i := range 4 {
			want := "served"
			if i >= most {
				want = "closed"
			}
			if got := d.state(d.connect("A", ip)); got != want {
				t.Errorf("connection %d of %s is %s, want %s", i+1, ip, got, want)
			}
		}
	}
}

// Kafka: CQ-05.
func TestTheServersBoundHoldsBackAllButTheProtectedListener(t *testing.T) {
	d := newRig(t, Limits{Server: Bounds{ConnsMax: 3}, Protected: "BROKERS"}, "A", "B", "BROKERS")
	var in []engine.FD
	for range 3 { // one listener may take all
		in = append(in, d.connectServed("A", alice))
	}
	if d.admission.Excess() != 0 {
		t.Error("at the bound is not over it")
	}
	waits := d.connect("B", bob)
	d.mustBe(waits, "kept")
	if !d.queues["B"].Blocked() || d.queues["A"].Blocked() {
		t.Error("the listener whose client waits goes on accepting, or another does not")
	}
	broker := d.connectServed("BROKERS", bob)
	if d.admission.Excess() != 1 || d.evictions != 1 {
		t.Errorf("excess %d, %d asked to go", d.admission.Excess(), d.evictions)
	}
	d.disconnect(in[0]) // a slot of the protected listener: still none for others
	d.mustBe(waits, "kept")
	d.disconnect(broker)
	d.mustBe(waits, "served")
	if d.queues["B"].Blocked() || d.evictions != 1 {
		t.Error("the listener stayed blocked, or somebody else was asked to go")
	}
}

// Kafka: CQ-05.
func TestAListenerAloneIsNotProtected(t *testing.T) {
	d := newRig(t, Limits{Server: Bounds{ConnsMax: 1}, Protected: "BROKERS"}, "BROKERS")
	d.connectServed("BROKERS", alice)
	d.mustBe(d.connect("BROKERS", alice), "kept")
}

// Kafka: CQ-06.
func TestAListenersBoundHoldsBackEvenTheProtectedOne(t *testing.T) {
	d := newRig(t, Limits{
		Protected: "BROKERS", Listeners: map[string]Bounds{"BROKERS": {ConnsMax: 2}, "A": {ConnsMax: 1}},
	}, "A", "B", "BROKERS")
	for name, most := range map[string]int{"BROKERS": 2, "A": 1} {
		var in []engine.FD
		for range most {
			in = append(in, d.connectServed(name, alice))
		}
		waits := d.connect(name, alice)
		d.mustBe(waits, "kept")
		for range 5 {
			d.disconnect(d.connectServed("B", bob)) // slots of another listener don't help
		}
		d.mustBe(waits, "kept")
		d.disconnect(in[0])
		d.mustBe(waits, "served")
	}
}

// Kafka: SS-56.
func TestBlockedTimeIsCountedWhileSomebodyWaits(t *testing.T) {
	d := newRig(t, Limits{Listeners: map[string]Bounds{"A": {ConnsMax: 1}}}, "A")
	in := d.connectServed("A", alice)
	d.advanceClock(time.Second)
	d.connect("A", alice)
	d.advanceClock(3 * time.Second)
	if s := d.stats("A"); s.Blocked != 3*time.Second || s.WaitingNow != 1 {
		t.Errorf("blocked for %v with %d waiting, want 3s and 1", s.Blocked, s.WaitingNow)
	}
	d.disconnect(in)
	d.advanceClock(time.Second)
	if s := d.stats("A"); s.Blocked != 3*time.Second || s.WaitingNow != 0 {
		t.Errorf("blocked for %v with %d waiting, want 3s and 0", s.Blocked, s.WaitingNow)
	}
	d.connect("A", alice)
	d.advanceClock(time.Second)
	d.queues["A"].Close()
	if s := d.stats("A"); s.Blocked != 4*time.Second || s.Refused[Closing] != 1 {
		t.Errorf("blocked for %v, %d closed with the listener", s.Blocked, s.Refused[Closing])
	}
}

// Kafka: SS-06, F-05.
func TestAConnectionThatNoProcessorHasRoomForWaits(t *testing.T) {
	d := newRig(t, Limits{Server: Bounds{ConnsMax: 2}}, "A", "B")
	d.processorsTake = false
	first, other := d.connect("A", alice), d.connect("B", bob)
	d.advanceClock(time.Second)
	d.mustBe(first, "kept")
	if s := d.stats("A"); s.Blocked != time.Second || s.WaitingNow != 1 || s.Open != 1 {
		t.Errorf("%+v", s)
	}
	d.processorsTake = true
	d.advanceClock(assignPause)
	d.mustBe(first, "served")
	d.mustBe(other, "served")
	d.processorsTake = false
	d.disconnect(first)
	d.connect("A", alice) // is closed with the queue
	d.queues["A"].Close()
	d.set(Limits{Refuse: true})
	d.mustBe(d.connect("B", alice), "closed")
	if s := d.stats("B"); s.Refused[Unassigned] != 1 || s.Open != 1 {
		t.Errorf("%+v", s)
	}
}

func TestTheLineIsBoundedAndKeepsItsOrder(t *testing.T) {
	d := newRig(t, Limits{Server: Bounds{ConnsMax: 1}}, "A")
	in := d.connectServed("A", alice)
	var waiting []engine.FD
	for range 8 {
		waiting = append(waiting, d.connect("A", alice))
	}
	d.mustBe(d.connect("A", bob), "closed")
	if s := d.stats("A"); s.Refused[TooManyWaiting] != 1 || s.WaitingNow != 8 {
		t.Errorf("%+v", s)
	}
	for _, next := range waiting {
		d.mustBe(next, "kept")
		d.disconnect(in)
		d.mustBe(next, "served")
		in = next
	}
}

func TestWhoeverIsRefusedDoesNotWait(t *testing.T) {
	d := newRig(t, Limits{
		Server: Bounds{ConnsMax: 2}, Refuse: true, Listeners: map[string]Bounds{"B": {RateMax: 0.1}},
	}, "A", "B")
	in := d.connectServed("B", alice)
	d.mustBe(d.connect("B", alice), "closed")
	d.connectServed("A", alice)
	d.mustBe(d.connect("A", alice), "closed")
	d.disconnect(in)
	d.connectServed("A", alice)
	if a, b := d.stats("A"), d.stats("B"); a.Refused[Full] != 1 || b.Refused[RateExceeded] != 1 || a.Blocked+b.Blocked != 0 {
		t.Errorf("%+v\n%+v", a, b)
	}
}

// Kafka: Q-4, SS-22.
func TestCountsReturnOnEveryWayOut(t *testing.T) {
	d := newRig(t, Limits{Server: Bounds{ConnsMax: 1}, PerIP: Bounds{ConnsMax: 2, RateMax: 1}, ThrottledConnsMax: 1}, "A", "B")
	d.nextFD++ // gone before it is handled
	d.queues["A"].Accepted(d.nextFD)
	d.connectServed("A", alice)
	for i := range 30 { // some wait, some are over the count, some are throttled, some are over ThrottledConnsMax
		d.connect([]string{"A", "B"}[i%2], []string{alice, bob}[i/2%2])
	}
	d.queues["A"].Refuse(d.nextFD+1, NoDescriptor)
	d.queues["B"].Close() // with some that wait and some that are throttled
	delete(d.queues, "B")
	all := ListenerStats{}
	for _, s := range d.admission.Stats() {
		for i, n := range s.Refused {
			all.Refused[i] += n
		}
	}
	for _, why := range []Refusal{AddressFull, AddressRate, NoDescriptor, Gone, Closing} {
		if all.Refused[why] == 0 {
			t.Errorf("nobody was refused for %v: the test does not go that way", why)
		}
	}
}

// Kafka: DynamicConnectionQuotaTest, conn_quota_test.
func TestChangedBoundsHoldAtOnce(t *testing.T) {
	d := newRig(t, Limits{Server: Bounds{ConnsMax: 1}}, "A", "B")
	first := d.connectServed("A", alice)
	a, b := d.connect("A", alice), d.connect("B", bob)
	woken := 0
	for _, l := range d.queues {
		l.cfg.Wake = func() { woken++ }
	}
	d.set(Limits{Server: Bounds{ConnsMax: 3}, PerIP: Bounds{ConnsMax: 1}})
	if woken != 2 {
		t.Errorf("%d queues were woken, want 2", woken)
	}
	d.proceed()
	d.mustBe(a, "served") // a queued connection has passed the old per-IP bound already
	d.mustBe(b, "served")
	d.mustBe(d.connect("B", bob), "closed")
	d.set(Limits{Server: Bounds{ConnsMax: 1}}) // fewer than are open: none is closed
	waits := d.connect("B", bob)
	d.disconnect(first)
	d.disconnect(a)
	d.mustBe(waits, "kept")
	d.disconnect(b)
	d.mustBe(waits, "served")
}

func (d *rig) set(l Limits) {
	d.t.Helper()
	if err := d.admission.Set(l); err != nil {
		d.t.Fatal(err)
	}
}

// Kafka: CQ-15, conn_quota_test.
func TestWrongLimitsAreNamedAllAtOnceAndChangeNothing(t *testing.T) {
	d := newRig(t, Limits{Server: Bounds{ConnsMax: 7}}, "A")
	err := d.admission.Set(Limits{
		Server: Bounds{ConnsMax: -1, RateMax: -2}, Listeners: map[string]Bounds{"A": {ConnsMax: -3, RateMax: -4}},
		PerIP: Bounds{ConnsMax: NoConns, RateMax: -5}, ThrottledConnsMax: -6,
	})
	for _, what := range []string{"Server.ConnsMax is -1", "Server.RateMax is -2", "Listeners[A].ConnsMax is -3",
		"Listeners[A].RateMax is -4", "PerIP.RateMax is -5", "ThrottledConnsMax is -6", "PerIP.ConnsMax lets in nobody"} {
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%q is not named in: %v", what, err)
		}
	}
	if err := d.admission.Set(Limits{Overrides: []Override{{Bounds: Bounds{ConnsMax: -7}}}}); err == nil {
		t.Error("a prefix that is none was taken")
	}
	if got := d.admission.Limits().Server.ConnsMax; got != 7 {
		t.Errorf("the bound is %d, want the one before", got)
	}
}

// Kafka: F-35.
func TestAStormOfNewAddressesIsForgotten(t *testing.T) {
	all := newAddresses(rate.Windows{})
	all.max = 32
	bounds := Bounds{RateMax: 100}
	visit := func(i int, now int64) {
		ip := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		all.addConn(ip, bounds, now)
		all.removeConn(ip, now)
	}
	const storm = addressShards * 32 * 4
	for i := range storm {
		visit(i, 0)
	}
	if n := all.count(); n > addressShards*33 || n < storm/8 {
		t.Errorf("%d addresses are remembered of %d", n, storm)
	}
	for i := range 4 * storm { // each checks a few of the earlier ones
		visit(i%200, int64(12*time.Second))
	}
	if n := all.count(); n > 1000 {
		t.Errorf("%d addresses are remembered after all windows, of 200 that came", n)
	}
}

func BenchmarkEnterAndLeave(b *testing.B) {
	all := newAddresses(rate.Windows{})
	bounds := Bounds{ConnsMax: 100, RateMax: 1e9}
	b.RunParallel(func(p *testing.PB) {
		for i := 0; p.Next(); i++ {
			ip := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
			all.addConn(ip, bounds, int64(i))
			all.removeConn(ip, int64(i))
		}
	})
}

// A locked shard stands for everything that could delay another goroutine.
//
// Kafka: Q-17.
func TestNobodyWaitsForTheCountsOfAnotherAddress(t *testing.T) {
	d := newRig(t, Limits{PerIP: Bounds{ConnsMax: 10}, Server: Bounds{ConnsMax: 10}}, "A")
	all := d.admission.addresses
	mine, theirs := netip.MustParseAddr(alice), netip.Addr{}
	for i := byte(1); !theirs.IsValid(); i++ {
		if ip := netip.AddrFrom4([4]byte{10, 0, 0, i}); all.shard(ip) != all.shard(mine) {
			theirs = ip
		}
	}
	held := all.shard(mine)
	held.mu.Lock()
	d.disconnect(d.connectServed("A", theirs.String())) // would hang
	held.mu.Unlock()
}

// Kafka: Q-13.
func TestDefaultsLeaveDescriptorsForWhatIsNoConnection(t *testing.T) {
	n := descriptorLimit()
	if n == 0 { // no limit here
		if ConnsMaxDefault() != 0 || ThrottledConnsMaxDefault() != throttledConnsMax {
			t.Errorf("without a limit: %d connections, %d throttled", ConnsMaxDefault(), ThrottledConnsMaxDefault())
		}
		return
	}
	conns, throttled := ConnsMaxDefault(), ThrottledConnsMaxDefault()
	if conns < n/2 || conns >= n || throttled < 1 || throttled > (n-conns)/2 {
		t.Errorf("of %d descriptors: %d connections, %d throttled", n, conns, throttled)
	}
}
