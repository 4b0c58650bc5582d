package metrics_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"kring"
	"kring/internal/servertest"
	"kring/metrics"
	"kring/reqchan"
	"kring/telemetry"
)

// bench is a handler whose requests do what their text says.
type bench struct {
	service
	held chan kring.Request
}

func (b bench) Handle(r kring.Request) {
	c := r.Conn()
	c.SetSoftware(reqchan.Software{Name: "apache-kafka-java", Version: "4.1.0"})
	c.SetClientID([]byte("client " + c.ID.String()))
	switch text := string(r.Payload()[2:]); text {
	case "hold":
		b.held <- r
	case "expired":
		r.CloseConnection(kring.ReasonSessionExpired)
	case "throttle":
		r.Throttle(time.Hour)
		r.Respond(r.Payload())
	default:
		r.Respond(r.Payload())
	}
}

// row looks at the series of one server, in one dialect.
type row struct {
	t      *testing.T
	scrape func() families
	name   func(strimzi, confluent string) string
	group  string // the prefix of socket-server-metrics
	inline bool
	memory float64 // that requests may take in all
}

// is wants a series to have a value, soon.
func (r row) is(want float64, family string, labels ...string) {
	r.t.Helper()
	r.within(want, want, family, labels...)
}

// within wants a series to have a value from least to most, soon.
func (r row) within(least, most float64, family string, labels ...string) {
	r.t.Helper()
	servertest.Eventually(r.t, fmt.Sprintf("%s%q is %v to %v", family, labels, least, most), func() bool {
		got, there := r.scrape().value(family, labels...)
		return there && got >= least && got <= most
	})
}

// software are the labels of a client's software.
func (r row) software() []string {
	return []string{r.name("clientSoftwareName", "client_software_name"), "apache-kafka-java", r.name("clientSoftwareVersion", "client_software_version"), "4.1.0"}
}

// TestEveryRowOfTheTableIsThereAndMoves, in both dialects, on each engine: what the first test
// of this package does not look at, against a load that is known.
func TestEveryRowOfTheTableIsThereAndMoves(t *testing.T) {
	for dialect, name := range map[metrics.Dialect]func(strimzi, confluent string) string{
		metrics.Strimzi:   func(s, _ string) string { return s },
		metrics.Confluent: func(_, c string) string { return c },
	} {
		servertest.Each(t, func(t *testing.T, cfg kring.Config) {
			cfg.Measure.ClientIDsMax = 3
			cfg.Limits.ThrottleMax = time.Hour
			cfg.Dispatch.Deprecated = func(key, version int16) bool { return key == 0 && version == 3 }
			h := bench{held: make(chan kring.Request, 8)}
			s := servertest.Start(t, cfg, h)
			_, scrape := scraper(t, s, metrics.Options{Dialect: dialect, APIs: apis})
			r := row{t, scrape, name, name("kafka_server_socket_server_metrics_", "kafka_server_socketservermetrics_"), cfg.Dispatch.Mode == kring.DispatchInline, float64(s.MemoryPlan().Requests)}
			clients := make([]*servertest.Client, 5)
			for i := range clients {
				clients[i] = servertest.Dial(t, s)
				clients[i].Ask("\x00\x03hello", "\x00\x03hello")
			}
			r.afterFiveRequests(s.Listeners()[0].Name)
			r.ofAHeldRequest(clients[0], h.held)
			r.ofAThrottledOne(clients[1])
			r.ofOneThatExpires(clients[2], s.Listeners()[0].Name)
			r.is(2, "kring_client_connections", "client_id", "other")
			for _, c := range clients {
				c.Reset()
			}
			r.is(0, "kring_client_connections", "client_id", "other")
			servertest.Eventually(t, "no client id is left", func() bool { return len(scrape()["kring_client_connections"].GetMetric()) == 1 })
		})
	}
}

