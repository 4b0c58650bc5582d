package quota

import (
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// clock is a clock that the test moves.
type clock struct{ now atomic.Int64 }

func (c *clock) pass(d time.Duration) { c.now.Add(int64(d)) }

func newQuotas(t *testing.T, cfg Config) (*Quotas, *clock) {
	t.Helper()
	c := &clock{}
	cfg.Now = c.now.Load
	q, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return q, c
}

func of(q *Quotas, user, client string) *Subject {
	return q.For(user, []byte(client), netip.MustParseAddr("192.0.2.1"))
}

// limitOf returns the limit of s for k, 0 if there is none.
func limitOf(s *Subject, k Kind) float64 {
	if s == nil {
		return 0
	}
	return s.bounds[k][0].limit
}

func TestTheFirstLimitInKafkasOrderApplies(t *testing.T) {
	order := []Entity{
		{User: "u", ClientID: "c"}, {User: "u", ClientID: Default}, {User: "u"},
		{User: Default, ClientID: "c"}, {User: Default, ClientID: Default}, {User: Default},
		{ClientID: "c"}, {ClientID: Default},
	}
	q, _ := newQuotas(t, Config{})
	for set := range 1 << len(order) {
		var limits []Limit
		want := 0.0
		for i, e := range order {
			if set>>i&1 == 1 {
				limits = append(limits, Limit{e, BytesIn, float64(1 + i)})
				if want == 0 {
					want = float64(1 + i)
				}
			}
		}
		if err := q.Set(limits); err != nil {
			t.Fatal(err)
		}
		if got := limitOf(of(q, "u", "c"), BytesIn); got != want {
			t.Fatalf("limits %v: %v applies", limits, got)
		}
	}
}

func TestNoNameIsNobodysOwn(t *testing.T) {
	q, _ := newQuotas(t, Config{Limits: []Limit{
		{Entity{User: "u"}, BytesIn, 1}, {Entity{User: "u", ClientID: Default}, BytesIn, 2}, {Entity{IP: Default}, BytesOut, 3},
	}})
	if got := limitOf(of(q, "u", ""), BytesIn); got != 2 {
		t.Errorf("without a client id the limit is %v, want that of the user's default client", got)
	}
	if s := q.For("other", nil, netip.Addr{}); s != nil {
		t.Error("who has no name and no address has a limit")
	}
}

func TestWhoSharesALimitSharesItsMeter(t *testing.T) {
	for _, c := range []struct {
		limit  Entity
		a, b   [2]string // user, client id
		shared bool
	}{
		{Entity{User: "u"}, [2]string{"u", "a"}, [2]string{"u", "b"}, true},
		{Entity{User: Default}, [2]string{"u", "a"}, [2]string{"u", "b"}, true},
		{Entity{User: Default}, [2]string{"u", "a"}, [2]string{"v", "a"}, false},
		{Entity{ClientID: "a"}, [2]string{"u", "a"}, [2]string{"v", "a"}, true},
		{Entity{ClientID: Default}, [2]string{"u", "a"}, [2]string{"v", "a"}, true},
		{Entity{ClientID: Default}, [2]string{"u", "a"}, [2]string{"u", "b"}, false},
		{Entity{User: "u", ClientID: Default}, [2]string{"u", "a"}, [2]string{"u", "b"}, false},
		{Entity{User: Default, ClientID: Default}, [2]string{"u", "a"}, [2]string{"v", "a"}, false},
		{Entity{IP: Default}, [2]string{"u", "a"}, [2]string{"v", "b"}, true},
	} {
		q, _ := newQuotas(t, Config{Limits: []Limit{{c.limit, Requests, 1}}})
		of(q, c.a[0], c.a[1]).Record(Requests, 1000)
		if got := of(q, c.b[0], c.b[1]).Throttle(Requests) > 0; got != c.shared {
			t.Errorf("limit for %v: %v and %v share a meter: %v", c.limit, c.a, c.b, got)
		}
	}
}

// Kafka: QuotaUtilsTest, F-39.
func TestWhoIsOverItsLimitWaitsUntilItIsNot(t *testing.T) {
	q, c := newQuotas(t, Config{Limits: []Limit{{Entity{ClientID: Default}, BytesIn, 1000}}})
	s := of(q, "u", "c")
	if wait := s.Record(BytesIn, 10_000); wait != 0 {
		t.Errorf("at the limit over ten seconds: %v", wait)
	}
	wait := s.Record(BytesIn, 500)
	if wait != 500*time.Millisecond {
		t.Errorf("500 bytes over 1000 a second wait %v", wait)
	}
	c.pass(wait)
	if wait = s.Throttle(BytesIn); wait != 0 {
		t.Errorf("after the wait: %v", wait)
	}
}

// Kafka: QuotaUtilsTest.
func TestAWaitIsBounded(t *testing.T) {
	q, _ := newQuotas(t, Config{BytesThrottleMax: time.Minute, Limits: []Limit{
		{Entity{ClientID: Default}, BytesOut, 1}, {Entity{ClientID: Default}, Requests, 0.1}, {Entity{ClientID: Default}, HandlerTime, 1},
	}})
	s := of(q, "u", "c")
	for k, want := range map[Kind]time.Duration{BytesOut: time.Minute, Requests: time.Second, HandlerTime: time.Second} {
		if got := s.Record(k, 1<<38); got != want {
			t.Errorf("%v: %v, want %v", k, got, want)
		}
	}
}

// Kafka: F-40.
func TestWhatIsTakenBackWasNotUsed(t *testing.T) {
	q, _ := newQuotas(t, Config{Limits: []Limit{{Entity{ClientID: Default}, BytesOut, 10}}})
	s := of(q, "u", "c")
	if s.Record(BytesOut, 1000) == 0 {
		t.Error("a hundred times the limit doesn't wait")
	}
	if wait := s.Record(BytesOut, -1000); wait != 0 {
		t.Errorf("after it was taken back: %v", wait)
	}
}

func TestAnAddressIsBoundBesideItsUsers(t *testing.T) {
	q, _ := newQuotas(t, Config{Limits: []Limit{
		{Entity{ClientID: "c"}, Requests, 100}, {Entity{IP: "::ffff:192.0.2.1"}, Requests, 10},
	}})
	for _, client := range []string{"c", "d"} {
		of(q, "u", client).Record(Requests, 60)
	}
	if wait := of(q, "u", "c").Throttle(Requests); wait < time.Second {
		t.Errorf("120 requests of an address with 10 a second wait %v", wait)
	}
	if wait := q.For("u", []byte("c"), netip.MustParseAddr("192.0.2.2")).Throttle(Requests); wait != 0 {
		t.Errorf("another address waits %v", wait)
	}
}

func TestHandlerTimeIsAShareOfHandlers(t *testing.T) {
	q, _ := newQuotas(t, Config{Limits: []Limit{{Entity{User: "u"}, HandlerTime, 200}}})
	s := of(q, "u", "c")
	if wait := s.Record(HandlerTime, int64(20*time.Second)); wait != 0 {
		t.Errorf("two handlers for ten seconds: %v", wait)
	}
	if wait := s.Record(HandlerTime, int64(time.Second)); wait != 500*time.Millisecond {
		t.Errorf("a second more, at two handlers: %v", wait)
	}
}

func TestLimitsChangeAtOnceOrNotAtAll(t *testing.T) {
	q, _ := newQuotas(t, Config{Limits: []Limit{{Entity{User: "u"}, Requests, 1}}})
	of(q, "u", "c").Record(Requests, 100)
	err := q.Set([]Limit{{Entity{User: "u"}, Requests, 1000}, {Entity{}, Requests, 1}, {Entity{IP: "nowhere"}, kinds, math.NaN()}})
	if err == nil {
		t.Fatal("wrong limits were taken")
	}
	for _, part := range []string{"nobody is meant", "no such kind", "nowhere", "PerSecond is NaN"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in: %v", part, err)
		}
	}
	if of(q, "u", "c").Throttle(Requests) == 0 {
		t.Error("the old limit is gone, though the new ones were refused")
	}
	for _, c := range []struct {
		limits []Limit
		waits  bool
	}{
		{[]Limit{{Entity{User: "u"}, Requests, 1000}}, false},
		{[]Limit{{Entity{User: Default}, Requests, 5}}, true}, // the same meter, so the past counts
		{nil, false},
	} {
		if err := q.Set(c.limits); err != nil {
			t.Fatal(err)
		}
		if got := of(q, "u", "c").Throttle(Requests) > 0; got != c.waits {
			t.Errorf("with %v it waits: %v", c.limits, got)
		}
		if got := q.Limits(); len(got) != len(c.limits) {
			t.Errorf("limits %v", got)
		}
	}
	if s := of(q, "u", "c"); s != nil {
		t.Error("without limits somebody is measured")
	}
}

