package metrics_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"kring"
	"kring/internal/servertest"
	"kring/metrics"
)

// TestTopicsAndQuotasHaveKafkasNames, in both dialects; topics that share a place are one
// series, and quotas are shown within their bound.
func TestTopicsAndQuotasHaveKafkasNames(t *testing.T) {
	traffic := func(n uint64) metrics.TopicTraffic {
		return metrics.TopicTraffic{BytesIn: n, Records: n + 1, BytesRejected: n + 2, BytesOut: n + 3, Produces: n + 4, Fetches: n + 5, FailedProduces: n + 6, FailedFetches: n + 7}
	}
	names := map[string]uint64{"bytesin": 0, "messagesin": 1, "bytesrejected": 2, "bytesout": 3, "totalproducerequests": 4, "totalfetchrequests": 5, "failedproducerequests": 6, "failedfetchrequests": 7}
	s := servertest.Start(t, servertest.Config(kring.EngineEpoll, kring.DispatchPool), servertest.Echo)
	for dialect, ending := range map[metrics.Dialect]string{metrics.Strimzi: "_total", metrics.Confluent: "persec"} {
		_, scrape := scraper(t, s, metrics.Options{Dialect: dialect, QuotasMax: 4,
			Topics: func() (map[string]metrics.TopicTraffic, metrics.TopicTraffic, metrics.TopicTraffic) {
				return map[string]metrics.TopicTraffic{"orders": traffic(100), "other": {}}, traffic(200), traffic(1000)
			},
			Quotas: func() (all []metrics.QuotaUse) {
				for i := range 10 {
					all = append(all, metrics.QuotaUse{Kind: "requests", ClientID: fmt.Sprint(i), PerSecond: 1, Limit: 10})
				}
				return append(all,
					metrics.QuotaUse{Kind: "produce-bytes", User: "alice", PerSecond: 70, Limit: 100, Throttle: 1500 * time.Millisecond},
					metrics.QuotaUse{Kind: "handler-percent", User: "bob", ClientID: "b", PerSecond: 9, Limit: 10, Throttle: time.Millisecond},
					metrics.QuotaUse{Kind: "fetch-bytes", IP: "192.0.2.1", PerSecond: 10, Limit: 20})
			}})
		got := scrape()
		is := func(want float64, family string, labels ...string) {
			t.Helper()
			if v, there := got.value(family, labels...); !there || v != want {
				t.Errorf("%s: %s%q is %v (%v), want %v", dialect, family, labels, v, there, want)
			}
		}
		for name, n := range names {
			family := "kafka_server_brokertopicmetrics_" + name + ending
			is(float64(1000+n), family)
			is(float64(100+n), family, "topic", "orders")
			is(float64(200+n), family, "topic", "other")
		}
		is(70, "kafka_server_quota_byte_rate", "resource", "Produce", "user", "alice", "clientId", "")
		is(1500, "kafka_server_quota_throttle_time", "resource", "Produce", "user", "alice", "clientId", "")
		is(9, "kafka_server_quota_request_time", "resource", "Request", "user", "bob", "clientId", "b")
		is(20, "kring_quota_limit", "kind", "fetch-bytes", "user", "", "client_id", "", "ip", "192.0.2.1")
		is(1, "kring_quota_use", "kind", "requests", "user", "", "client_id", "0", "ip", "")
		is(1.5, "kring_quota_throttle_seconds", "kind", "produce-bytes", "user", "alice", "client_id", "", "ip", "")
		if n := len(got["kring_quota_use"].GetMetric()); n != 4 {
			t.Errorf("%s: %d quotas are shown of 4", dialect, n)
		}
	}
}

// TestNamesThatClientsChoseSpoilNoScrape: client ids are any bytes, as many as a frame holds.
func TestNamesThatClientsChoseSpoilNoScrape(t *testing.T) {
	s := servertest.Start(t, servertest.Config(kring.EngineEpoll, kring.DispatchPool), servertest.Echo)
	long := strings.Repeat("x", 1<<15)
	_, scrape := scraper(t, s, metrics.Options{QuotasMax: 10, Quotas: func() (all []metrics.QuotaUse) {
		for _, id := range []string{"\xff", "\xfe", long, long + "y", "plain"} {
			all = append(all, metrics.QuotaUse{Kind: "produce-bytes", ClientID: id, PerSecond: 1, Limit: 10})
		}
		return all
	}, Topics: func() (map[string]metrics.TopicTraffic, metrics.TopicTraffic, metrics.TopicTraffic) {
		return map[string]metrics.TopicTraffic{"a \xff topic": {}}, metrics.TopicTraffic{}, metrics.TopicTraffic{}
	}})
	got := scrape()
	if _, shown := got.value("kafka_server_brokertopicmetrics_bytesin_total", "topic", "a \uFFFD topic"); !shown {
		t.Error("a topic whose name is no text is not shown")
	}
	if n := len(got["kring_quota_use"].GetMetric()); n != 3 {
		t.Errorf("%d quotas are shown, want one of each that look alike: 3", n)
	}
	for _, m := range got["kring_quota_use"].GetMetric() {
		for _, l := range m.GetLabel() {
			if len(l.GetValue()) > 256 {
				t.Errorf("a label of %d bytes", len(l.GetValue()))
			}
		}
	}
}
