package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/twmb/franz-go/pkg/kgo"

	paced "kring/internal/pace"
)

// expositions are those that Prometheus asks for.
var expositions = map[string]string{
	"text":        "text/plain;version=0.0.4",
	"OpenMetrics": "application/openmetrics-text;version=1.0.0",
	"protobuf":    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
}

// TestScrapesAreCompressedForWhoTakesThat, in every format, and say the same.
func TestScrapesAreCompressedForWhoTakesThat(t *testing.T) {
	registry := prometheus.NewRegistry()
	of := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "kring_many", Help: "So many that it takes several writes."}, []string{"n"})
	registry.MustRegister(of)
	for n := range 2000 {
		of.WithLabelValues(strings.Repeat("x", n%90) + string(rune('a'+n%26))).Set(float64(n))
	}
	s := newScrapes(registry)
	for name, accept := range expositions {
		var plain string
		for _, tt := range []struct {
			takes      string
			compressed bool
		}{{"", false}, {"gzip", true}, {"br, gzip;q=0.5", true}, {"gzip;q=0", false}, {"gzip;q=x", false}, {"gzipped", false}, {"deflate, GZIP", false}} {
			for range 2 { // with the compressor of the first
				r := httptest.NewRequest("GET", "/metrics", nil)
				r.Header.Set("Accept", accept)
				r.Header.Set("Accept-Encoding", tt.takes)
				w := httptest.NewRecorder()
				s.ServeHTTP(w, r)
				body := w.Body.Bytes()
				if is := w.Header().Get("Content-Encoding") == "gzip"; is != tt.compressed || !slices.Contains(w.Header().Values("Vary"), "Accept-Encoding") {
					t.Fatalf("%s, Accept-Encoding %q: %v", name, tt.takes, w.Header())
				}
				if tt.compressed {
					in, err := gzip.NewReader(w.Body)
					if err != nil {
						t.Fatal(err)
					}
					if body, err = io.ReadAll(in); err != nil {
						t.Fatal(err)
					}
				}
				if plain == "" {
					plain = string(body)
				}
				if string(body) != plain || !strings.Contains(plain, "kring_many") {
					t.Fatalf("%s, Accept-Encoding %q: another answer, of %d bytes and not %d", name, tt.takes, len(body), len(plain))
				}
			}
		}
	}
}

// TestAScrapeThatFailsSaysSo, and is not compressed.
func TestAScrapeThatFailsSaysSo(t *testing.T) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(failingCollector{})
	r := httptest.NewRequest("GET", "/metrics", nil)
	r.Header.Set("Accept-Encoding", "gzip")
	w := httptest.NewRecorder()
	newScrapes(registry).ServeHTTP(w, r)
	if w.Code != http.StatusInternalServerError || w.Header().Get("Content-Encoding") != "" || !strings.Contains(w.Body.String(), "label") {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
}

// failingCollector has a metric that can't be shown.
type failingCollector struct{}

func (failingCollector) Describe(chan<- *prometheus.Desc) {}

func (failingCollector) Collect(to chan<- prometheus.Metric) {
	to <- prometheus.MustNewConstMetric(prometheus.NewDesc("kring_bad", "", []string{"label"}, nil), prometheus.GaugeValue, 1, "fine")
	to <- prometheus.MustNewConstMetric(prometheus.NewDesc("kring_bad", "", []string{"label"}, nil), prometheus.GaugeValue, 1, "fine")
}

// TestTheWriterOfAScrapeRests: between writes, when its turn is over.
func TestTheWriterOfAScrapeRests(t *testing.T) {
	now, rests := int64(1), 0
	w := &pacedWriter{ResponseWriter: httptest.NewRecorder(), of: newScrapes(prometheus.NewRegistry())}
	w.turns = paced.Pace{Now: func() int64 { return now }, Sleep: func(time.Duration) { rests++ }}
	const writes = 50
	for range writes {
		if _, err := w.Write([]byte("a piece")); err != nil {
			t.Fatal(err)
		}
		now += int64(paced.Turn)/2 + 1
	}
	if rests != writes/2-1 && rests != writes/2 {
		t.Errorf("%d rests in %d half turns", rests, writes)
	}
}

// TestAClientIDThatIsNoTextSpoilsNoExposition: it may be any bytes. Neither the formats of /metrics
// nor JSON can say them.
func TestAClientIDThatIsNoTextSpoilsNoExposition(t *testing.T) {
	args, door := withHTTP(t, "--seed-topic", "orders:1", "--quota", "client-id=*,fetch-bytes=1e12,produce-bytes=1e12")
	c := serve(t, args...)
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	for _, id := range []string{"bad\xff", "bad\xfe\xff", strings.Repeat("\xf0", 250)} {
		client, err := kgo.NewClient(kgo.SeedBrokers(c.addr), kgo.ClientID(id), kgo.DefaultProduceTopic("orders"), kgo.ConsumeTopics("orders"))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		if err := client.ProduceSync(ctx, kgo.StringRecord("v")).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := client.PollFetches(ctx).Err0(); err != nil {
			t.Fatal(err)
		}
	}
	get := func(path, accept string) []byte {
		t.Helper()
		r, err := http.NewRequestWithContext(ctx, "GET", "http://kring"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept", accept)
		resp, err := door.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s as %s: %d, %v: %s", path, accept, resp.StatusCode, err, body)
		}
		return body
	}
	until(t, "all that was asked is counted", func() bool { // who reads an answer may be before it
		return bytes.Contains(get("/metrics", expositions["text"]), []byte("kring_client_requests_total"))
	})
	for name, accept := range expositions {
		body := get("/metrics", accept)
		if name != "protobuf" && !utf8.Valid(body) {
			t.Errorf("%s is no UTF-8", name)
		}
		shown := exposedBy(name, body)
		for _, family := range []string{"kring_client_requests_total", "kring_quota_use", "kafka_server_quota_byte_rate"} {
			if !strings.Contains(shown, family) {
				t.Errorf("%s has no %s", name, family)
			}
		}
	}
	until(t, "all connections are listed", func() bool { // a busy machine may keep a processor from it
		return bytes.Contains(get("/connections", "application/json"), []byte("bad\uFFFD"))
	})
	for _, path := range []string{"/connections", "/producers", "/status", "/processors"} {
		body := get(path, "application/json")
		var any map[string]any
		if err := json.Unmarshal(body, &any); err != nil || !utf8.Valid(body) {
			t.Errorf("%s: %v, UTF-8: %v", path, err, utf8.Valid(body))
		}
		if shows := bytes.Contains(body, []byte("bad\uFFFD")); shows != (path == "/connections" || path == "/producers") {
			t.Errorf("%s: the ids are shown: %v", path, shows)
		}
	}
}

// exposedBy is what a format of /metrics shows, as text.
func exposedBy(format string, body []byte) (shown string) {
	if format != "protobuf" {
		return string(body)
	}
	for in := expfmt.NewDecoder(bytes.NewReader(body), expfmt.NewFormat(expfmt.TypeProtoDelim)); ; {
		var f dto.MetricFamily
		if in.Decode(&f) != nil {
			return shown
		}
		shown += f.String()
	}
}
