package measure

import "math/bits"

const (
	// recentExact: values below 2^recentExact have a bucket each, and every doubling above
	// as many, so a bucket is at most a quarter wide.
	recentExact     = 2
	recentPerOctave = 1 << recentExact
	// recentValueBits: larger values count as the largest, 67 seconds in microseconds.
	recentValueBits = 26
	recentBuckets   = (recentValueBits - recentExact + 1) * recentPerOctave
	// recentMost is when all counts are halved.
	recentMost = 2048
)

// Recent is how the latest values are distributed: about the last 1,000 to 2,000 count, older
// ones for ever less. It takes 208 bytes whatever happens, and a note costs 2 ns. The zero
// value is empty. It has one owner, who alone may use it.
type Recent struct {
	total  uint32 // in front: it and the counts of less than a millisecond are two lines of the cache at most
	counts [recentBuckets]uint16
}

// Note counts n values v.
func (r *Recent) Note(v, n uint64) {
	n = min(n, recentMost/2)
	for r.total+uint32(n) > recentMost {
		r.halve()
	}
	r.counts[recentBucketOf(v)] += uint16(n)
	r.total += uint32(n)
}

func (r *Recent) halve() {
	r.total = 0
	for i := range r.counts {
		r.counts[i] /= 2
		r.total += uint32(r.counts[i])
	}
}

// Empty says that there were no values.
func (r *Recent) Empty() bool { return r.total == 0 }

// Quantile is the value that a share q (0 to 1) of the values does not exceed, to within an
// eighth; 0 if there are none.
func (r *Recent) Quantile(q float64) uint64 {
	rank := min(uint32(q*float64(r.total)), max(r.total, 1)-1)
	for b, n := range r.counts {
		if rank < uint32(n) {
			return recentMiddle(b)
		}
		rank -= uint32(n)
	}
	return 0
}

// Quantiles are several of them, the smallest share first, in one look.
func (r *Recent) Quantiles(shares [3]float64) (values [3]uint64) {
	if r.total == 0 {
		return values
	}
	var seen uint32
	at := 0
	for b, n := range r.counts {
		if n == 0 {
			continue
		}
		for seen += uint32(n); at < len(shares) && min(uint32(shares[at]*float64(r.total)), r.total-1) < seen; at++ {
			values[at] = recentMiddle(b)
		}
		if at == len(shares) {
			break
		}
	}
	return values
}

func recentBucketOf(v uint64) int {
	switch {
	case v < recentPerOctave:
		return int(v)
	case v >= 1<<recentValueBits:
		return recentBuckets - 1
	}
	octave := bits.Len64(v) - recentExact - 1
	return octave*recentPerOctave + int(v>>octave)
}

// recentMiddle is the middle of bucket b.
func recentMiddle(b int) uint64 {
	if b < 2*recentPerOctave {
		return uint64(b)
	}
	octave := b/recentPerOctave - 1
	return uint64(b%recentPerOctave+recentPerOctave)<<octave + 1<<octave/2
}