func (r row) afterFiveRequests(listener string) {
	r.is(5, r.group+"connection_count", "listener", listener)
	r.is(5, r.name(r.group+"connections_software", r.group+"connections"), r.software()...)
	r.is(5, r.group+"request_total")
	r.is(5, r.group+"response_total")
	r.within(1e-9, 1e9, r.group+"incoming_byte_rate")
	r.within(1e-9, 1e9, r.group+"outgoing_byte_rate")
	r.within(1e-9, 1e9, r.group+"connection_creation_rate", "listener", listener)
	r.is(5, r.name("kafka_network_requestmetrics_deprecatedrequests_total", "kafka_network_requestmetrics_deprecatedrequestspersec"),
		"request", "Produce", "version", "3", r.software()[0], "", r.software()[2], "") // the first request of each, before it said
	r.within(0, 1, r.name("kafka_network_socketserver_networkprocessoravgidle_percent", "kafka_network_socketserver_networkprocessoravgidlepercent"))
	r.within(0, 1, r.group+"io_wait_ratio")
	r.within(0, 1, r.name("kafka_server_kafkarequesthandlerpool_requesthandleravgidle_percent", "kafka_server_kafkarequesthandlerpool_requesthandleravgidlepercent_oneminuterate"))
	r.is(0, r.name("kafka_network_acceptor_acceptorblockedpercent_count", "kafka_network_acceptor_acceptorblockedpercent"), "listener", listener)
	r.is(0, "kafka_network_requestchannel_requestqueuesize")
	r.is(0, "kafka_network_requestchannel_responsequeuesize")
}

func (r row) ofAHeldRequest(c *servertest.Client, held chan kring.Request) {
	c.Send("\x01\x04hold")
	request := <-held
	least := 1.0
	if r.inline { // the frame lies in a receive buffer, which is the engine's
		least = 0
	}
	r.within(least, 1<<30, "kafka_network_socketserver_memorypoolused")
	r.within(1, r.memory-least, "kafka_network_socketserver_memorypoolavailable")
	r.within(least, 1<<30, "kring_request_memory_bytes")
	request.Respond([]byte("\x00\x00late"))
	c.Receive()
	r.within(0, 1e9, "kafka_network_requestmetrics_remotetimems", "request", "Fetch", "quantile", "0.99")
}

func (r row) ofAThrottledOne(c *servertest.Client) {
	c.Ask("\x01\x04throttle", "\x01\x04throttle")
	r.within(1, 4e6, "kafka_network_requestmetrics_throttletimems", "request", "Fetch", "quantile", "0.999")
	r.within(1, 1e4, "kafka_network_requestmetrics_requestbytes", "request", "Fetch", "quantile", "0.50")
	r.is(1, "kring_throttles_total")
}

func (r row) ofOneThatExpires(c *servertest.Client, listener string) {
	c.Send("\x01\x04expired")
	c.AwaitClose()
	r.is(1, "kafka_network_socketserver_expiredconnectionskilledcount")
	r.is(4, r.group+"connection_count", "listener", listener)
	r.is(1, r.group+"connection_close_total", "listener", listener)
	r.within(1e-9, 1e9, r.group+"connection_close_rate", "listener", listener)
}

// TestTheRequestQueueIsAsLongAsItIs: with its one handler held, what comes waits.
func TestTheRequestQueueIsAsLongAsItIs(t *testing.T) {
	servertest.EachEngine(t, func(t *testing.T, cfg kring.Config) {
		cfg.Dispatch.Mode, cfg.Dispatch.Handlers = kring.DispatchPool, 1
		goOn, began := make(chan struct{}), make(chan struct{}, 1)
		s := servertest.Start(t, cfg, kring.HandlerFunc(func(r kring.Request) {
			if string(r.Payload()) == "block" {
				began <- struct{}{}
				<-goOn
			}
			r.Respond(r.Payload())
		}))
		_, scrape := scraper(t, s, metrics.Options{})
		servertest.Dial(t, s).Send("block")
		<-began
		for range 4 {
			servertest.Dial(t, s).Send("wait")
		}
		servertest.Eventually(t, "four wait", func() bool {
			got := scrape()
			n, _ := got.value("kafka_network_requestchannel_requestqueuesize")
			own, _ := got.value("kring_queued_requests", "lane", "ordinary")
			most, _ := got.value("kring_queued_requests_max", "lane", "ordinary")
			return n == 4 && own == 4 && most == 500
		})
		close(goOn)
	})
}

