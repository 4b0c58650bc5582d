package telemetry

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The bounds of intervals (ClientMetricsConfigs).
const (
	intervalMin     = 100 * time.Millisecond
	intervalMax     = time.Hour
	intervalDefault = 5 * time.Minute
)

// Everything is the prefix of all metrics (Kafka: *).
const Everything = "*"

// Config of a State. The zero value is right.
type Config struct {
	// Subscriptions are what clients push; default Default().
	Subscriptions []Subscription
	// BytesMax is the longest payload of a push, as it is sent [telemetry.max.bytes].
	// Default 1 MiB.
	BytesMax int
	// InflatedBytesMax is the longest payload once it is decompressed (Kafka has no such
	// bound). Payloads are inflated one at a time. Default 4 MiB.
	InflatedBytesMax int
	// InstancesMax is how many client instances are known at once; with one more, the one
	// that was silent longest is forgotten. Default 4096 (Kafka: 16384), about 2 KiB each.
	InstancesMax int
	// NamesMax is how many different metrics are kept over all clients. Default 256.
	NamesMax int
	// Delta asks for counters as differences to the last push, and not as totals. Both are
	// understood. Default false (Kafka: true): a total survives a push that is lost.
	Delta bool
}

// Subscription is what some clients are asked to push.
type Subscription struct {
	// Metrics are prefixes of the names of metrics, Everything for all. None: nothing is
	// pushed.
	Metrics []string
	// Interval between two pushes, 100 ms to 1 hour. Default 5 minutes. Of several
	// subscriptions of a client the shortest counts.
	Interval time.Duration
	// Match are the clients: by client_instance_id, client_id, client_software_name,
	// client_software_version, client_source_address and client_source_port, each a regular
	// expression that the whole value matches. All must; none: every client.
	Match map[string]*regexp.Regexp
}

// Default is what is asked of all clients every 30 seconds: prefixes under which Java's clients
// and librdkafka's both have metrics, and each kind of client (producer, consumer) has some.
func Default() []Subscription {
	return []Subscription{{Interval: 30 * time.Second, Metrics: []string{
		"org.apache.kafka.producer.connection.creation.",
		"org.apache.kafka.producer.node.request.latency.",
		"org.apache.kafka.producer.produce.throttle.time.",
		"org.apache.kafka.producer.record.queue.time.",
		"org.apache.kafka.consumer.connection.creation.",
		"org.apache.kafka.consumer.node.request.latency.",
		"org.apache.kafka.consumer.coordinator.",
		"org.apache.kafka.consumer.fetch.manager.fetch.latency.",
		"org.apache.kafka.consumer.poll.idle.ratio.",
	}}}
}

var selectors = []string{"client_instance_id", "client_id", "client_software_name", "client_software_version", "client_source_address", "client_source_port"}

// ParseSubscription reads metrics=PREFIX,… interval.ms=N match=NAME=REGEXP,… with the names of
// Kafka's client-metrics resources; each may be left out: metrics are then those of Default,
// and metrics= is none. The error names the part and what to give.
func ParseSubscription(text string) (Subscription, error) {
	s := Default()[0]
	s.Interval = intervalDefault
	for _, part := range strings.Fields(text) {
		name, value, ok := strings.Cut(part, "=")
		if !ok {
			return s, fmt.Errorf("%q: give metrics=PREFIX,…, interval.ms=N or match=NAME=REGEXP,…", part)
		}
		var err error
		switch name {
		case "metrics":
			s.Metrics = words(value)
		case "interval.ms":
			s.Interval, err = interval(value)
		case "match":
			s.Match, err = matching(words(value))
		default:
			err = fmt.Errorf("%s: there is no such part; there are metrics, interval.ms and match", name)
		}
		if err != nil {
			return s, err
		}
	}
	return s, nil
}

func words(value string) (all []string) {
	for one := range strings.SplitSeq(value, ",") {
		if one = strings.TrimSpace(one); one != "" {
			all = append(all, one)
		}
	}
	return all
}

func interval(value string) (time.Duration, error) {
	ms, err := strconv.Atoi(value)
	if d := time.Duration(ms) * time.Millisecond; err == nil && ms > 0 && d >= intervalMin && d <= intervalMax {
		return d, nil
	}
	return 0, fmt.Errorf("interval.ms=%s: give milliseconds from 100 to 3600000", value)
}

func matching(patterns []string) (map[string]*regexp.Regexp, error) {
	all := map[string]*regexp.Regexp{}
	for _, p := range patterns {
		name, pattern, ok := strings.Cut(p, "=")
		name = strings.TrimSpace(name)
		if !ok || !slices.Contains(selectors, name) {
			return nil, fmt.Errorf("match=%s: give NAME=REGEXP, with one of the names %s", p, strings.Join(selectors, ", "))
		}
		whole, err := regexp.Compile("^(?:" + strings.TrimSpace(pattern) + ")$")
		if err != nil {
			return nil, fmt.Errorf("match=%s: %w", p, err)
		}
		all[name] = whole
	}
	return all, nil
}

func (c Config) withDefaults() Config {
	if c.Subscriptions == nil {
		c.Subscriptions = Default()
	}
	c.Subscriptions = slices.Clone(c.Subscriptions)
	for i := range c.Subscriptions {
		s := &c.Subscriptions[i]
		s.Interval = cmp.Or(s.Interval, intervalDefault)
	}
	c.BytesMax = cmp.Or(c.BytesMax, 1<<20)
	c.InflatedBytesMax = cmp.Or(c.InflatedBytesMax, max(4<<20, c.BytesMax))
	c.InstancesMax = cmp.Or(c.InstancesMax, 4096)
	c.NamesMax = cmp.Or(c.NamesMax, 256)
	return c
}

// Validate reports every fault at once; nil when there is none.
func (c Config) Validate() error {
	c = c.withDefaults()
	var faults []error
	fault := func(bad bool, field string, value any, remedy string) {
		if bad {
			faults = append(faults, fmt.Errorf("telemetry: %s is %v: %s", field, value, remedy))
		}
	}
	for i, s := range c.Subscriptions {
		fault(s.Interval < intervalMin || s.Interval > intervalMax, fmt.Sprintf("Subscriptions[%d].Interval", i), s.Interval, "choose 100ms to 1h")
		for name := range s.Match {
			fault(!slices.Contains(selectors, name), fmt.Sprintf("Subscriptions[%d].Match", i), name, "choose among "+strings.Join(selectors, ", "))
		}
	}
	fault(c.BytesMax < 1 || c.BytesMax > 64<<20, "BytesMax", c.BytesMax, "choose 1 to 64 MiB")
	fault(c.InflatedBytesMax < c.BytesMax || c.InflatedBytesMax > 256<<20, "InflatedBytesMax", c.InflatedBytesMax, "choose BytesMax to 256 MiB")
	fault(c.InstancesMax < 1, "InstancesMax", c.InstancesMax, "choose 1 or more")
	fault(c.NamesMax < 1 || c.NamesMax > 1<<15, "NamesMax", c.NamesMax, "choose 1 to 32768")
	return errors.Join(faults...)
}
