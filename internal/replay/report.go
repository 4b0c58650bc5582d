package replay

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/internal/measure"
)

// Why an answer did not come.
const (
	tooLate      = "no answer in time"
	lost         = "connection lost"
	notConnected = "not connected"
	wrongAnswer  = "answer to another request"
)

// Report is what a replay found. Times are in microseconds.
type Report struct {
	Recording RecordingReport `json:"recording"`
	Target    string          `json:"target"`
	// Speed is that of Config; 0: as fast as each connection's answers come.
	Speed           float64       `json:"speed"`
	Started         time.Time     `json:"started"`
	Seconds         float64       `json:"seconds"`
	Connections     uint64        `json:"connections"`
	ConnectFailures uint64        `json:"connect_failures"`
	ConnectError    string        `json:"connect_error,omitempty"`
	Sent            uint64        `json:"sent"`
	SentBytes       uint64        `json:"sent_bytes"`
	Answered        uint64        `json:"answered"`
	Errors          uint64        `json:"errors"` // answers with an error code
	Unanswered      uint64        `json:"unanswered"`
	APIs            []APIReport   `json:"apis"`
	Skipped         []SkipReport  `json:"skipped"`
	SendDelay       LatencyReport `json:"send_delay_us"` // from when a request was due until it was given to the socket
	// Interrupted says that it was ended before the recording's end.
	Interrupted bool `json:"interrupted,omitempty"`
}

// RecordingReport is about the file.
type RecordingReport struct {
	Software    string    `json:"software"`
	Began       time.Time `json:"began"`
	Seconds     float64   `json:"seconds"`
	Connections int       `json:"connections"`
	Requests    uint64    `json:"requests"`
	Lost        uint64    `json:"lost"`
	Note        string    `json:"note,omitempty"` // how it ends, if not as it should
}

// APIReport is about the requests of one API.
type APIReport struct {
	Key  int16  `json:"key"`
	Name string `json:"api"`
	// Sent requests are Answered, Unanswered for a reason, or Silent: no answer is due. Those
	// that are Unanswered because nothing was connected were not sent.
	Sent       uint64            `json:"sent"`
	Answered   uint64            `json:"answered"`
	Silent     uint64            `json:"silent"`
	Errors     map[string]uint64 `json:"errors"` // answers by Kafka's error codes
	Unanswered map[string]uint64 `json:"unanswered"`
	SentBytes  uint64            `json:"sent_bytes"`
	Bytes      uint64            `json:"answer_bytes"`
	Latency    LatencyReport     `json:"latency_us"`          // from when it was due
	Recorded   LatencyReport     `json:"recorded_latency_us"` // of the recording, in the server
}

// LatencyReport is a distribution, with an error of at most 6 %; Max is exact.
type LatencyReport struct {
	P50  uint64 `json:"p50"`
	P90  uint64 `json:"p90"`
	P99  uint64 `json:"p99"`
	P999 uint64 `json:"p99.9"`
	Max  uint64 `json:"max"`
}

// SkipReport is about requests that were not played.
type SkipReport struct {
	Key    int16  `json:"key"`
	Name   string `json:"api"`
	Reason string `json:"reason"`
	// Target says that another target might have been sent it.
	Target bool   `json:"target"`
	Count  uint64 `json:"count"`
}

// Distribution of latencies as a report has it.
func latencyOf(d measure.Distribution) LatencyReport {
	return LatencyReport{d.Quantile(0.5), d.Quantile(0.9), d.Quantile(0.99), d.Quantile(0.999), d.Max}
}

// APIName is an API's name.
func APIName(key int16) string {
	if key < 0 {
		return "none"
	}
	return kmsg.NameForKey(key)
}

// ErrorName is the name of a code of Kafka, as its documentation has it.
func ErrorName(code int16) string {
	if e := kerr.TypedErrorForCode(code); e != nil && e.Code == code {
		return e.Message
	}
	return fmt.Sprintf("error %d", code)
}

