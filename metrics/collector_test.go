package metrics_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"

	"kring"
	"kring/internal/leaktest"
	"kring/internal/measure"
	"kring/internal/servertest"
	"kring/metrics"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// service answers each request with itself; its API is the first byte, its version the
// second, and a payload that ends with "!" fails with code 7.
type service struct{}

func (service) Handle(r kring.Request) {
	if strings.HasSuffix(string(r.Payload()), "!") {
		r.SetErrorCode(7)
	}
	r.Respond(r.Payload())
}

func (service) APIOf(p []byte) (key, version int16) { return int16(p[0]), int16(p[1]) }

var apis = []metrics.API{{Key: 0, Name: "Produce", Min: 3, Max: 4}, {Key: 1, Name: "Fetch", Min: 4, Max: 4}, {Key: 18, Name: "ApiVersions", Min: 0, Max: 0}}

// families are the series of one collection, by family.
type families map[string]*dto.MetricFamily

// scraper gives a function that collects what source counts.
func scraper(t *testing.T, source metrics.Source, o metrics.Options) (*prometheus.Registry, func() families) {
	t.Helper()
	c, err := metrics.New(source, o)
	if err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(c)
	return registry, func() families {
		t.Helper()
		got, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		by := families{}
		for _, f := range got {
			by[f.GetName()] = f
		}
		return by
	}
}

// value is that of the series with these labels (name, value, …), and whether there is one.
func (f families) value(family string, labels ...string) (float64, bool) {
	m := f.series(family, labels...)
	switch {
	case m == nil:
		return 0, false
	case m.Counter != nil:
		return m.Counter.GetValue(), true
	case m.Untyped != nil:
		return m.Untyped.GetValue(), true
	case m.Histogram != nil:
		return float64(m.Histogram.GetSampleCount()), true
	}
	return m.Gauge.GetValue(), true
}

func (f families) series(family string, labels ...string) *dto.Metric {
	want := map[string]string{}
	for i := 0; i < len(labels); i += 2 {
		want[labels[i]] = labels[i+1]
	}
	for _, m := range f[family].GetMetric() {
		got := map[string]string{}
		for _, l := range m.Label {
			got[l.GetName()] = l.GetValue()
		}
		if maps.Equal(got, want) {
			return m
		}
	}
	return nil
}

func TestEveryMetricMovesWithAKnownLoad(t *testing.T) {
	servertest.Each(t, func(t *testing.T, cfg kring.Config) {
		s := servertest.Start(t, cfg, service{})
		_, scrape := scraper(t, s, metrics.Options{APIs: apis, ErrorName: func(int16) string { return "REQUEST_TIMED_OUT" }})
		c := servertest.Dial(t, s)
		const produces, fetches, failures = 7, 5, 3
		send := func(n int, payload string) {
			for range n {
				c.Send(payload)
				if _, err := servertest.ReadFrame(c); err != nil {
					t.Fatal(err)
				}
			}
		}
		send(produces, "\x00\x03 a produce")
		send(fetches, "\x01\x04 a fetch")
		send(failures, "\x00\x04 fails!")
		listener := s.Listeners()[0].Name
		const bytes = produces*(4+12) + fetches*(4+10) + failures*(4+9)
		for _, want := range []struct {
			value  float64
			family string
			labels []string
		}{
			{produces, "kafka_network_requestmetrics_requests_total", []string{"request", "Produce", "version", "3"}},
			{failures, "kafka_network_requestmetrics_requests_total", []string{"request", "Produce", "version", "4"}},
			{fetches, "kafka_network_requestmetrics_requests_total", []string{"request", "Fetch", "version", "4"}},
			{fetches, "kafka_network_requestmetrics_requests_total", []string{"request", "FetchConsumer", "version", "4"}},
			{0, "kafka_network_requestmetrics_requests_total", []string{"request", "ApiVersions", "version", "0"}},
			{produces, "kafka_network_requestmetrics_errors_total", []string{"request", "Produce", "error", "NONE"}},
			{failures, "kafka_network_requestmetrics_errors_total", []string{"request", "Produce", "error", "REQUEST_TIMED_OUT"}},
			{0, "kafka_network_requestmetrics_errors_total", []string{"request", "FetchFollower", "error", "NONE"}},
			{produces + failures, "kafka_network_requestmetrics_totaltimems_count", []string{"request", "Produce"}},
			{produces + failures, "kafka_network_requestmetrics_responsesendtimems_count", []string{"request", "Produce"}},
			{1, "kafka_server_socket_server_metrics_connection_count", []string{"listener", listener}},
			{1, "kafka_server_socket_server_metrics_connection_creation_total", []string{"listener", listener}},
			{bytes, "kafka_server_socket_server_metrics_incoming_byte_total", nil},
			{bytes, "kafka_server_socket_server_metrics_outgoing_byte_total", nil},
			{1, "kring_connections_open", []string{"listener", listener}},
			{0, "kring_connections_closed_total", []string{"reason", kring.ReasonIdleExpired.String()}},
			{bytes, "kring_bytes_received_total", nil},
			{produces + fetches + failures, "kring_responses_total", nil},
			{fetches, "kring_request_stage_seconds", []string{"api", "Fetch", "api_key", "1", "stage", "local"}},
			{fetches, "kring_request_size_bytes", []string{"api", "Fetch", "api_key", "1"}},
		} {
			var got float64
			var there bool
			servertest.Eventually(t, want.family, func() bool {
				got, there = scrape().value(want.family, want.labels...)
				return there && got >= want.value
			})
			if got != want.value {
				t.Errorf("%s%q: %v, want %v", want.family, want.labels, got, want.value)
			}
		}
		_ = c.Close()
		servertest.Eventually(t, "the end of the connection", func() bool {
			n, _ := scrape().value("kring_connections_closed_total", "reason", kring.ReasonPeerFinished.String())
			return n == 1
		})
	})
}