func TestWhoFellSilentIsForgotten(t *testing.T) {
	q, c := newQuotas(t, Config{Limits: []Limit{{Entity{ClientID: Default}, Requests, 1}}})
	for i := range 20_000 {
		of(q, "u", fmt.Sprint("client-", i)).Record(Requests, 1)
		c.pass(20 * time.Millisecond) // 400 seconds in all: 600 within the windows
	}
	if st := q.Stats(); st.Subjects > 6000 || st.Meters != st.Subjects || st.Shared != 0 {
		t.Errorf("%+v", st)
	}
}

func TestInventedNamesAreBoundedTogether(t *testing.T) {
	q, _ := newQuotas(t, Config{SubjectsMax: 640, Limits: []Limit{{Entity{ClientID: Default}, Requests, 1}}})
	waits := 0
	for i := range 5000 {
		if of(q, "u", fmt.Sprint("invented-", i)).Record(Requests, 1) > 0 {
			waits++
		}
	}
	if st := q.Stats(); st.Subjects > 640+1 || st.Shared < 4000 || waits < 3900 {
		t.Errorf("%+v, %d waits", st, waits)
	}
}

// TestNewClientIDsLeaveNoLimitBehind: a client that fills the table with ids that it invents is still
// measured by its user and its address, and so is everybody else.
func TestNewClientIDsLeaveNoLimitBehind(t *testing.T) {
	q, _ := newQuotas(t, Config{SubjectsMax: 640, Limits: []Limit{
		{Entity{User: "alice"}, BytesOut, 1}, {Entity{IP: Default}, BytesIn, 1}, {Entity{IP: "192.0.2.9"}, Requests, 1},
		{Entity{User: Default, ClientID: "batch"}, Requests, 1}}})
	ask := func(user, client, ip string, k Kind) time.Duration {
		return q.For(user, []byte(client), netip.MustParseAddr(ip)).Record(k, 1_000_000)
	}
	for i := range 3000 { // of many addresses, so that there is no room for these either
		ask("alice", fmt.Sprint("invented-", i), fmt.Sprintf("10.0.%d.%d", i%3000/250, i%250), HandlerTime)
	}
	for _, c := range []struct {
		what, user, client, ip string
		kind                   Kind
	}{
		{"her user's", "alice", "new", "192.0.2.1", BytesOut},
		{"her address's", "alice", "new", "192.0.2.1", BytesIn},
		{"her address's, which has one of its own", "alice", "new", "192.0.2.9", Requests},
		{"a client id's, which is named", "bob", "batch", "192.0.2.1", Requests},
	} {
		if ask(c.user, c.client, c.ip, c.kind) == 0 {
			t.Errorf("%s limit does not hold", c.what)
		}
	}
	if ask("bob", "new", "192.0.2.2", BytesOut) != 0 {
		t.Error("another user is throttled for hers")
	}
	if st := q.Stats(); st.Subjects > 2*640+2*2*2 {
		t.Errorf("%+v", st)
	}
}