// counts are what a Report is made of.
type counts struct {
	mu       sync.Mutex
	apis     map[int16]*apiCounts // guarded by mu
	skips    map[skip]uint64      // guarded by mu
	delay    measure.Histogram    // guarded by mu
	conns    uint64               // guarded by mu
	failures uint64               // guarded by mu
	failure  error                // guarded by mu; the first

	answer func(time.Duration) // Config.Answer
}

type skip struct {
	key    int16
	reason string
}

type apiCounts struct {
	APIReport
	latency measure.Histogram
}

func newCounts() *counts { return &counts{apis: map[int16]*apiCounts{}, skips: map[skip]uint64{}} }

// skipsMax bounds the different reasons.
const skipsMax = 10_000

func (c *counts) skipped(key int16, why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := skip{key, why}
	if _, known := c.skips[s]; !known && len(c.skips) >= skipsMax {
		s = skip{-1, "other reasons"}
	}
	c.skips[s]++
}

func (c *counts) connected() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conns++
}

func (c *counts) connectFailed(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failures++; c.failure == nil {
		c.failure = err
	}
}

// api is called with mu held.
func (c *counts) api(key int16) *apiCounts {
	a := c.apis[key]
	if a == nil {
		a = &apiCounts{APIReport: APIReport{Key: key, Name: APIName(key), Errors: map[string]uint64{}, Unanswered: map[string]uint64{}}}
		c.apis[key] = a
	}
	return a
}

func (c *counts) sent(key int16, bytes int, late time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.api(key)
	a.Sent++
	a.SentBytes += uint64(bytes)
	c.delay.Note(micros(late), 1)
}

// silent is of one that was sent and that gets no answer.
func (c *counts) silent(key int16) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.api(key).Silent++
}

// unanswered is of one that was sent, but for those that are not connected.
func (c *counts) unanswered(key int16, why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.api(key).Unanswered[why]++
}

func (c *counts) answered(key int16, after time.Duration, bytes int, code int16) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.api(key)
	a.Answered++
	a.Bytes += uint64(bytes)
	a.latency.Note(micros(after), 1)
	if c.answer != nil {
		c.answer(after)
	}
	if code != 0 {
		a.Errors[ErrorName(code)]++
	}
}

func micros(d time.Duration) uint64 { return uint64(max(d.Microseconds(), 0)) }

// done makes the report. Nobody counts any more.
func (c *counts) done(s *Summary, r *Report) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r.Recording = RecordingReport{s.Software, s.Began, s.Length.Seconds(), s.Connections, s.Requests, s.Lost, s.State()}
	r.Connections, r.ConnectFailures = c.conns, c.failures
	if c.failure != nil {
		r.ConnectError = c.failure.Error()
	}
	c.delay.Publish()
	r.SendDelay = latencyOf(c.delay.Snapshot())
	r.APIs, r.Skipped = []APIReport{}, []SkipReport{}
	for _, key := range slices.Sorted(maps.Keys(c.apis)) {
		a := c.apis[key]
		a.latency.Publish()
		a.Latency = latencyOf(a.latency.Snapshot())
		if was := s.APIs[key]; was != nil {
			a.Recorded = latencyOf(was.Latency)
		}
		r.Sent, r.Answered, r.SentBytes = r.Sent+a.Sent, r.Answered+a.Answered, r.SentBytes+a.SentBytes
		for _, n := range a.Errors {
			r.Errors += n
		}
		for _, n := range a.Unanswered {
			r.Unanswered += n
		}
		r.APIs = append(r.APIs, a.APIReport)
	}
	for s, n := range c.skips {
		r.Skipped = append(r.Skipped, SkipReport{s.key, APIName(s.key), s.reason, strings.HasPrefix(s.reason, "the target "), n})
	}
	slices.SortFunc(r.Skipped, func(a, b SkipReport) int {
		if a.Key != b.Key {
			return int(a.Key) - int(b.Key)
		}
		return strings.Compare(a.Reason, b.Reason)
	})
}