// pushed is a telemetry with two clients.
func pushed(t *testing.T) *telemetry.State {
	t.Helper()
	s, err := telemetry.New(telemetry.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s.Push(time.Now(), telemetry.Client{}, telemetry.Push{}) // is refused
	return s
}

// exposition is what a scraper gets that accepts a format.
func exposition(t *testing.T, s *kring.Server, dialect metrics.Dialect, accept string) string {
	t.Helper()
	registry, _ := scraper(t, s, metrics.Options{Dialect: dialect, APIs: apis, PerProcessor: true, Telemetry: pushed(t), Leaders: func() (int, bool) { return 3, true }})
	w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/metrics", nil)
	r.Header.Set("Accept", accept)
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true}).ServeHTTP(w, r)
	return w.Body.String()
}

var sample = regexp.MustCompile(`(?m)^([a-zA-Z_:][a-zA-Z0-9_:]*)[{ ]`)

// TestTheExpositionIsOfTheFormAndHasTheSameNamesInEveryFormat: promtool's lint takes all of it
// in both dialects, but for names that are Kafka's; and a server that asks for OpenMetrics, as
// Prometheus does, finds the names that the boards have.
func TestTheExpositionIsOfTheFormAndHasTheSameNamesInEveryFormat(t *testing.T) {
	s := servertest.Start(t, servertest.Config(kring.EnginePortable, kring.DispatchInline), bench{})
	servertest.Dial(t, s).Ask("\x00\x03hello", "\x00\x03hello")
	servertest.Eventually(t, "all series are there", func() bool {
		all := s.Stats().Requests
		return len(all) == 1 && all[0].Total.Count == 1 && len(s.Stats().Software) == 1 && s.Stats().Software[0].Name != "unknown"
	})
	for _, dialect := range []metrics.Dialect{metrics.Strimzi, metrics.Confluent} {
		text := exposition(t, s, dialect, "text/plain")
		problems, err := promlint.New(strings.NewReader(text)).Lint()
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range problems {
			if !strings.HasPrefix(p.Metric, "kafka_") {
				t.Errorf("%s: %s: %s", dialect, p.Metric, p.Text)
			}
		}
		open := exposition(t, s, dialect, "application/openmetrics-text; version=1.0.0")
		if !strings.HasSuffix(open, "# EOF\n") {
			t.Fatalf("%s: no OpenMetrics: %.200s", dialect, open)
		}
		names := func(of string) (all []string) {
			for _, m := range sample.FindAllStringSubmatch(of, -1) {
				all = append(all, m[1])
			}
			slices.Sort(all)
			return slices.Compact(all)
		}
		if is, want := names(open), names(text); !slices.Equal(is, want) {
			only := func(a, b []string) []string {
				return slices.DeleteFunc(slices.Clone(a), func(name string) bool { return slices.Contains(b, name) })
			}
			t.Errorf("%s: in OpenMetrics alone %q, in text alone %q", dialect, only(is, want), only(want, is))
		}
	}
}

// TestTheBuildSaysWhatItLacks: what this kernel, or a setting, keeps an engine from.
func TestTheBuildSaysWhatItLacks(t *testing.T) {
	source := &idle{}
	_, scrape := scraper(t, source, metrics.Options{Version: "1.2.3"})
	info := scrape()["kring_build_info"].GetMetric()[0]
	got := map[string]string{}
	for _, l := range info.Label {
		got[l.GetName()] = l.GetValue()
	}
	if got["version"] != "1.2.3" || got["engine"] != string(kring.EngineEpoll) || got["why"] != "a test" || got["goversion"] == "" {
		t.Errorf("%v", got)
	}
}

// TestSeriesOfProcessorsAreThereOnlyWhenAskedFor.
func TestSeriesOfProcessorsAreThereOnlyWhenAskedFor(t *testing.T) {
	cfg := servertest.Config(kring.EnginePortable, kring.DispatchInline)
	cfg.Processors.Count = 2
	s := servertest.Start(t, cfg, service{})
	for _, asked := range []bool{false, true} {
		_, scrape := scraper(t, s, metrics.Options{PerProcessor: asked})
		_, summed := scrape().value("kafka_server_socket_server_metrics_request_total")
		_, single := scrape().value("kafka_server_socket_server_metrics_request_total", "networkProcessor", "1")
		if summed == asked || single != asked {
			t.Errorf("asked for: %v, summed: %v, of a processor: %v", asked, summed, single)
		}
	}
}