// idle is a server that never did anything.
type idle struct{ stats kring.Stats }

func (i *idle) Stats() kring.Stats           { return i.stats }
func (i *idle) Engine() kring.Engine         { return kring.EngineEpoll }
func (i *idle) Why() string                  { return "a test" }
func (i *idle) MemoryPlan() kring.MemoryPlan { return kring.MemoryPlan{} }

// TestWhatIsServedHasItsSeriesFromTheStart: every stage, quantile, version and the answer
// without an error of each API; a dashboard that finds no series says "no data".
func TestWhatIsServedHasItsSeriesFromTheStart(t *testing.T) {
	_, scrape := scraper(t, &idle{}, metrics.Options{APIs: apis})
	got := scrape()
	for _, name := range []string{"Produce", "Fetch", "ApiVersions", "FetchConsumer", "FetchFollower"} {
		for _, stage := range []string{"totaltimems", "requestqueuetimems", "localtimems", "remotetimems", "throttletimems", "responsequeuetimems", "responsesendtimems"} {
			for _, q := range []string{"0.50", "0.75", "0.95", "0.98", "0.99", "0.999"} {
				if v, there := got.value("kafka_network_requestmetrics_"+stage, "request", name, "quantile", q); !there || v != 0 {
					t.Errorf("%s %s %s: %v, %v", name, stage, q, v, there)
				}
			}
		}
		if _, there := got.value("kafka_network_requestmetrics_errors_total", "request", name, "error", "NONE"); !there {
			t.Errorf("%s has no errors_total", name)
		}
	}
}

