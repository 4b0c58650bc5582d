package stats

import (
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

func TestMedianIsTheMiddleWhateverTheOrder(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{{[]float64{3}, 3}, {[]float64{9, 1}, 5}, {[]float64{5, 1, 9}, 5}, {[]float64{4, 1, 3, 2}, 2.5}} {
		if got := Median(c.values); got != c.want {
			t.Errorf("Median(%v) = %v, want %v", c.values, got, c.want)
		}
	}
	if !math.IsNaN(Median(nil)) {
		t.Error("the median of nothing is a number")
	}
	if s := Of([]float64{4, 1, 9}); s != (Spread{3, 4, 1, 9}) {
		t.Errorf("Of = %+v", s)
	}
}

func TestTheIntervalHoldsTheMedianAndLiesInTheData(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.Float64Range(0.1, 10)
		a := rapid.SliceOfN(value, 1, 12).Draw(t, "a")
		b := rapid.SliceOfN(value, len(a), len(a)).Draw(t, "b")
		r, lowest, highest := Compare(a, b), math.Inf(1), math.Inf(-1)
		for i := range a {
			lowest, highest = min(lowest, a[i]/b[i]), max(highest, a[i]/b[i])
		}
		if !(lowest <= r.Low && r.Low <= r.Median && r.Median <= r.High && r.High <= highest) {
			t.Fatalf("%+v of ratios in [%v, %v]", r, lowest, highest)
		}
		if r != Compare(a, b) {
			t.Fatal("the same data gave two answers")
		}
	})
}

// Drift that hits both contestants of a round alike is no noise of their ratio.
func TestPairingRemovesWhatTheMachineDidToBoth(t *testing.T) {
	a := []float64{120, 60, 240, 24, 12}
	b := []float64{100, 50, 200, 20, 10}
	if r := Compare(a, b); math.Abs(r.Low-1.2) > 1e-9 || math.Abs(r.High-1.2) > 1e-9 || r.Verdict() != Higher {
		t.Errorf("%v, %v", r, r.Verdict())
	}
}

func TestNoConclusionWithoutSupport(t *testing.T) {
	same := []float64{1, 1, 1, 1, 1, 1}
	for _, c := range []struct {
		a    []float64
		want Verdict
	}{
		{[]float64{2, 2, 2, 2}, TooFewRounds},
		{[]float64{1.1, 0.9, 1.2, 0.8, 1.3}, WithinNoise},
		{[]float64{1.1, 1.2, 1.3, 1.1, 1.2}, Higher},
		{[]float64{0.9, 0.8, 0.9, 0.7, 0.9}, Lower},
		{nil, TooFewRounds},
		{[]float64{0, 0, 0, 0, 0, 0}, TooFewRounds},
	} {
		if got := Compare(c.a, same).Verdict(); got != c.want {
			t.Errorf("%v: %v, want %v", c.a, got, c.want)
		}
	}
}

func TestTheExactIntervalLeavesOutWhatTheBinomialAllows(t *testing.T) {
	for n, want := range map[int]int{1: 0, 5: 0, 6: 0, 7: 0, 8: 0, 9: 1, 12: 2, 20: 5} {
		if got := outermost(n); got != want {
			t.Errorf("of %d values %d may be left out, want %d", n, got, want)
		}
	}
}

// Of two equal contestants, no more than one comparison in twenty may end in a
// conclusion, whether they alternated or were measured at different times.
func TestEqualContestantsAreRarelyFoundDifferent(t *testing.T) {
	rarelyDifferent(t, 7, Compare)
	rarelyDifferent(t, 9, CompareUnpaired)
}

func rarelyDifferent(t *testing.T, seed uint64, compare func(a, b []float64) Ratio) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, seed))
	wrong := 0
	const comparisons = 120
	for range comparisons {
		a, b := make([]float64, 7), make([]float64, 7)
		for i := range a {
			a[i], b[i] = 100+5*rng.NormFloat64(), 100+5*rng.NormFloat64()
		}
		if v := compare(a, b).Verdict(); v == Higher || v == Lower {
			wrong++
		}
	}
	if wrong > comparisons/20 {
		t.Errorf("%d of %d comparisons of equals ended in a conclusion", wrong, comparisons)
	}
	t.Logf("%d of %d", wrong, comparisons)
}

func TestUnpairedRunsFarApartAreToldApartAndNothingIsNoRound(t *testing.T) {
	if v := CompareUnpaired([]float64{9, 9, 9, 8, 9}, []float64{5, 5, 6, 5, 5}).Verdict(); v != Higher {
		t.Errorf("far apart: %v", v)
	}
	if r := CompareUnpaired(nil, []float64{1}); r.Rounds != 0 || r.Verdict() != TooFewRounds {
		t.Errorf("nothing to compare: %+v", r)
	}
}
