package main

import (
	"compress/gzip"
	"net/http"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	paced "kring/internal/pace"
)

// scrapes answers GET /metrics. Prometheus's own handler would encode and compress all of it in one
// go, for which requests wait where there is one CPU: here that gives way to them now and then,
// as metrics.Collector does.
type scrapes struct {
	next http.Handler
	// spare keeps a compressor, which is most of a megabyte, from one scrape to the next.
	spare chan *gzip.Writer
}

// scrapesMax bounds how many are answered at once.
const scrapesMax = 4

func newScrapes(of prometheus.Gatherer) *scrapes {
	return &scrapes{
		next:  promhttp.HandlerFor(of, promhttp.HandlerOpts{MaxRequestsInFlight: scrapesMax, EnableOpenMetrics: true, DisableCompression: true}),
		spare: make(chan *gzip.Writer, 1),
	}
}

// ServeHTTP answers a scrape.
func (s *scrapes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	to := &pacedWriter{ResponseWriter: w, of: s, gzip: acceptsGzip(r.Header)}
	defer to.end()
	s.next.ServeHTTP(to, r)
}

// acceptsGzip says that a client takes compressed answers.
func acceptsGzip(h http.Header) bool {
	for _, values := range h.Values("Accept-Encoding") {
		for one := range strings.SplitSeq(values, ",") {
			name, parameters, _ := strings.Cut(one, ";")
			if strings.TrimSpace(name) != "gzip" {
				continue
			}
			q, given := strings.CutPrefix(strings.TrimSpace(parameters), "q=")
			weight, err := strconv.ParseFloat(q, 64)
			return !given || err == nil && weight > 0
		}
	}
	return false
}

// pacedWriter compresses what a client takes compressed, and rests between two writes.
type pacedWriter struct {
	http.ResponseWriter
	of    *scrapes
	gzip  bool
	began bool
	to    *gzip.Writer // nil: as it is
	turns paced.Pace
}

// WriteHeader begins the answer. Errors are not compressed.
func (w *pacedWriter) WriteHeader(status int) {
	if w.began {
		return
	}
	w.began = true
	w.Header().Add("Vary", "Accept-Encoding")
	if w.gzip && status == http.StatusOK {
		w.Header().Set("Content-Encoding", "gzip")
		w.to = w.of.compressor()
		w.to.Reset(w.ResponseWriter)
	}
	w.ResponseWriter.WriteHeader(status)
}

func (s *scrapes) compressor() *gzip.Writer {
	select {
	case c := <-s.spare:
		return c
	default:
		c, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // the level is valid
		return c
	}
}

// Write writes a piece, of some kilobytes.
func (w *pacedWriter) Write(b []byte) (n int, err error) {
	w.WriteHeader(http.StatusOK)
	w.turns.Step()
	if w.to != nil {
		return w.to.Write(b)
	}
	return w.ResponseWriter.Write(b)
}

// end completes the answer.
func (w *pacedWriter) end() {
	if w.to == nil {
		return
	}
	_ = w.to.Close() // who asked may have gone
	select {
	case w.of.spare <- w.to:
	default:
	}
}