// TestTheNamesAreThoseOfTheDialect that its boards read.
func TestTheNamesAreThoseOfTheDialect(t *testing.T) {
	source := &idle{}
	source.stats.Software = []kring.SoftwareCount{{Name: "apache-kafka-java", Version: "4.1.0", Connections: 2}}
	for dialect, want := range map[metrics.Dialect][]string{
		metrics.Strimzi: {
			"kafka_network_requestmetrics_requests_total", "kafka_network_requestmetrics_errors_total", "kafka_network_requestmetrics_totaltimems_count",
			"kafka_network_socketserver_networkprocessoravgidle_percent", "kafka_server_kafkarequesthandlerpool_requesthandleravgidle_percent",
			"kafka_server_socket_server_metrics_connections_software", "kafka_server_replicamanager_leadercount",
		},
		metrics.Confluent: {
			"kafka_network_requestmetrics_requestspersec", "kafka_network_requestmetrics_errorspersec", "kafka_network_requestmetrics_totaltimems",
			"kafka_network_socketserver_networkprocessoravgidlepercent", "kafka_server_kafkarequesthandlerpool_requesthandleravgidlepercent_oneminuterate",
			"kafka_server_socketservermetrics_connections", "kafka_server_kafkaserver_brokerstate",
		},
	} {
		_, scrape := scraper(t, source, metrics.Options{Dialect: dialect, APIs: apis, Leaders: func() (int, bool) { return 3, true }})
		got := scrape()
		for _, name := range want {
			if got[name] == nil {
				t.Errorf("%s: no %s among %q", dialect, name, slices.Sorted(maps.Keys(got)))
			}
		}
	}
	if _, err := metrics.New(source, metrics.Options{Dialect: "datadog"}); err == nil || !strings.Contains(err.Error(), `"datadog"`) {
		t.Errorf("an unknown dialect: %v", err)
	}
}

// TestOurOwnMetricsPassPrometheusOwnLint; Kafka's names are others' and can't.
func TestOurOwnMetricsPassPrometheusOwnLint(t *testing.T) {
	s := servertest.Start(t, servertest.Config(kring.EnginePortable, kring.DispatchPool), service{})
	registry, scrape := scraper(t, s, metrics.Options{APIs: apis})
	c := servertest.Dial(t, s)
	c.Send("\x01\x04 a fetch")
	if _, err := servertest.ReadFrame(c); err != nil {
		t.Fatal(err)
	}
	servertest.Eventually(t, "the histograms", func() bool { return scrape()["kring_request_stage_seconds"] != nil })
	var own []string
	for name := range scrape() {
		if strings.HasPrefix(name, "kring_") {
			own = append(own, name)
		}
	}
	problems, err := testutil.GatherAndLint(registry, own...)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// TestAHistogramIsNativeAndClassic, and both have every value.
func TestAHistogramIsNativeAndClassic(t *testing.T) {
	d := kring.Distribution{Count: 6, Sum: 100, Buckets: []measure.Bucket{{From: 0, To: 1, Count: 1}, {From: 10, To: 11, Count: 2}, {From: 2048, To: 2176, Count: 3}}}
	source := &idle{kring.Stats{Requests: []kring.RequestStats{{API: 1, Total: d}}}}
	_, scrape := scraper(t, source, metrics.Options{APIs: apis})
	h := scrape().series("kring_request_stage_seconds", "api", "Fetch", "api_key", "1", "stage", "total").GetHistogram()
	if h == nil {
		t.Fatal("no histogram")
	}
	sum, at := int64(0), int64(0)
	for _, delta := range h.PositiveDelta {
		at += delta
		sum += at
	}
	if h.GetSampleCount() != 6 || h.GetZeroCount() != 1 || sum != 5 {
		t.Errorf("native: %d values, %d zeros, %d others; want 6, 1, 5", h.GetSampleCount(), h.GetZeroCount(), sum)
	}
	for _, b := range h.Bucket {
		want := uint64(6)
		if b.GetUpperBound() < 0.002175 {
			want = 3
		}
		if b.GetCumulativeCount() != want {
			t.Errorf("classic up to %v s: %d, want %d", b.GetUpperBound(), b.GetCumulativeCount(), want)
		}
	}
}

// TestScrapesAtOnceAgree: collecting has no writer but the window, and any number may.
func TestScrapesAtOnceAgree(t *testing.T) {
	s := servertest.Start(t, servertest.Config(kring.EnginePortable, kring.DispatchPool), service{})
	c, err := metrics.New(s, metrics.Options{APIs: apis, PerProcessor: true})
	if err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(c)
	done := make(chan error, 8)
	for range cap(done) {
		go func() {
			var failed error
			for range 20 {
				_, err := registry.Gather()
				failed = errors.Join(failed, err)
			}
			done <- failed
		}()
	}
	for range cap(done) {
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(time.Minute):
			t.Fatal("scrapes hang")
		}
	}
}
