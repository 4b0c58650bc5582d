package metrics

import (
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"kring"
)

// grown is what came to a distribution since an earlier snapshot of it.
func grown(now, before kring.Distribution) kring.Distribution {
	d := kring.Distribution{Sum: now.Sum - min(now.Sum, before.Sum), Max: now.Max}
	at := 0
	for _, b := range now.Buckets {
		for at < len(before.Buckets) && before.Buckets[at].From < b.From {
			at++
		}
		if at < len(before.Buckets) && before.Buckets[at].From == b.From {
			b.Count -= min(b.Count, before.Buckets[at].Count)
		}
		if b.Count > 0 {
			d.Buckets = append(d.Buckets, b)
			d.Count += b.Count
		}
	}
	if n := len(d.Buckets); n == 0 {
		d.Max = 0
	} else {
		d.Max = min(d.Max, d.Buckets[n-1].To)
	}
	return d
}

// histogram is a Distribution as a Prometheus histogram: a native one, for servers that
// ask for it (8 buckets an octave: what a Distribution is accurate to), and a classic one
// with a few buckets for all others.
type histogram struct {
	prometheus.Metric // the native one
	classic           []*dto.Bucket
}

// Write adds the classic buckets to the native ones.
func (h histogram) Write(to *dto.Metric) error {
	if err := h.Metric.Write(to); err != nil {
		return err
	}
	to.Histogram.Bucket = h.classic
	return nil
}

// nativeSchema has 8 buckets for each doubling.
const nativeSchema = 3

// histogram sends a distribution as one; unit is how much 1 is in the metric's unit.
func (s *scrape) histogram(name, help string, d kring.Distribution, unit float64, bounds []float64, labels ...label) {
	var zeros uint64
	native := map[int]int64{}
	classic := make([]*dto.Bucket, len(bounds))
	counts := make([]uint64, len(bounds))
	for _, b := range d.Buckets {
		if b.From == 0 {
			zeros += b.Count
		} else {
			native[int(math.Ceil(math.Log2(middle(b.From, b.To)*unit)*(1<<nativeSchema)))] += int64(b.Count)
		}
		for i := range bounds {
			if float64(b.To-1)*unit <= bounds[i] {
				counts[i] += b.Count
			}
		}
	}
	for i := range bounds {
		classic[i] = &dto.Bucket{UpperBound: &bounds[i], CumulativeCount: &counts[i]}
	}
	is := s.c.descs.of(name, help, labels)
	m, err := prometheus.NewConstNativeHistogram(is, d.Count, float64(d.Sum)*unit,
		native, nil, zeros, nativeSchema, unit/2, time.Time{}, valuesOf(labels)...)
	if err != nil {
		m = prometheus.NewInvalidMetric(is, err)
	}
	s.put(histogram{m, classic})
}

// middle is the value that stands for a bucket.
func middle(from, to uint64) float64 { return float64(from+to-1) / 2 }
