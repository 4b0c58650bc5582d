package telemetry

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"google.golang.org/protobuf/encoding/protowire"

	"kring/reqchan"
)

// point is one data point, of a gauge, or of a sum.
type point struct {
	name       string
	sum, delta bool
	value      float64
	whole      bool // as an integer
}

// payload is the MetricsData of some points, each in a ResourceMetrics of its own, as Java's
// clients write it.
func payload(points ...point) (b []byte) {
	message := func(b []byte, n protowire.Number, inner []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), inner)
	}
	for _, p := range points {
		attribute := message(message(nil, 1, []byte("node")), 2, message(nil, 1, []byte("1")))
		number := message(nil, 7, attribute)
		number = protowire.AppendFixed64(protowire.AppendTag(number, 3, protowire.Fixed64Type), 1_700_000_000)
		if p.whole {
			number = protowire.AppendFixed64(protowire.AppendTag(number, fieldInt, protowire.Fixed64Type), uint64(int64(p.value)))
		} else {
			number = protowire.AppendFixed64(protowire.AppendTag(number, fieldDouble, protowire.Fixed64Type), math.Float64bits(p.value))
		}
		data, kind := message(nil, fieldPoints, number), protowire.Number(fieldGauge)
		if p.sum {
			kind = fieldSum
			temporality := uint64(2)
			if p.delta {
				temporality = temporalityDelta
			}
			data = protowire.AppendVarint(protowire.AppendTag(data, fieldTemporality, protowire.VarintType), temporality)
		}
		metric := message(message(message(nil, fieldName, []byte(p.name)), 3, []byte("ms")), kind, data)
		scope := message(message(nil, 1, message(nil, 1, []byte("scope"))), fieldMetrics, metric)
		b = message(b, fieldResourceMetrics, message(message(nil, 1, nil), fieldScopeMetrics, scope))
	}
	return b
}

var (
	everything = Config{Subscriptions: []Subscription{{Metrics: []string{Everything}, Interval: time.Minute}}}
	start      = time.Unix(1_000_000, 0)
)

func client(n int) Client {
	return Client{Conn: reqchan.ConnID{Index: uint64(n)}, ID: fmt.Sprint("client-", n), Software: reqchan.Software{Name: "apache-kafka-java", Version: "4.1.0"}, Remote: netip.MustParseAddrPort("10.0.0.1:1234")}
}

