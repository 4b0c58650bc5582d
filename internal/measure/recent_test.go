package measure

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
)

// TestRecentQuantilesAreRightToWithinAnEighth.
func TestRecentQuantilesAreRightToWithinAnEighth(t *testing.T) {
	var r Recent
	if r.Quantile(0.5) != 0 || !r.Empty() {
		t.Error("nothing has a quantile")
	}
	values := make([]uint64, 1000)
	for i := range values {
		values[i] = 1 << rand.Uint64N(26) * (8 + rand.Uint64N(8)) / 16
		r.Note(values[i], 1)
	}
	slices.Sort(values)
	for _, q := range []float64{0, 0.1, 0.5, 0.95, 0.99, 1} {
		exact := values[min(int(q*float64(len(values))), len(values)-1)]
		if got := r.Quantile(q); got > exact+exact/8+1 || got+got/8+1 < exact {
			t.Errorf("quantile %v is %d, want %d", q, got, exact)
		}
	}
	if got := r.Quantiles([3]float64{0.1, 0.5, 0.99}); got != [3]uint64{r.Quantile(0.1), r.Quantile(0.5), r.Quantile(0.99)} {
		t.Errorf("%v", got)
	}
	r = Recent{}
	r.Note(1<<40, 1<<40) // what is too large or too often is bounded
	if got := r.Quantile(0.5); got < 1<<25 || got >= 1<<26 {
		t.Errorf("%d", got)
	}
	if size := reflect.TypeOf(r).Size(); size > 208 {
		t.Errorf("%d bytes", size)
	}
}

// TestWhatIsLongAgoCountsForLess: of a client that was slow, and is not now.
func TestWhatIsLongAgoCountsForLess(t *testing.T) {
	var r Recent
	for range 1_000_000 {
		r.Note(100_000, 1)
	}
	for range 10 * recentMost {
		r.Note(10, 1)
	}
	if p50, p99 := r.Quantile(0.5), r.Quantile(0.99); p50 != 11 || p99 != 11 { // 10 to 12
		t.Errorf("%d, %d", p50, p99)
	}
}

func BenchmarkRecentQuantiles(b *testing.B) {
	var r Recent
	for i := range uint64(1000) {
		r.Note(i*i, 1)
	}
	for b.Loop() {
		r.Quantiles([3]float64{0.5, 0.95, 0.99})
	}
}

func BenchmarkRecent(b *testing.B) {
	var r Recent
	for i := range b.N {
		r.Note(uint64(i&1023), 1)
	}
}
