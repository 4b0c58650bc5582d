package measure

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

func TestEveryValueIsInItsBucket(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.Uint64Range(0, 1<<valueBits-1).Draw(t, "v")
		b := bucketOf(v)
		if b < 0 || b >= bucketCount || v < lowest(b) || v >= lowest(b+1) {
			t.Fatalf("%d is in bucket %d, of %d to %d", v, b, lowest(b), lowest(b+1))
		}
		if wide := lowest(b+1) - lowest(b); wide > 1 && wide*perOctave > lowest(b) {
			t.Fatalf("bucket %d from %d is %d wide", b, lowest(b), wide)
		}
	})
	if bucketOf(1<<63) != bucketCount-1 {
		t.Error("a value that is too large is lost")
	}
}

func TestQuantilesAreRightToWithinABucket(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Uint64Range(0, 1<<20), 1, 200).Draw(t, "values")
		parts := [2]Histogram{}
		var sum uint64
		for i, v := range values {
			parts[i%2].Note(v, 1)
			sum += v
		}
		var all Distribution
		for i := range parts {
			parts[i].Publish()
			all.Add(parts[i].Snapshot())
		}
		slices.Sort(values)
		if all.Count != uint64(len(values)) || all.Sum != sum || all.Max != values[len(values)-1] {
			t.Fatalf("count %d sum %d max %d of %v", all.Count, all.Sum, all.Max, values)
		}
		for _, q := range []float64{0, 0.5, 0.99, 1} {
			exact := values[min(int(q*float64(len(values))), len(values)-1)]
			if got := all.Quantile(q); got < exact || got > exact+exact/perOctave+1 {
				t.Fatalf("quantile %v is %d, want %d of %v", q, got, exact, values)
			}
		}
	})
}

func TestSnapshotsCountNothingTwice(t *testing.T) {
	var h Histogram
	var reader sync.WaitGroup
	done := make(chan struct{})
	reader.Go(func() {
		for last := uint64(0); ; {
			s := h.Snapshot()
			if s.Count < last || s.Count > 20_000 {
				t.Errorf("count went from %d to %d", last, s.Count)
			}
			last = s.Count
			select {
			case <-done:
				return
			default:
			}
		}
	})
	for range 10_000 {
		h.Note(rand.Uint64N(64), 2)
		h.Publish()
	}
	close(done)
	reader.Wait()
	s := h.Snapshot()
	if s.AddZeros(5); s.Count != 20_005 || s.Buckets[0].From != 0 {
		t.Errorf("%+v", s)
	}
}

func TestIdlenessIsTheTimeAsleep(t *testing.T) {
	var i Idleness
	i.Woke(5) // it did not sleep
	i.Sleep(10)
	if n := i.Nanos(25); n != 15 {
		t.Errorf("asleep for %d", n)
	}
	i.Woke(30)
	if n := i.Nanos(100); n != 20 {
		t.Errorf("slept %d", n)
	}
	if Ratio(20, 0) != 1 || Ratio(20, 10) != 1 || Ratio(-1, 10) != 0 || Ratio(5, 10) != 0.5 {
		t.Error("a ratio is not between 0 and 1")
	}
}

func BenchmarkNoteRuns(b *testing.B) {
	var h Histogram
	for i := range b.N {
		h.Note(uint64(i>>6), 1)
	}
}

func BenchmarkNoteAlternating(b *testing.B) {
	var h Histogram
	for i := range b.N {
		h.Note(uint64(i&1)*100, 1)
	}
}

func BenchmarkSnapshot(b *testing.B) {
	var h Histogram
	for i := range uint64(100) {
		h.Note(i, 1)
	}
	for range b.N {
		s := h.Snapshot()
		_ = s.Count
	}
}