func newState(t *testing.T, cfg Config) *State {
	t.Helper()
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestAClientIsAskedAndPushesByTheRules of Kafka's ClientMetricsManager: its id, the interval,
// the first push at once, and each error.
func TestAClientIsAskedAndPushesByTheRules(t *testing.T) {
	s, c, now := newState(t, everything), client(1), start
	a := s.Subscribe(now, c, InstanceID{})
	if a.Code != 0 || a.Instance == (InstanceID{}) || a.Instance.reserved() || a.Interval != time.Minute || len(a.Metrics) != 1 || a.Metrics[0] != "*" ||
		a.BytesMax != 1<<20 || len(a.Codecs) != 4 {
		t.Fatalf("%+v", a)
	}
	good := Push{Instance: a.Instance, Subscription: a.Subscription, Metrics: payload(point{name: "a", value: 1})}
	bad := func(change func(p *Push)) Push { p := good; change(&p); return p }
	for _, step := range []struct {
		what string
		wait time.Duration
		push Push
		want int16
	}{
		{"the first comes as soon as it likes", time.Second, good, 0},
		{"the next one too early", 59 * time.Second, good, codeThrottled},
		{"and in time", time.Second, good, 0},
		{"another subscription", time.Minute, bad(func(p *Push) { p.Subscription++ }), codeUnknownSubscription},
		{"an unknown codec", time.Minute, bad(func(p *Push) { p.Codec = 5 }), codeUnsupportedCodec},
		{"a negative one", time.Minute, bad(func(p *Push) { p.Codec = -1 }), codeUnsupportedCodec},
		{"too large", time.Minute, bad(func(p *Push) { p.Metrics = make([]byte, 1<<20+1) }), codeTelemetryTooLarge},
		{"no protobuf", time.Minute, bad(func(p *Push) { p.Metrics = []byte{0xff} }), codeInvalidRecord},
		{"not compressed", time.Minute, bad(func(p *Push) { p.Codec = codecGzip }), codeInvalidRecord},
		{"the zero id", time.Minute, bad(func(p *Push) { p.Instance = InstanceID{} }), codeInvalidRequest},
		{"nothing to say", 0, bad(func(p *Push) { p.Metrics = nil }), 0},
		{"the last one, early", time.Second, bad(func(p *Push) { p.Terminating = true }), 0},
		{"and one after it", time.Hour / 30, good, codeInvalidRequest},
	} {
		now = now.Add(step.wait)
		if got := s.Push(now, c, step.push); got != step.want {
			t.Errorf("%s: %d, want %d", step.what, got, step.want)
		}
	}
	if _, counts := s.Totals(); counts.Pushes != 13 || counts.Rejected[codeThrottled] != 1 || counts.Rejected[codeInvalidRequest] != 2 {
		t.Errorf("%+v", counts)
	}
}

// TestASubscriptionIsAskedForOnceInAnInterval, unless an error sent the client to ask again.
func TestASubscriptionIsAskedForOnceInAnInterval(t *testing.T) {
	s, c := newState(t, everything), client(1)
	a := s.Subscribe(start, c, InstanceID{})
	if got := s.Subscribe(start.Add(time.Second), c, a.Instance); got.Code != codeThrottled {
		t.Errorf("again: %+v", got)
	}
	if got := s.Subscribe(start.Add(time.Second), c, InstanceID{}); got.Code != codeThrottled {
		t.Errorf("again without its id: %+v", got)
	}
	if got := s.Push(start.Add(2*time.Second), c, Push{Instance: a.Instance, Subscription: a.Subscription + 1}); got != codeUnknownSubscription {
		t.Errorf("a push: %d", got)
	}
	again := s.Subscribe(start.Add(3*time.Second), c, a.Instance)
	if again.Code != 0 || again.Subscription != a.Subscription || again.Instance != a.Instance {
		t.Errorf("after an error: %+v", again)
	}
	s.Forget(c.Conn)
	if got := s.Subscribe(start.Add(4*time.Second), client(2), a.Instance); got.Code != 0 || got.Subscription != a.Subscription {
		t.Errorf("on another connection: %+v", got)
	}
}

// TestSubscriptionsAreThoseThatMatch: all metrics of them, and the shortest interval.
func TestSubscriptionsAreThoseThatMatch(t *testing.T) {
	var cfg Config
	for _, text := range []string{
		"metrics=a.,b. interval.ms=60000", "metrics=c.,a. interval.ms=30000 match=client_software_name=apache-.*,client_id=client-1",
		"metrics=d. interval.ms=100 match=client_id=client", "metrics=e. interval.ms=100 match=client_source_address=10\\.0\\.0\\.2",
	} {
		sub, err := ParseSubscription(text)
		if err != nil {
			t.Fatal(err)
		}
		cfg.Subscriptions = append(cfg.Subscriptions, sub)
	}
	s := newState(t, cfg)
	one, two := s.Subscribe(start, client(1), InstanceID{}), s.Subscribe(start, client(2), InstanceID{})
	if got := strings.Join(one.Metrics, " "); got != "a. b. c." || one.Interval != 30*time.Second {
		t.Errorf("%q every %v", got, one.Interval)
	}
	if got := strings.Join(two.Metrics, " "); got != "a. b." || two.Interval != time.Minute {
		t.Errorf("%q every %v", got, two.Interval)
	}
	nobody := newState(t, Config{Subscriptions: []Subscription{}})
	if a := nobody.Subscribe(start, client(1), InstanceID{}); a.Code != 0 || len(a.Metrics) != 0 || a.Interval != intervalDefault {
		t.Errorf("without subscriptions: %+v", a)
	}
	for _, text := range []string{"metrics", "metric=a", "interval.ms=99", "interval.ms=3600001", "interval.ms=x", "match=nobody=x", "match=client_id", "match=client_id=("} {
		if _, err := ParseSubscription(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}

// TestLibrdkafkaGetsOnePrefixThatAllItsMetricsHave: up to 2.8 it reads the last prefix alone.
func TestLibrdkafkaGetsOnePrefixThatAllItsMetricsHave(t *testing.T) {
	s := newState(t, Config{})
	for n, c := range []struct {
		software reqchan.Software
		one      bool
	}{
		{reqchan.Software{Name: "librdkafka", Version: "2.5.0"}, true},
		{reqchan.Software{Name: "confluent-kafka-python", Version: "2.5.0-librdkafka-2.5.0"}, true},
		{reqchan.Software{}, true},
		{reqchan.Software{Name: "librdkafka", Version: "2.8.2"}, true},
		{reqchan.Software{Name: "apache-kafka-java", Version: "4.1.2"}, false},
	} {
		who := client(n)
		who.Software = c.software
		if got := s.Subscribe(start, who, InstanceID{}).Metrics; (len(got) == 1 && got[0] == commonPrefix) != c.one || len(got) == 0 {
			t.Errorf("%+v: %q", c.software, got)
		}
	}
	none := newState(t, Config{Subscriptions: []Subscription{}})
	if got := none.Subscribe(start, Client{}, InstanceID{}).Metrics; len(got) != 0 {
		t.Errorf("without a subscription: %q", got)
	}
}

// compressed compresses b as clients do.
func compressed(t *testing.T, codec int8, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	switch codec {
	case codecGzip:
		w := gzip.NewWriter(&out)
		_, _ = w.Write(b)
		_ = w.Close()
	case codecSnappy:
		return s2.EncodeSnappy(nil, b)
	case codecLZ4:
		w := lz4.NewWriter(&out)
		_, _ = w.Write(b)
		_ = w.Close()
	case codecZstd:
		w, err := zstd.NewWriter(&out)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = w.Write(b)
		_ = w.Close()
	default:
		return b
	}
	return out.Bytes()
}

// xerial is Java's stream of snappy blocks.
func xerial(b []byte) []byte {
	out := append(bytes.Clone(xerialMagic), 0, 0, 0, 1, 0, 0, 0, 1)
	for len(b) > 0 {
		n := min(len(b), 32<<10)
		block := s2.EncodeSnappy(nil, b[:n])
		out = append(binary.BigEndian.AppendUint32(out, uint32(len(block))), block...)
		b = b[n:]
	}
	return out
}

// TestEveryCodecIsReadAndABombIsNot: what a few bytes inflate to is bounded.
func TestEveryCodecIsReadAndABombIsNot(t *testing.T) {
	data := payload(point{name: "a.b", value: 1.5})
	bomb := make([]byte, 6<<20)
	for codec := int8(0); codec <= codecMax; codec++ {
		s, c := newState(t, everything), client(1)
		a := s.Subscribe(start, c, InstanceID{})
		push := func(b []byte) int16 {
			now := start.Add(time.Duration(s.counts.Pushes) * time.Hour)
			s.Subscribe(now, c, a.Instance)
			return s.Push(now, c, Push{Instance: a.Instance, Subscription: a.Subscription, Codec: codec, Metrics: b})
		}
		if code := push(compressed(t, codec, data)); code != 0 {
			t.Errorf("codec %d: %d", codec, code)
		}
		if p, ok := s.Of(c.Conn); !ok || p.Values["a.b"] != 1.5 {
			t.Errorf("codec %d: %+v", codec, p)
		}
		if b := compressed(t, codec, bomb); codec != codecNone && len(b) <= 1<<20 {
			if code := push(b); code != codeTelemetryTooLarge {
				t.Errorf("codec %d, a bomb of %d bytes: %d", codec, len(b), code)
			}
		}
		if codec == codecSnappy {
			if code := push(xerial(data)); code != 0 {
				t.Errorf("Java's snappy: %d", code)
			}
			if code := push(xerial(bomb[:5<<20])); code != codeTelemetryTooLarge {
				t.Errorf("a bomb in Java's snappy: %d", code)
			}
			huge := protowire.AppendVarint(nil, 1<<31)
			if code := push(append(huge, 1, 2, 3)); code != codeTelemetryTooLarge {
				t.Errorf("a block that says 2 GiB: %d", code)
			}
		}
		for n := range compressed(t, codec, data) { // cut short anywhere
			push(compressed(t, codec, data)[:n])
		}
	}
}

// TestValuesAreTheLastOfEachMetric: points that differ in their labels are one value; what adds
// up does, differences too.
func TestValuesAreTheLastOfEachMetric(t *testing.T) {
	s := newState(t, everything)
	push := func(c Client, at time.Duration, points ...point) {
		t.Helper()
		now := start.Add(at)
		a := s.Subscribe(now, c, InstanceID{15: byte(c.Conn.Index + 1)})
		if code := s.Push(now, c, Push{Instance: a.Instance, Subscription: a.Subscription, Metrics: payload(points...)}); code != 0 {
			t.Fatalf("error %d", code)
		}
	}
	one, two := client(1), client(2)
	points := []point{
		{name: "x.max", value: 3}, {name: "x.max", value: 5}, {name: "x.avg", value: 2}, {name: "x.avg", value: 4},
		{name: "x.total", sum: true, value: 7, whole: true}, {name: "x.total", sum: true, value: 1, whole: true},
		{name: "x.delta", sum: true, delta: true, value: 10}, {name: "x.min", value: 9}, {name: "x.min", value: 8}, {name: "x.nan", value: math.NaN()},
		{name: "not a name!", value: 1}, {name: "", value: 1}, {name: strings.Repeat("n", 300), value: 1},
	}
	push(one, 0, points...)
	push(one, time.Minute, points...)
	push(two, time.Minute, point{name: "x.max", value: 50})
	p, _ := s.Of(one.Conn)
	want := map[string]float64{"x.max": 5, "x.avg": 3, "x.total": 8, "x.delta": 20, "x.min": 8}
	if fmt.Sprint(p.Values) != fmt.Sprint(want) || p.Pushes != 2 || p.IntervalSeconds != 60 {
		t.Errorf("%+v, want %v", p, want)
	}
	totals, counts := s.Totals()
	if len(totals) != 5 || totals[2] != (Total{"x.max", false, 2, 55, 5, 50}) || !totals[3].Counter && !totals[4].Counter || counts.Dropped != 6 || counts.Instances != 2 {
		t.Errorf("%+v, %+v", totals, counts)
	}
	s.Forget(one.Conn)
	s.Forget(two.Conn)
	if totals, counts := s.Totals(); len(totals) != 0 || counts.Instances != 0 || len(s.names.by) != 0 || s.recent.Len() != 0 || len(s.byConn) != 0 {
		t.Errorf("left: %+v, %+v", totals, counts)
	}
	if _, ok := s.Of(one.Conn); ok {
		t.Error("a connection that ended has values")
	}
}

// TestValuesStayFinite: JSON has no infinite number, and one would leave GET /connections without
// a body.
func TestValuesStayFinite(t *testing.T) {
	s := newState(t, everything)
	c := client(1)
	for at := range 3 {
		now := start.Add(time.Duration(at) * time.Minute)
		a := s.Subscribe(now, c, InstanceID{15: 2})
		metrics := payload(
			point{name: "x.delta", sum: true, delta: true, value: math.MaxFloat64},
			point{name: "x.total", sum: true, value: math.MaxFloat64}, point{name: "x.total", sum: true, value: math.MaxFloat64},
			point{name: "x.avg", value: math.MaxFloat64}, point{name: "x.avg", value: -math.MaxFloat64},
		)
		if code := s.Push(now, c, Push{Instance: a.Instance, Subscription: a.Subscription, Metrics: metrics}); code != 0 {
			t.Fatalf("error %d", code)
		}
	}
	p, _ := s.Of(c.Conn)
	if _, err := json.Marshal(p); err != nil || len(p.Values) != 1 || p.Values["x.delta"] != math.MaxFloat64 {
		t.Errorf("%v: %v", p.Values, err)
	}
}

// TestWhatIsKeptIsBoundedOverAllClients: instances, names and values, however many clients
// there are and whatever they call their metrics.
func TestWhatIsKeptIsBoundedOverAllClients(t *testing.T) {
	cfg := everything
	cfg.InstancesMax, cfg.NamesMax = 100, 50
	s := newState(t, cfg)
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			for n := g * 1000; n < g*1000+1000; n++ {
				c := client(n)
				a := s.Subscribe(start, c, InstanceID{})
				var points []point
				for m := range 80 {
					points = append(points, point{name: fmt.Sprintf("metric.%d.%d", n, m), value: 1})
				}
				s.Push(start, c, Push{Instance: a.Instance, Subscription: a.Subscription, Metrics: payload(points...)})
				if n%3 == 0 {
					s.Forget(c.Conn)
				}
			}
		})
	}
	all.Wait()
	totals, counts := s.Totals()
	if len(s.instances) > 100 || len(s.byConn) > 100 || s.recent.Len() != len(s.instances) || len(totals) > 50 || len(s.names.all) > 50 {
		t.Errorf("%d instances, %d by connection, %d metrics, %d names", len(s.instances), len(s.byConn), len(totals), len(s.names.all))
	}
	if counts.Evicted == 0 || counts.Dropped == 0 {
		t.Errorf("%+v", counts)
	}
	s.Subscribe(start.Add(time.Hour), client(9999), InstanceID{})
	if _, counts := s.Totals(); counts.Instances != 1 {
		t.Errorf("%d instances after an hour", counts.Instances)
	}
}

