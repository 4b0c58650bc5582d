package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kring"
	"kring/engine"
	"kring/internal/unixsock"
	"kring/kafka"
	"kring/metrics"
	"kring/quota"
	"kring/views"
)

// httpFlags are those of the HTTP side door.
type httpFlags struct {
	HTTP                string        `group:"observe" name:"http" placeholder:"ADDRESS" help:"Address of the HTTP side door, HOST:PORT or unix:PATH. It has /metrics (Prometheus), /healthz, /readyz, a status page (/), and as JSON what that shows (/status, /connections and others: docs/views.md). Whoever reaches the address may read all of it: choose one that only you reach, such as 127.0.0.1:9644. Default: there is no side door."`
	HTTPHosts           []string      `group:"observe" name:"http-hosts" placeholder:"NAME,…" help:"Names by which clients may reach --http, beside localhost, the host of its address, this machine's name, and addresses. Other names are refused, because a web page could make its own name mean this machine (DNS rebinding). *: all."`
	MetricsNames        string        `group:"observe" enum:"strimzi, confluent" default:"strimzi" help:"How /metrics spells Kafka's own metrics: ${enum}, after the dashboards that read them. Default: ${default}."`
	MetricsPerProcessor bool          `group:"observe" help:"Give /metrics series for each processor."`
	MetricsClientIDs    int           `group:"observe" name:"metrics-client-ids" placeholder:"N" default:"100" help:"Client ids that /metrics counts each for itself; all others are client_id=\"other\". Clients choose their ids, so each may cost Prometheus four series. At most 10000; 0 counts none. Default: ${default}, Kafka's bound on client software."`
	MetricsTopics       int           `group:"observe" name:"metrics-topics" placeholder:"N" default:"100" help:"Topics that /metrics counts each for itself; all others are topic=\"other\". Each costs Prometheus eight series. At most 10000; 0 counts none. Default: ${default}."`
	SlowRequest         time.Duration `group:"observe" placeholder:"DURATION" help:"Log requests that take longer, such as 500ms, with the time of each stage: ten at once, and then ten a second. What a client asks to wait for (Fetch, joining groups) does not count. Default: none, since what is slow depends on the handler."`
	Admin               adminFlags    `embed:""`
	HTTPPprof           bool          `group:"observe" name:"http-pprof" help:"Serve Go's profiles as well, at /debug/pprof/. A profile costs the server time."`
}

const (
	pprofPath = "/debug/pprof/"
	// httpConnsMax bounds the connections of the side door; more are closed.
	httpConnsMax = 64
	// httpPatience is how long a client of the side door has to send its request, and the
	// answer to be written: a profile of 30 s among them.
	httpPatience      = 10 * time.Second
	httpWritePatience = 2 * time.Minute
)

// sideDoor is the HTTP server beside the broker. A nil one does nothing.
type sideDoor struct {
	flags   httpFlags
	log     *slog.Logger
	closed  *views.Closed
	address string
	socket  *pausable
	remove  func() // its file
	owned   func() // the same, of the file of the process before, once this one has begun; nil: there is none
	server  *http.Server
	conns   atomic.Int64
	ended   chan struct{} // closed when it serves no more

	serves atomic.Pointer[http.ServeMux] // what needs the server: nil until it serves
	ready  atomic.Bool
}

// openHTTP binds the side door's address and begins to answer: /healthz at once, the
// rest once the broker serves. later: another process has the address still (see inherit).
func (c *serveCmd) openHTTP(log *slog.Logger, later bool) (*sideDoor, error) {
	if c.HTTP.HTTP == "" {
		return nil, nil
	}
	d := &sideDoor{flags: c.HTTP, log: log, closed: &views.Closed{}, remove: func() {}, ended: make(chan struct{})}
	d.server = &http.Server{
		Handler: newHTTPGuard(c.HTTP.HTTP, c.HTTP.HTTPHosts, d.mux()), ConnState: d.count,
		ReadHeaderTimeout: httpPatience, ReadTimeout: httpPatience, WriteTimeout: httpWritePatience, IdleTimeout: time.Minute,
		MaxHeaderBytes: 16 << 10,
		ErrorLog:       slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	if later {
		return d, nil
	}
	return d, d.listen()
}

// listen binds the address and begins to answer.
func (d *sideDoor) listen() error {
	socket, remove, err := listenHTTP(d.flags.HTTP)
	if err != nil {
		return fmt.Errorf("--http %s: %w; give an address of this machine that is free, HOST:PORT or unix:PATH", d.flags.HTTP, err)
	}
	d.take(socket, remove)
	return nil
}

// take begins to answer on a socket.
func (d *sideDoor) take(socket net.Listener, remove func()) {
	d.socket, d.remove, d.address = &pausable{deadlined: socket.(deadlined)}, remove, socket.Addr().String()
	go func() {
		defer close(d.ended)
		if err := d.server.Serve(d.socket); !errors.Is(err, http.ErrServerClosed) {
			d.log.Error("--http: the side door ended; the broker goes on", "error", err)
		}
	}()
	d.log.Info("http", "address", d.address)
}

// listenHTTP binds an address. As with other listeners, the file of a Unix domain socket that
// nobody listens on any more is replaced: a process that was killed leaves it behind, and the
// next one must start. remove removes it.
func listenHTTP(address string) (socket net.Listener, remove func(), err error) {
	path, unix := engine.UnixPath(address)
	if !unix {
		socket, err = net.Listen("tcp", address)
		return socket, func() {}, err
	}
	return unixsock.Listen(path, 0)
}

// mux answers what needs no broker, and passes on the rest once there is one.
func (d *sideDoor) mux() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !d.ready.Load() {
			http.Error(w, "not ready: starting or draining", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ready")
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if serves := d.serves.Load(); serves != nil {
			serves.ServeHTTP(w, r)
			return
		}
		http.Error(w, "not ready: starting", http.StatusServiceUnavailable)
	})
	if d.flags.HTTPPprof {
		mux.HandleFunc(pprofPath, pprof.Index)
		mux.HandleFunc("/debug/pprof/cmdline", func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, os.Args[0]) // pprof.Cmdline shows the flags, which may have passwords
		})
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	return mux
}

