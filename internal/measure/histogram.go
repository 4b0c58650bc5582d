package measure

import (
	"math/bits"
	"sync/atomic"
)

const (
	// exactBits: values below 2^exactBits have a bucket each. Every doubling above is
	// divided into as many buckets, so a bucket is at most a 16th wide.
	exactBits = 4
	perOctave = 1 << exactBits
	// valueBits: larger values count as the largest, more than an hour in
	// microseconds.
	valueBits   = 32
	bucketCount = (valueBits - exactBits + 1) * perOctave
)

// Histogram counts values of 0 to 2^32-1, with a relative error of at most 6 %.
// It has one owner; see Note and Publish.
type Histogram struct {
	// Owner: a run of values of one bucket that is not published yet, and the last
	// value.
	bucket int
	value  uint64
	count  uint64
	sum    uint64

	// Order: none is needed between them: a reader sees every number as of some
	// moment shortly before.
	counts [bucketCount]atomic.Uint64
	total  atomic.Uint64
	most   atomic.Uint64
}

// Note counts n values v. It costs next to nothing if v is the previous value, and
// about 2 ns if it is in the same bucket.
func (h *Histogram) Note(v, n uint64) {
	if v != h.value {
		h.switchValue(v)
	}
	h.count += n
	h.sum += v * n
}

// switchValue begins a run of v.
func (h *Histogram) switchValue(v uint64) {
	h.value = v
	if b := bucketOf(v); b != h.bucket {
		h.Publish()
		h.bucket = b
	}
	if v > h.most.Load() {
		h.most.Store(v)
	}
}

// Publish makes what was noted visible to readers.
func (h *Histogram) Publish() {
	if h.count != 0 {
		h.counts[h.bucket].Add(h.count)
		h.total.Add(h.sum)
		h.count, h.sum = 0, 0
	}
}

// bucketOf finds the bucket of v.
func bucketOf(v uint64) int {
	if v < perOctave {
		return int(v)
	}
	if v >= 1<<valueBits {
		return bucketCount - 1
	}
	octave := bits.Len64(v) - exactBits - 1 // how far v is shifted to have exactBits+1 bits
	return octave*perOctave + int(v>>octave)
}

// lowest is the smallest value of bucket b.
func lowest(b int) uint64 {
	if b < 2*perOctave {
		return uint64(b)
	}
	octave := b/perOctave - 1
	return uint64(b%perOctave+perOctave) << octave
}

// Bucket counts the values from From up to, and without, To.
type Bucket struct{ From, To, Count uint64 }

// Distribution is a snapshot of a Histogram. The zero value is empty.
type Distribution struct {
	Count, Sum, Max uint64
	// Buckets are those that are not empty, in order.
	Buckets []Bucket
}

// Snapshot reads what was published. Any goroutine.
func (h *Histogram) Snapshot() Distribution {
	s := Distribution{Sum: h.total.Load(), Max: h.most.Load()}
	for b := range h.counts {
		if n := h.counts[b].Load(); n > 0 {
			s.Count += n
			s.Buckets = append(s.Buckets, Bucket{lowest(b), lowest(b + 1), n})
		}
	}
	return s
}

// Add adds another's values to s.
func (s *Distribution) Add(o Distribution) {
	s.Count += o.Count
	s.Sum += o.Sum
	s.Max = max(s.Max, o.Max)
	merged := make([]Bucket, 0, max(len(s.Buckets), len(o.Buckets)))
	a, b := s.Buckets, o.Buckets
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0].From < b[0].From:
			merged, a = append(merged, a[0]), a[1:]
		case a[0].From > b[0].From:
			merged, b = append(merged, b[0]), b[1:]
		default:
			a0 := a[0]
			a0.Count += b[0].Count
			merged, a, b = append(merged, a0), a[1:], b[1:]
		}
	}
	s.Buckets = append(append(merged, a...), b...)
}

// AddZeros adds n values of 0.
func (s *Distribution) AddZeros(n uint64) {
	if n > 0 {
		s.Add(Distribution{Count: n, Buckets: []Bucket{{0, 1, n}}})
	}
}

// Quantile is the value that a share q (0 to 1) of all values does not exceed,
// accurate to a bucket; 0 if there are no values.
func (s *Distribution) Quantile(q float64) uint64 {
	rank := uint64(q * float64(s.Count))
	for _, b := range s.Buckets {
		if rank < b.Count || b.To > s.Max {
			return min(b.To-1, s.Max)
		}
		rank -= b.Count
	}
	return s.Max
}

// Mean is the average value, 0 if there are none.
func (s *Distribution) Mean() float64 {
	if s.Count == 0 {
		return 0
	}
	return float64(s.Sum) / float64(s.Count)
}
