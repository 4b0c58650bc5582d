package stats

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// ConclusionRounds is the fewest rounds that support a conclusion. The range of
// five paired ratios holds the true median with a probability of 1-2/32 = 94 %;
// four reach 87 % only.
const ConclusionRounds = 5

// Confidence of the intervals.
const Confidence = 0.95

// resamples of the bootstrap: its own noise is then far below the interval's.
const resamples = 5000

// Spread is the median of some values, and between what it lies.
type Spread struct {
	N      int     `json:"n"`
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// Of summarizes values; the zero Spread for none.
func Of(values []float64) Spread {
	if len(values) == 0 {
		return Spread{}
	}
	return Spread{len(values), Median(values), slices.Min(values), slices.Max(values)}
}

// Numbers are the values that are not NaN, in their order.
func Numbers(values []float64) []float64 {
	var n []float64
	for _, v := range values {
		if !math.IsNaN(v) {
			n = append(n, v)
		}
	}
	return n
}

// Median of values, NaN for none. The values keep their order.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	return middle(sorted)
}

func middle(sorted []float64) float64 {
	n := len(sorted)
	if n%2 == 1 {
		return sorted[n/2]
	}
	return (sorted[n/2-1] + sorted[n/2]) / 2
}

// Ratio is how a compares with b over the rounds that both have.
type Ratio struct {
	Rounds int     `json:"rounds"`
	Median float64 `json:"median"`
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
}

// Compare gives the ratio a/b of paired rounds. Rounds in which either value
// is not above 0 are left out.
//
// The interval is a percentile bootstrap of the median, widened to the exact
// order-statistic interval: with seven rounds the bootstrap alone found equal
// contestants different in 11 % of the cases. Its seed is fixed, so the same
// data always give the same answer.
func Compare(a, b []float64) Ratio {
	var ratios []float64
	for i := range min(len(a), len(b)) {
		if a[i] > 0 && b[i] > 0 {
			ratios = append(ratios, a[i]/b[i])
		}
	}
	if len(ratios) == 0 {
		return Ratio{Median: math.NaN(), Low: math.NaN(), High: math.NaN()}
	}
	low, high := bootstrap(ratios)
	slices.Sort(ratios)
	k := outermost(len(ratios))
	low, high = min(low, ratios[k]), max(high, ratios[len(ratios)-1-k])
	return Ratio{Rounds: len(ratios), Median: middle(ratios), Low: low, High: high}
}

// CompareUnpaired gives the ratio of the medians of a and b, which were measured
// at different times. The interval is a percentile bootstrap of both, widened by
// the ratio of their quartiles' distances, as few values are no distribution.
// Values that are not above 0 are left out.
func CompareUnpaired(a, b []float64) Ratio {
	a, b = positive(a), positive(b)
	n := min(len(a), len(b))
	if n == 0 {
		return Ratio{Median: math.NaN(), Low: math.NaN(), High: math.NaN()}
	}
	rng := rand.New(rand.NewPCG(2, uint64(n)))
	medians := make([]float64, resamples)
	for i := range medians {
		medians[i] = drawMedian(rng, a) / drawMedian(rng, b)
	}
	slices.Sort(medians)
	tail := (1 - Confidence) / 2
	low, high := medians[int(tail*resamples)], medians[int(math.Ceil((1-tail)*resamples))-1]
	ka, kb := outermost(len(a)), outermost(len(b))
	low = min(low, a[ka]/b[len(b)-1-kb])
	high = max(high, a[len(a)-1-ka]/b[kb])
	return Ratio{Rounds: n, Median: middle(a) / middle(b), Low: low, High: high}
}

// positive values, sorted.
func positive(values []float64) []float64 {
	var p []float64
	for _, v := range values {
		if v > 0 {
			p = append(p, v)
		}
	}
	slices.Sort(p)
	return p
}

func drawMedian(rng *rand.Rand, values []float64) float64 {
	sample := make([]float64, len(values))
	for i := range sample {
		sample[i] = values[rng.IntN(len(values))]
	}
	slices.Sort(sample)
	return middle(sample)
}

// outermost is how many of n sorted values may be left out at each end so that
// the rest still spans the median with the Confidence: the k-th value is above
// the median only if fewer than k of n fair coins fall below it.
func outermost(n int) int {
	tail := math.Pow(0.5, float64(n)) // P(no coin)
	coins := tail
	k := 0
	for 2*(tail+coins*float64(n-k)/float64(k+1)) <= 1-Confidence {
		coins *= float64(n-k) / float64(k+1)
		tail += coins
		k++
	}
	return k
}

func bootstrap(values []float64) (low, high float64) {
	rng := rand.New(rand.NewPCG(1, uint64(len(values))))
	sample := make([]float64, len(values))
	medians := make([]float64, resamples)
	for i := range medians {
		for j := range sample {
			sample[j] = values[rng.IntN(len(values))]
		}
		slices.Sort(sample)
		medians[i] = middle(sample)
	}
	slices.Sort(medians)
	tail := (1 - Confidence) / 2
	return medians[int(tail*resamples)], medians[int(math.Ceil((1-tail)*resamples))-1]
}

// Verdict is what a ratio supports.
type Verdict int

// The verdicts.
const (
	TooFewRounds Verdict = iota
	WithinNoise
	Higher
	Lower
)

func (v Verdict) String() string {
	return [...]string{"too few rounds", "within noise", "higher", "lower"}[v]
}

// printed is how much of a ratio String shows. An interval whose end is 1 as it is
// printed holds 1: a difference that small is none.
const printed = 0.01

// Verdict refuses a conclusion that the rounds do not support.
func (r Ratio) Verdict() Verdict {
	switch {
	case r.Rounds < ConclusionRounds:
		return TooFewRounds
	case math.Round(r.Low/printed) > math.Round(1/printed):
		return Higher
	case math.Round(r.High/printed) < math.Round(1/printed):
		return Lower
	default:
		return WithinNoise
	}
}

// Decided says that the ratio is another one than 1.
func (r Ratio) Decided() bool {
	v := r.Verdict()
	return v == Higher || v == Lower
}

// Paired is String of a ratio of rounds. One round is no comparison: it has no ratio.
func (r Ratio) Paired() string {
	if r.Rounds < 2 {
		return "–"
	}
	return r.String()
}

// String is "1.23 [1.10, 1.31]".
func (r Ratio) String() string {
	if r.Rounds == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f [%.2f, %.2f]", r.Median, r.Low, r.High)
}