// count closes connections beyond httpConnsMax.
func (d *sideDoor) count(conn net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		if d.conns.Add(1) > httpConnsMax {
			_ = conn.Close()
		}
	case http.StateClosed, http.StateHijacked:
		d.conns.Add(-1)
	}
}

// watch has the connections that end remembered for /connections.
func (d *sideDoor) watch(e *kring.Events) {
	if d == nil {
		return
	}
	next := e.ConnClosed
	e.ConnClosed = func(c *kring.Conn, why kring.CloseReason) {
		d.closed.Add(c, why)
		if next != nil {
			next(c, why)
		}
	}
}

// begin shows the server, which serves from now on.
func (d *sideDoor) begin(server *kring.Server, served service) error {
	if d == nil {
		return nil
	}
	options := metrics.Options{
		Dialect: metrics.Dialect(d.flags.MetricsNames), PerProcessor: d.flags.MetricsPerProcessor,
		APIs: metricsAPIs(served.apis), Leaders: served.leaders, ErrorName: errorName, Version: programVersion(),
		Authentications: served.authentications,
	}
	if served.topics != nil {
		options.Topics = func() (map[string]metrics.TopicTraffic, metrics.TopicTraffic, metrics.TopicTraffic) {
			return shownTopics(served.topics)
		}
	}
	if served.quotas != nil {
		options.Quotas, options.QuotasMax = func() []metrics.QuotaUse { return shownQuotas(served.quotas) }, d.flags.MetricsClientIDs
		if options.QuotasMax == 0 {
			options.QuotasMax = -1 // none
		}
	}
	if served.telemetry != nil {
		options.Telemetry = served.telemetry
	}
	collector, err := metrics.New(server, options)
	if err != nil {
		return err
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", newScrapes(registry))
	if served.upstreams != nil {
		registry.MustRegister(served.upstreams)
		mux.Handle("GET /upstreams", served.upstreams)
	}
	d.addViews(mux, server, served)
	d.serves.Store(mux)
	d.ready.Store(true)
	if d.owned != nil {
		d.remove = d.owned
	}
	d.socket.resume()
	return nil
}

// drain says that the broker is about to end.
func (d *sideDoor) drain() {
	if d != nil {
		d.ready.Store(false)
	}
}

// end closes the side door; who is being answered has a second.
func (d *sideDoor) end() {
	if d == nil || d.socket == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	d.remove()
	if d.server.Shutdown(ctx) != nil {
		_ = d.server.Close()
	}
	<-d.ended
}

func (f *httpFlags) validate() (faults []error) {
	if f.HTTP == "" && (f.HTTPPprof || f.MetricsPerProcessor || f.Admin.HTTPAdmin) {
		faults = append(faults, errors.New("--http-pprof, --http-admin and --metrics-per-processor need --http ADDRESS"))
	}
	if f.MetricsClientIDs < 0 {
		faults = append(faults, fmt.Errorf("--metrics-client-ids %d: give 0 (none) or more", f.MetricsClientIDs))
	}
	if f.MetricsTopics < 0 || f.MetricsTopics > metricsTopicsMax {
		faults = append(faults, fmt.Errorf("--metrics-topics %d: give 0 (none) to %d", f.MetricsTopics, metricsTopicsMax))
	}
	if f.SlowRequest < 0 {
		faults = append(faults, fmt.Errorf("--slow-request %v: give 0s (none) or more", f.SlowRequest))
	}
	return faults
}

// measure says what is measured for the side door and the log.
func (f *httpFlags) measure(cfg *kring.Config) {
	cfg.Measure.SlowRequest = f.SlowRequest
	if f.HTTP != "" {
		cfg.Measure.ClientIDsMax = f.MetricsClientIDs
	}
}

// metricsTopicsMax bounds --metrics-topics: more series than that serve nobody.
const metricsTopicsMax = 10_000

// shownTopics are what counts has, as it is shown.
func shownTopics(counts *kafka.TopicCounts) (by map[string]metrics.TopicTraffic, other, all metrics.TopicTraffic) {
	topics, rest, sum := counts.All()
	by = make(map[string]metrics.TopicTraffic, len(topics))
	for name, t := range topics {
		by[name] = metrics.TopicTraffic(t)
	}
	return by, metrics.TopicTraffic(rest), metrics.TopicTraffic(sum)
}

// shownQuotas are those that q measures, as they are shown.
func shownQuotas(q *quota.Quotas) (shown []metrics.QuotaUse) {
	for _, u := range q.Usage() {
		shown = append(shown, metrics.QuotaUse{
			Kind: u.Kind.String(), User: u.Entity.User, ClientID: u.Entity.ClientID, IP: u.Entity.IP,
			PerSecond: u.PerSecond, Limit: u.Limit, Throttle: u.Throttle,
		})
	}
	return shown
}

// metricsAPIs are the requests that are served, under Kafka's names.
func metricsAPIs(v kafka.Versions) (apis []metrics.API) {
	for _, r := range v.All() {
		apis = append(apis, metrics.API{Key: r.Key, Name: kmsg.NameForKey(r.Key), Min: r.Min, Max: r.Max})
	}
	return apis
}

// errorName is Kafka's name of an error code.
func errorName(code int16) string {
	if e := kerr.TypedErrorForCode(code); e != nil {
		return e.Message
	}
	return fmt.Sprint(code)
}
