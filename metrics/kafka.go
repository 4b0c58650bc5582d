package metrics

import (
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"kring"
	"kring/reqchan"
)

// The prefixes of Kafka's groups of beans.
const (
	network  = "kafka_network_"
	requests = network + "requestmetrics_"
	server   = "kafka_server_"
	topics   = server + "brokertopicmetrics_"
)

// spelled has the names that Confluent's boards write differently; "socket_server_metrics"
// is one word there, too.
var spelled = map[string]string{
	requests + "requests_total":           requests + "requestspersec",
	requests + "errors_total":             requests + "errorspersec",
	requests + "deprecatedrequests_total": requests + "deprecatedrequestspersec",

	topics + "messagesin_total":            topics + "messagesinpersec",
	topics + "bytesin_total":               topics + "bytesinpersec",
	topics + "bytesout_total":              topics + "bytesoutpersec",
	topics + "bytesrejected_total":         topics + "bytesrejectedpersec",
	topics + "totalproducerequests_total":  topics + "totalproducerequestspersec",
	topics + "totalfetchrequests_total":    topics + "totalfetchrequestspersec",
	topics + "failedproducerequests_total": topics + "failedproducerequestspersec",
	topics + "failedfetchrequests_total":   topics + "failedfetchrequestspersec",

	network + "socketserver_networkprocessoravgidle_percent":         network + "socketserver_networkprocessoravgidlepercent",
	network + "acceptor_acceptorblockedpercent_count":                network + "acceptor_acceptorblockedpercent",
	server + "kafkarequesthandlerpool_requesthandleravgidle_percent": server + "kafkarequesthandlerpool_requesthandleravgidlepercent_oneminuterate",
	server + "socket_server_metrics_connections_software":            server + "socketservermetrics_connections",
}

// labelNames are the labels that the dialects write differently.
var labelNames = map[string]string{
	"networkProcessor": "network_processor", "clientSoftwareName": "client_software_name", "clientSoftwareVersion": "client_software_version",
}

// spell gives name and labels as the dialect writes them.
func (s *scrape) spell(name string, labels []label) (string, []label) {
	if s.c.options.Dialect != Confluent {
		return name, labels
	}
	if other, ok := spelled[name]; ok {
		name = other
	}
	for i := range labels {
		if other, ok := labelNames[labels[i].name]; ok {
			labels[i].name = other
		}
	}
	return strings.Replace(name, "socket_server_metrics", "socketservermetrics", 1), labels
}

func (s *scrape) kafkaCounter(name, help string, value uint64, labels ...label) {
	name, labels = s.spell(name, labels)
	s.send(kindOf(name), name, help, float64(value), labels...)
}

// kindOf is what a counter of Kafka's is sent as. In OpenMetrics, which Prometheus asks for, a
// counter's name ends with _total: one that does not would get another name there, and no
// board would find it.
func kindOf(name string) prometheus.ValueType {
	if strings.HasSuffix(name, "_total") {
		return prometheus.CounterValue
	}
	return prometheus.UntypedValue
}

func (s *scrape) kafkaGauge(name, help string, value float64, labels ...label) {
	name, labels = s.spell(name, labels)
	s.gauge(name, help, value, labels...)
}

// kafka sends the metrics that Kafka has under its names. Percents are 0 to 1.
func (s *scrape) kafka() {
	for _, r := range s.c.requests(s.now) {
		s.kafkaRequest(s.c.apiName(r.API), r)
	}
	s.fetches()
	for _, d := range s.now.Deprecated {
		s.kafkaCounter(requests+"deprecatedrequests_total", "Requests of versions that are deprecated [DeprecatedRequestsPerSec].", d.Requests,
			label{"request", s.c.apiName(d.API)}, label{"version", strconv.Itoa(int(d.Version))},
			label{"clientSoftwareName", d.Software.Name}, label{"clientSoftwareVersion", d.Software.Version})
	}
	s.kafkaServer()
	s.kafkaSockets()
	s.topics()
	s.quotas()
	s.boardVariables()
}

// kafkaServer sends what is measured once for the whole server.
func (s *scrape) kafkaServer() {
	st := &s.now
	s.kafkaGauge(network+"socketserver_networkprocessoravgidle_percent", "Share of time that processors had nothing to do, over a minute, 0 to 1 [NetworkProcessorAvgIdlePercent].", st.NetworkIdle(s.since.stats))
	s.kafkaGauge(server+"kafkarequesthandlerpool_requesthandleravgidle_percent", "Share of time that handlers had nothing to do, over a minute, 0 to 1 [RequestHandlerAvgIdlePercent].", st.HandlerIdle(s.since.stats))
	s.kafkaGauge(network+"requestchannel_requestqueuesize", "Requests in the request channel [RequestQueueSize].", float64(st.QueuedRequests))
	s.kafkaGauge(network+"requestchannel_responsequeuesize", "Answers that no processor has taken yet [ResponseQueueSize].", float64(st.Total.ResponsesWaiting))
	s.kafkaGauge(network+"socketserver_memorypoolused", "Bytes of requests that are not answered [MemoryPoolUsed].", float64(st.RequestBytes))
	s.kafkaGauge(network+"socketserver_memorypoolavailable", "Bytes that requests may still take [MemoryPoolAvailable].", float64(max(s.plan.Requests-st.RequestBytes, 0)))
	s.kafkaGauge(network+"socketserver_expiredconnectionskilledcount", "Connections that were closed because their session had expired [ExpiredConnectionsKilledCount].", float64(st.Total.Closed[reqchan.SessionExpired]))
	for _, l := range st.Listeners {
		s.kafkaCounter(network+"acceptor_acceptorblockedpercent_count", "Nanoseconds in which nothing was accepted because connections were queued [AcceptorBlockedPercent].", uint64(l.Blocked), label{"listener", l.Name})
	}
}