// FuzzPush: no payload makes a State panic, or keep more than it may.
func FuzzPush(f *testing.F) {
	f.Add(int8(0), payload(point{name: "a", value: 1}, point{name: "b", sum: true, delta: true, value: 2}))
	f.Add(int8(2), xerial(payload(point{name: "a", value: 1})))
	f.Fuzz(func(t *testing.T, codec int8, b []byte) {
		s, c := newState(t, everything), client(1)
		a := s.Subscribe(start, c, InstanceID{})
		code := s.Push(start, c, Push{Instance: a.Instance, Subscription: a.Subscription, Codec: codec, Metrics: b})
		if p, ok := s.Of(c.Conn); !ok || len(p.Values) > valuesMax || code != 0 && len(p.Values) > 0 {
			t.Errorf("code %d, %+v", code, p)
		}
	})
}

// TestAPayloadThatPanicsIsOneThatCannotBeRead: others are read on.
func TestAPayloadThatPanicsIsOneThatCannotBeRead(t *testing.T) {
	s, c := newState(t, everything), client(1)
	a := s.Subscribe(start, c, InstanceID{1})
	s.inflate = func(int8, []byte, int) ([]byte, error) { panic("a decompressor's fault") }
	push := Push{Instance: a.Instance, Subscription: a.Subscription, Metrics: []byte{1}}
	if code := s.Push(start, c, push); code != codeInvalidRecord {
		t.Errorf("it is answered with %d", code)
	}
	s.inflate, push.Metrics = nil, payload()
	if code := s.Push(start.Add(time.Minute), c, push); code != 0 {
		t.Errorf("the next is answered with %d", code)
	}
}