func TestNothingIsLostBetweenGoroutines(t *testing.T) {
	q, _ := newQuotas(t, Config{Limits: []Limit{{Entity{User: "u"}, Requests, 1}}})
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range 2000 {
				of(q, "u", fmt.Sprint(g, i%50)).Record(Requests, 1)
				if g == 0 && i%100 == 0 {
					if err := q.Set([]Limit{{Entity{User: "u"}, Requests, float64(1 + i)}}); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	all.Wait()
	usage := q.Usage()
	if len(usage) != 1 || usage[0].PerSecond != 16000/10. {
		t.Errorf("usage %v", usage)
	}
}

func TestMeasuringAllocatesNothing(t *testing.T) {
	q, c := newQuotas(t, Config{Limits: []Limit{{Entity{User: "u", ClientID: Default}, BytesIn, 1}, {Entity{IP: Default}, BytesIn, 1}}})
	client, ip := []byte("some client"), netip.MustParseAddr("192.0.2.1")
	if n := testing.AllocsPerRun(1000, func() {
		c.pass(time.Millisecond)
		q.For("u", client, ip).Record(BytesIn, 1)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestLimitsAreReadAsTheyAreWritten(t *testing.T) {
	for text, want := range map[string][]Limit{
		"client-id=batch,produce-bytes=1MB,requests=200": {{Entity{ClientID: "batch"}, BytesIn, 1e6}, {Entity{ClientID: "batch"}, Requests, 200}},
		"fetch-bytes=1.5KiB,user=*,client-id=*":          {{Entity{User: Default, ClientID: Default}, BytesOut, 1536}},
		"ip=192.0.2.7, handler-percent=50":               {{Entity{IP: "192.0.2.7"}, HandlerTime, 50}},
		"user=a,produce-bytes=7":                         {{Entity{User: "a"}, BytesIn, 7}},
	} {
		if got, err := ParseLimits(text); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for text, part := range map[string]string{
		"":                         "NAME=VALUE",
		"user=a":                   "limits nothing",
		"requests=5":               "nobody is meant",
		"user=a,speed=5":           `"speed" is none of user`,
		"user=a,requests=many":     "not a number",
		"user=a,requests=-1":       "PerSecond is -1",
		"ip=a,requests=1":          "ParseAddr",
		"ip=::1,user=a,requests=1": "goes with no user",
		"user=a,requests=1MB":      "not a number",
	} {
		if _, err := ParseLimits(text); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: error %v, without %q", text, err, part)
		}
	}
}

func TestAFileOfLimitsIsReadLineByLine(t *testing.T) {
	got, err := ReadLimits(strings.NewReader("# all\n\nuser=*,requests=5 # each\r\n  client-id=batch,produce-bytes=1MB,fetch-bytes=2MB\n"))
	want := []Limit{{Entity{User: "*"}, Requests, 5}, {Entity{ClientID: "batch"}, BytesIn, 1e6}, {Entity{ClientID: "batch"}, BytesOut, 2e6}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := ReadLimits(strings.NewReader("# nobody")); len(got) > 0 || err != nil {
		t.Errorf("a file of comments: %v, %v", got, err)
	}
	_, err = ReadLimits(strings.NewReader("user=a,requests=x\nuser=a,requests=1\nspeed=1\n" + strings.Repeat("x", 1<<17)))
	for _, part := range []string{"line 1: ", "not a number", "line 3: ", `"speed"`, "line 4: ", "too long"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in: %v", part, err)
		}
	}
}

func TestEveryFaultOfAConfigIsNamedAtOnce(t *testing.T) {
	_, err := New(Config{Windows: -1, Window: time.Nanosecond, RequestThrottleMax: -1, BytesThrottleMax: -1, SubjectsMax: 1,
		Limits: []Limit{{Entity{User: "u"}, Requests, 1}, {Entity{User: "u"}, Requests, 2}}})
	for _, part := range []string{"Count is", "Size is", "RequestThrottleMax", "BytesThrottleMax", "SubjectsMax", "twice"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%s is not named in: %v", part, err)
		}
	}
}

func BenchmarkForAndRecord(b *testing.B) {
	q, err := New(Config{Limits: []Limit{{Entity{ClientID: Default}, Requests, 1e9}, {Entity{IP: Default}, Requests, 1e9}}})
	if err != nil {
		b.Fatal(err)
	}
	ip := netip.MustParseAddr("192.0.2.1")
	var n atomic.Int64
	b.RunParallel(func(p *testing.PB) {
		client := fmt.Append(nil, "client-", n.Add(1))
		for p.Next() {
			q.For("ANONYMOUS", client, ip).Record(Requests, 1)
		}
	})
}

// Limits that clients set stand beside the operator's and win over them. Each set is
// replaced alone, and removed alone.
func TestLimitsOfClientsStandBesideTheOperators(t *testing.T) {
	limit := func(client string, per float64) Limit { return Limit{Entity{ClientID: client}, Requests, per} }
	q, _ := newQuotas(t, Config{Limits: []Limit{limit("a", 1), limit("b", 2)}})
	holds := func(want ...Limit) {
		t.Helper()
		got := q.Limits()
		slices.SortFunc(got, func(a, b Limit) int { return strings.Compare(a.Entity.ClientID, b.Entity.ClientID) })
		if !slices.Equal(got, want) {
			t.Errorf("limits %v, want %v", got, want)
		}
	}
	for _, step := range []struct {
		set  func([]Limit) error
		to   []Limit
		want []Limit
	}{
		{q.SetByClients, []Limit{limit("b", 20), limit("c", 30)}, []Limit{limit("a", 1), limit("b", 20), limit("c", 30)}},
		{q.Set, []Limit{limit("c", 3)}, []Limit{limit("b", 20), limit("c", 30)}},
		{q.SetByClients, nil, []Limit{limit("c", 3)}},
	} {
		if err := step.set(step.to); err != nil {
			t.Fatal(err)
		}
		holds(step.want...)
	}
	if q.SetByClients([]Limit{limit("", 1)}) == nil {
		t.Error("a limit for nobody was taken")
	}
	holds(limit("c", 3))
}