// stage is one of Kafka's times of a request.
type stage struct {
	kafka, own string
	of         func(r *kring.RequestStats) kring.Distribution
}

var stages = []stage{
	{"totaltimems", "total", func(r *kring.RequestStats) kring.Distribution { return r.Total }},
	{"requestqueuetimems", "request_queue", func(r *kring.RequestStats) kring.Distribution { return r.Queue }},
	{"localtimems", "local", func(r *kring.RequestStats) kring.Distribution { return r.Local }},
	{"remotetimems", "remote", func(r *kring.RequestStats) kring.Distribution { return r.Remote }},
	{"throttletimems", "throttle", func(r *kring.RequestStats) kring.Distribution { return r.Throttle }},
	{"responsequeuetimems", "response_queue", func(r *kring.RequestStats) kring.Distribution { return r.Response }},
	{"responsesendtimems", "response_send", func(r *kring.RequestStats) kring.Distribution { return r.Send }},
}

// quantiles are those of Yammer's histograms, as the exporters label them.
var quantiles = []struct {
	label string
	q     float64
}{{"0.50", 0.50}, {"0.75", 0.75}, {"0.95", 0.95}, {"0.98", 0.98}, {"0.99", 0.99}, {"0.999", 0.999}}

// kafkaRequest sends the RequestMetrics of one kind of request.
func (s *scrape) kafkaRequest(name string, r kring.RequestStats) {
	of := label{"request", name}
	for version, n := range s.versions(r) {
		s.kafkaCounter(requests+"requests_total", "Requests [RequestsPerSec].", n, of, label{"version", version})
	}
	errors := map[int16]uint64{0: 0}
	for code, n := range r.Errors {
		errors[code] += n
	}
	for code, n := range errors {
		s.kafkaCounter(requests+"errors_total", "Answers by error code; NONE is none [ErrorsPerSec].", n, of, label{"error", s.errorName(code)})
	}
	before := ofAPI(&s.since.stats, r.API)
	for _, st := range stages {
		s.quantiles(requests+st.kafka, "Milliseconds, over a minute.", st.of(&r), st.of(&before), 1e-3, of)
	}
	s.quantiles(requests+"requestbytes", "Bytes of a request, over a minute.", r.Bytes, before.Bytes, 1, of)
}

// versions gives the requests by version, those of versions that are served from 0.
func (s *scrape) versions(r kring.RequestStats) map[string]uint64 {
	by := map[string]uint64{}
	for _, a := range s.c.options.APIs {
		if a.Key == r.API {
			for v := a.Min; v <= a.Max; v++ {
				by[strconv.Itoa(int(v))] = 0
			}
		}
	}
	for v, n := range r.Versions {
		name := strconv.Itoa(int(v))
		if v < 0 {
			name = "other"
		}
		by[name] += n
	}
	return by
}

func (s *scrape) errorName(code int16) string {
	switch code {
	case 0:
		return "NONE"
	case otherCode:
		return "other"
	}
	return s.c.options.ErrorName(code)
}

// quantiles sends a histogram as Kafka's exporters do: a gauge for each quantile, and a
// count, whose name is a dialect's.
func (s *scrape) quantiles(name, help string, now, before kring.Distribution, unit float64, of label) {
	d := grown(now, before)
	for _, q := range quantiles {
		s.gauge(name, help, float64(d.Quantile(q.q))*unit, of, label{"quantile", q.label})
	}
	if s.c.options.Dialect == Confluent {
		s.gauge(name, help, float64(now.Count), of)
		return
	}
	s.send(kindOf(name+"_count"), name+"_count", "Values that the quantiles of "+name+" are of, since the start.", float64(now.Count), of)
}

// fetches sends what Kafka has beside Fetch: those of consumers and those of followers,
// of which there are none.
func (s *scrape) fetches() {
	if _, served := s.c.names[keyFetch]; !served {
		return
	}
	s.kafkaRequest("FetchConsumer", ofAPI(&s.now, keyFetch))
	s.kafkaRequest("FetchFollower", kring.RequestStats{API: noAPI})
}

const (
	keyFetch = 1
	noAPI    = -3 // of a kind that nobody sends
	// otherCode stands for all error codes that are none of the protocol.
	otherCode = -2
)
