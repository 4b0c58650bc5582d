package metrics

import (
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"kring"
	"kring/internal/pace"
)

// Source is what is measured; a *kring.Server is one.
type Source interface {
	Stats() kring.Stats
	Engine() kring.Engine
	Why() string
	MemoryPlan() kring.MemoryPlan
}

// Dialect is how the names of Kafka's own metrics are written. The exporters that people
// use have made two sets of names of the same JMX beans.
type Dialect string

// The dialects.
const (
	// Strimzi's, which is nearly that of the JMX exporter's example.
	Strimzi Dialect = "strimzi"
	// Confluent is that of confluentinc/jmx-monitoring-stacks.
	Confluent Dialect = "confluent"
)

// API is a request that is served, under the name that Kafka gives it.
type API struct {
	Key      int16
	Name     string
	Min, Max int16
}

// Options of a Collector. The zero value shows Strimzi's names and no APIs before they
// are used.
type Options struct {
	Dialect Dialect // default Strimzi
	// APIs are what is served: their series are there from the start, under these names. Without
	// it an API is called "api_" and its key. For a kafka.Filter of Versions v:
	//
	//	for _, r := range v.All() {
	//		apis = append(apis, metrics.API{Key: r.Key, Name: kmsg.NameForKey(r.Key), Min: r.Min, Max: r.Max})
	//	}
	APIs []API
	// ErrorName gives the name of an error code of the protocol; default its number.
	ErrorName func(code int16) string
	// PerProcessor has series for each processor beside the sums. They cost a scrape
	// as much as there are processors.
	PerProcessor bool
	// Leaders, if set, gives how many partitions this broker leads, or that it can't be
	// known now. The variables of dashboards read it; without it there is no such series.
	Leaders func() (n int, known bool)
	// Telemetry, if set, has what clients pushed of their own metrics.
	Telemetry Telemetry
	// Authentications, if set, gives what became of authentications by SASL, by listener.
	Authentications func() map[string]Authentications
	// Topics, if set, gives what was done with each topic, as many as are counted each for
	// itself, with all others together, and in all. It is asked at each scrape.
	Topics func() (by map[string]TopicTraffic, other, all TopicTraffic)
	// Quotas, if set, gives who is measured by quotas. QuotasMax of them are shown, those
	// that wait longest and use most of what they may; default 100.
	Quotas    func() []QuotaUse
	QuotasMax int
	// Version of the program, for kring_build_info.
	Version string
}

// Collector is a prometheus.Collector over one Server: register it once for each. Any
// goroutine may collect.
type Collector struct {
	source  Source
	options Options
	names   map[int16]string // of APIs
	window  window
	descs   descs
	pace    func() *pace.Pace // of a collection
}

// New makes the Collector of source. The error names a dialect that there is not.
func New(source Source, o Options) (*Collector, error) {
	if o.Dialect == "" {
		o.Dialect = Strimzi
	}
	if o.Dialect != Strimzi && o.Dialect != Confluent {
		return nil, fmt.Errorf("metrics: Options.Dialect: %q: choose %q or %q", o.Dialect, Strimzi, Confluent)
	}
	if o.ErrorName == nil {
		o.ErrorName = func(code int16) string { return fmt.Sprint(code) }
	}
	if o.QuotasMax == 0 {
		o.QuotasMax = quotasMax
	}
	c := &Collector{source: source, options: o, names: make(map[int16]string, len(o.APIs)), pace: func() *pace.Pace { return new(pace.Pace) }}
	for _, a := range o.APIs {
		c.names[a.Key] = a.Name
	}
	c.window.keep(snapshot{at: time.Now()}) // the start: everything was 0
	return c, nil
}

// Describe sends nothing: which series there are depends on what is served, so the
// registry checks each collection instead (see prometheus.Collector).
func (c *Collector) Describe(chan<- *prometheus.Desc) {}

// Collect sends every series. It gives way to the server now and then.
func (c *Collector) Collect(to chan<- prometheus.Metric) {
	now := snapshot{at: time.Now(), stats: c.source.Stats()}
	if c.options.Authentications != nil {
		now.sasl = c.options.Authentications()
	}
	s := &scrape{c: c, to: to, now: now.stats, sasl: now.sasl, since: c.window.since(now), plan: c.source.MemoryPlan(), pace: c.pace()}
	s.pace.Step()
	s.seconds = max(now.at.Sub(s.since.at).Seconds(), 1e-9)
	s.used = s.shownQuotas()
	s.kafka()
	s.own()
}

// scrape is one collection: the snapshot of now, and the one that it is compared with.
type scrape struct {
	c       *Collector
	to      chan<- prometheus.Metric
	now     kring.Stats
	sasl    map[string]Authentications
	since   snapshot
	plan    kring.MemoryPlan
	used    []QuotaUse // of quotas, those that are shown
	seconds float64    // between the two
	pace    *pace.Pace
	sent    int
}

// label is one label of a series.
type label struct{ name, value string }

// send sends one series.
func (s *scrape) send(kind prometheus.ValueType, name, help string, value float64, labels ...label) {
	s.put(prometheus.MustNewConstMetric(s.c.descs.of(name, help, labels), kind, value, valuesOf(labels)...))
}

// pacedSeries is how many series are sent between two looks at the clock: they take some ten
// microseconds.
const pacedSeries = 8

func (s *scrape) put(m prometheus.Metric) {
	s.to <- m
	if s.sent++; s.sent%pacedSeries == 0 {
		s.pace.Step()
	}
}

func (s *scrape) counter(name, help string, value uint64, labels ...label) {
	s.send(prometheus.CounterValue, name, help, float64(value), labels...)
}

func (s *scrape) gauge(name, help string, value float64, labels ...label) {
	s.send(prometheus.GaugeValue, name, help, value, labels...)
}

// count is a count that has no labels.
type count struct {
	name, help string
	n          uint64
}

// counters sends counts under names that begin with prefix.
func (s *scrape) counters(prefix string, all []count) {
	for _, c := range all {
		s.counter(prefix+c.name+"_total", c.help, c.n)
	}
}

// rate is how much a count has grown in a second, over the window.
func (s *scrape) rate(now, before uint64) float64 {
	if now < before {
		return 0
	}
	return float64(now-before) / s.seconds
}

// apiName is Kafka's name of a request.
func (c *Collector) apiName(key int16) string {
	if name, ok := c.names[key]; ok {
		return name
	}
	if key == kring.OtherAPI {
		return "other"
	}
	return fmt.Sprintf("api_%d", key)
}

// requests gives the counts of every API that is served or was asked for, by key.
func (c *Collector) requests(st kring.Stats) []kring.RequestStats {
	all := slices.Clone(st.Requests)
	for _, a := range c.options.APIs {
		at, known := slices.BinarySearchFunc(all, a.Key, byAPI)
		if !known {
			all = slices.Insert(all, at, kring.RequestStats{API: a.Key})
		}
	}
	return all
}

func byAPI(r kring.RequestStats, key int16) int { return int(r.API) - int(key) }

// ofAPI finds the counts of an API in a snapshot; zero when there are none.
func ofAPI(st *kring.Stats, key int16) kring.RequestStats {
	if at, known := slices.BinarySearchFunc(st.Requests, key, byAPI); known {
		return st.Requests[at]
	}
	return kring.RequestStats{API: key}
}
