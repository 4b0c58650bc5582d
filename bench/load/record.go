package load

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// latencyMax is the longest latency a histogram holds; a longer one counts as
// this one.
const latencyMax = int64(60 * time.Second)

func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, latencyMax, 3) }

// window is the span of time that is measured, as two instants of the run's
// clock. Order: thread 0 stores both, end first; whoever reads a start that is
// not zero reads the right end.
type window struct {
	start, end atomic.Int64
}

// length of the window, once it is over.
func (w *window) length() time.Duration { return time.Duration(w.end.Load() - w.start.Load()) }

// opening stands for a start that is just being decided.
const opening = -1

// span is a thread's own copy of the window, so that the record of a response
// costs no atomic.
type span struct{ start, end int64 }

func (s span) holds(t int64) bool { return s.start != 0 && t >= s.start && t < s.end }

// record is what one thread found out.
type record struct {
	span
	latency   *hdrhistogram.Histogram // from the intended moment
	service   *hdrhistogram.Histogram // from the moment it was handed over (open loop)
	sendDelay *hdrhistogram.Histogram // between the two (open loop)
	// run holds equal latencies until another one comes: responses that arrive
	// together cost one look into the histogram.
	runValue, runCount int64

	sliceLength int64
	slices      []*hdrhistogram.Histogram // latency by when it was due; nil: not asked for

	completed uint64 // answers inside the window
	total     uint64 // answers at all
	late      uint64 // requests that had to wait for room in flight
	errors    Errors

	cpuBegin, cpuEnd   int64 // the thread's processor time at the window's ends
	wallBegin, wallEnd int64
	idle               int64 // looking for work in vain inside the window
}

func newRecord(open bool) *record {
	r := &record{latency: newHistogram()}
	if open {
		r.service, r.sendDelay = newHistogram(), newHistogram()
	}
	return r
}

// slicesMax bounds the histograms of a thread, which have 30 KB each.
const slicesMax = 1000

// slice has the latencies told apart.
func (r *record) slice(length, of time.Duration) {
	if length == 0 {
		return
	}
	r.sliceLength = int64(length)
	for range (of + length - 1) / length {
		r.slices = append(r.slices, hdrhistogram.New(1, latencyMax, 2))
	}
}

// answer records n responses: due when meant, given to the kernel at sent,
// here at now.
func (r *record) answer(due, sent, now int64, n int) {
	r.total += uint64(n)
	if r.service == nil {
		// Closed loop: what was asked before the window is no part of it.
		if !r.holds(due) {
			return
		}
		if now < r.end {
			r.completed += uint64(n)
		}
	} else {
		if r.holds(now) {
			r.completed += uint64(n)
		}
		if !r.holds(due) {
			return
		}
		record1(r.service, now-sent, int64(n))
		record1(r.sendDelay, sent-due, int64(n))
		if r.slices != nil {
			record1(r.slices[min((due-r.start)/r.sliceLength, int64(len(r.slices)-1))], now-due, int64(n))
		}
	}
	if v := now - due; v != r.runValue {
		r.flush()
		r.runValue = v
	}
	r.runCount += int64(n)
}

// flush puts the run of equal latencies into the histogram.
func (r *record) flush() {
	if r.runCount > 0 {
		record1(r.latency, r.runValue, r.runCount)
		r.runCount = 0
	}
}

func record1(h *hdrhistogram.Histogram, v, n int64) {
	// The range is clamped, so there is no error left.
	_ = h.RecordValues(min(max(v, 0), latencyMax), n)
}

// fail counts an error and keeps the first one's text.
func (r *record) fail(counter *uint64, first func() string) {
	*counter++
	if r.errors.First == "" {
		r.errors.First = first()
	}
}

// busy is the share of a core that the thread used inside the window.
func (r *record) busy(spin bool) float64 {
	wall := float64(r.wallEnd - r.wallBegin)
	if wall <= 0 {
		return 0
	}
	if spin {
		return 1 - float64(r.idle)/wall
	}
	return float64(r.cpuEnd-r.cpuBegin-r.idle) / wall
}

// Errors counts what went wrong.
type Errors struct {
	Closed     uint64 `json:"closed,omitempty"`     // connections that ended
	Mismatch   uint64 `json:"mismatch,omitempty"`   // responses that are not the request's
	Unanswered uint64 `json:"unanswered,omitempty"` // requests without a response
	First      string `json:"first,omitempty"`      // the first one in words
}

// Count is how many there are together.
func (e Errors) Count() uint64 { return e.Closed + e.Mismatch + e.Unanswered }

func (e *Errors) add(o Errors) {
	e.Closed += o.Closed
	e.Mismatch += o.Mismatch
	e.Unanswered += o.Unanswered
	if e.First == "" {
		e.First = o.First
	}
}

// Summary is a distribution in a few values, in nanoseconds.
type Summary struct {
	Count int64   `json:"count"`
	Mean  float64 `json:"mean"`
	Min   int64   `json:"min"`
	P50   int64   `json:"p50"`
	P90   int64   `json:"p90"`
	P99   int64   `json:"p99"`
	P999  int64   `json:"p999"`
	P9999 int64   `json:"p9999"`
	Max   int64   `json:"max"`
}

func summarize(h *hdrhistogram.Histogram) Summary {
	return Summary{
		Count: h.TotalCount(), Mean: h.Mean(), Min: h.Min(), Max: h.Max(),
		P50: h.ValueAtQuantile(50), P90: h.ValueAtQuantile(90), P99: h.ValueAtQuantile(99),
		P999: h.ValueAtQuantile(99.9), P9999: h.ValueAtQuantile(99.99),
	}
}

// encode is the histogram as HdrHistogram logs hold it: V2, compressed, base64.
func encode(h *hdrhistogram.Histogram) string {
	b, err := h.EncodeV2()
	if err != nil {
		return ""
	}
	return string(b)
}

// Histogram decodes Result.HDR.
func Histogram(hdr string) (*hdrhistogram.Histogram, error) {
	h, err := hdrhistogram.Decode([]byte(hdr))
	if err != nil {
		return nil, fmt.Errorf("load: reading a histogram: %w", err)
	}
	return h, nil
}
