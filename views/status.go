package views

import (
	"net/http"
	"strconv"
	"time"

	"kring"
	"kring/internal/measure"
)

// Status is the server at one look, as JSON. Counts are since its start, so that a reader
// takes two and divides by the time between them. docs/views.md says what each field means.
type Status struct {
	At           time.Time         `json:"at"`
	Version      string            `json:"version"`
	UptimeMillis int64             `json:"uptime_ms"`
	Engine       string            `json:"engine"`
	Why          string            `json:"why"`
	Admin        bool              `json:"admin"`
	Open         int64             `json:"open"`
	Waiting      int64             `json:"waiting"`
	Accepted     uint64            `json:"accepted"`
	Refused      uint64            `json:"refused"`
	Closed       map[string]uint64 `json:"closed"`
	Requests     uint64            `json:"requests"`
	Responses    uint64            `json:"responses"`
	BytesIn      uint64            `json:"bytes_in"`
	BytesOut     uint64            `json:"bytes_out"`
	Queued       int               `json:"queued_requests"`
	Processors   int               `json:"processors"`
	IdleNanos    int64             `json:"idle_ns"`
	AliveNanos   int64             `json:"alive_ns"`
	Handlers     int               `json:"handlers"`
	HandlersBusy int               `json:"handlers_busy"`
	Limits       []Limit           `json:"limits"`
	APIs         []API             `json:"apis"`
}

// Limit is a bound over all connections, and how near it is, as JSON.
type Limit struct {
	Name string `json:"name"`
	Unit string `json:"unit"`
	Used int64  `json:"used"`
	Max  int64  `json:"max"`
}

// API is what the requests of one API have done, as JSON.
type API struct {
	Key      int16  `json:"key"`
	Name     string `json:"name"`
	LongPoll bool   `json:"long_poll"`
	Requests uint64 `json:"requests"`
	Errors   uint64 `json:"errors"`
	// Latency is the distribution of their total time: pairs of an upper bound in
	// microseconds and how many took less, and no less than the bound before.
	Latency [][2]uint64 `json:"latency_us"`
}

// status answers GET /status.
func (v *View) status(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, v.now()) }

func (v *View) now() Status {
	st := v.Source.Stats()
	s := Status{
		At: time.Now().UTC(), Version: v.Version, Admin: v.Admin,
		Open: st.Open, Waiting: st.Waiting, Accepted: st.Accepted, Refused: st.Refused + st.Unassigned, Closed: st.ClosedBy(),
		Requests: st.Total.Requests, Responses: st.Total.Responses, BytesIn: st.Total.BytesIn, BytesOut: st.Total.BytesOut,
		Queued: st.QueuedRequests, Processors: len(st.Processors),
		IdleNanos: st.Total.IdleNanos, AliveNanos: st.Total.AliveNanos,
		Handlers: int(st.Handlers.Handlers), HandlersBusy: int(st.Handlers.Busy), APIs: []API{},
	}
	for _, p := range st.Processors {
		s.UptimeMillis = max(s.UptimeMillis, p.AliveNanos/1e6)
	}
	if e, is := v.Source.(interface {
		Engine() kring.Engine
		Why() string
	}); is {
		s.Engine, s.Why = string(e.Engine()), e.Why()
	}
	s.Limits = v.limits(&st)
	for i := range st.Requests {
		if r := &st.Requests[i]; r.Total.Count > 0 {
			s.APIs = append(s.APIs, v.api(r))
		}
	}
	return s
}

// limits are the bounds over all connections that there are.
func (v *View) limits(st *kring.Stats) []Limit {
	all := []Limit{}
	add := func(name, unit string, used, most int64) {
		if most > 0 {
			all = append(all, Limit{name, unit, used, most})
		}
	}
	if p, is := v.Source.(interface{ MemoryPlan() kring.MemoryPlan }); is {
		plan := p.MemoryPlan()
		add("connections", "", st.Open, int64(plan.ConnsMax))
		add("request_memory", "bytes", st.RequestBytes, plan.Requests)
		add("held_memory", "bytes", st.MemoryHeld, plan.Held)
	}
	add("response_memory", "bytes", st.Responses.Used, st.Responses.Max)
	add("busy_handlers", "", int64(st.Handlers.Busy), int64(st.Handlers.Handlers))
	return all
}

func (v *View) api(r *kring.RequestStats) API {
	a := API{Key: r.API, Name: v.apiName(r.API), LongPoll: v.LongPoll != nil && v.LongPoll(r.API), Requests: r.Total.Count, Latency: coarse(r.Total)}
	for code, n := range r.Errors {
		if code != 0 {
			a.Errors += n
		}
	}
	return a
}

// coarse are the buckets of d, at most four to a doubling: a page that is polled need not
// carry more.
func coarse(d measure.Distribution) [][2]uint64 {
	all := [][2]uint64{}
	for _, b := range d.Buckets {
		upTo := coarseUpTo(b.To)
		if n := len(all); n > 0 && all[n-1][0] == upTo {
			all[n-1][1] += b.Count
			continue
		}
		all = append(all, [2]uint64{upTo, b.Count})
	}
	return all
}

// coarseUpTo is the least bound that is not below to.
func coarseUpTo(to uint64) uint64 {
	step := uint64(1)
	for to > 8*step {
		step *= 2
	}
	return (to + step - 1) / step * step
}

// apiName is what an API is called.
func (v *View) apiName(key int16) string {
	switch {
	case key == kring.OtherAPI:
		return "other"
	case v.APIName != nil:
		return v.APIName(key)
	}
	return strconv.Itoa(int(key))
}
