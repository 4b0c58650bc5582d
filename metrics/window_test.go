package metrics

import (
	"testing"
	"time"

	"kring"
	"kring/internal/measure"
)

// TestTheWindowIsAboutAMinuteHoweverOftenSomebodyScrapes.
func TestTheWindowIsAboutAMinuteHoweverOftenSomebodyScrapes(t *testing.T) {
	for _, every := range []time.Duration{time.Second, 15 * time.Second, 40 * time.Second, 5 * time.Minute} {
		start := time.Now()
		var w window
		w.keep(snapshot{at: start})
		for i := range 400 {
			now := start.Add(time.Duration(i+1) * every)
			back := now.Sub(w.since(snapshot{at: now}).at)
			most := windowLength + max(windowStep+every, every)
			if since := now.Sub(start); back > most || back < min(windowLength, since) {
				t.Fatalf("every %v, scrape %d: compared with %v before", every, i, back)
			}
			if len(w.kept) > int(windowLength/windowStep)+2 {
				t.Fatalf("every %v: %d snapshots are kept", every, len(w.kept))
			}
		}
	}
}

// TestWhatCameSinceIsTheDifference of two snapshots, bucket by bucket.
func TestWhatCameSinceIsTheDifference(t *testing.T) {
	before := kring.Distribution{Count: 3, Sum: 12, Max: 6, Buckets: []measure.Bucket{{From: 3, To: 4, Count: 2}, {From: 6, To: 7, Count: 1}}}
	now := before
	now.Buckets = nil
	now.Add(before)
	now.Count, now.Sum, now.Max = 3, 12, 6
	now.Add(kring.Distribution{Count: 2, Sum: 14, Max: 9, Buckets: []measure.Bucket{{From: 5, To: 6, Count: 1}, {From: 9, To: 10, Count: 1}}})
	got := grown(now, before)
	if got.Count != 2 || got.Sum != 14 || got.Quantile(0.4) != 5 || got.Quantile(1) != 9 {
		t.Errorf("%+v", got)
	}
	if same := grown(now, now); same.Count != 0 || same.Quantile(0.99) != 0 {
		t.Errorf("nothing came, and %+v", same)
	}
}
