package metrics

import (
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"kring"
	"kring/internal/pace"
)

// fixed is a Source that has counted nothing.
type fixed struct{}

func (fixed) Stats() kring.Stats           { return kring.Stats{} }
func (fixed) Engine() kring.Engine         { return kring.EngineEpoll }
func (fixed) Why() string                  { return "" }
func (fixed) MemoryPlan() kring.MemoryPlan { return kring.MemoryPlan{} }

// manyAPIs are as many as Kafka has.
func manyAPIs() (all []API) {
	for key := range int16(70) {
		all = append(all, API{Key: key, Name: fmt.Sprint("Request", key), Max: 9})
	}
	return all
}

// TestACollectionGivesWay, as often as its turns are over: nobody waits for more than a turn and
// what is sent between two looks at the clock.
func TestACollectionGivesWay(t *testing.T) {
	c, err := New(fixed{}, Options{APIs: manyAPIs()})
	if err != nil {
		t.Fatal(err)
	}
	const piece = int64(pace.Turn) / 20 // of time that a series takes
	now, looks, rests := int64(1), 0, 0
	c.pace = func() *pace.Pace {
		return &pace.Pace{
			Now:   func() int64 { now, looks = now+pacedSeries*piece, looks+1; return now },
			Sleep: func(time.Duration) { rests++ },
		}
	}
	to := make(chan prometheus.Metric)
	go func() {
		defer close(to)
		c.Collect(to)
	}()
	n := 0
	for range to {
		n++
	}
	if n < 1000 || looks < n/pacedSeries || rests < n/(20+2*pacedSeries) {
		t.Errorf("%d looks at the clock and %d rests in %d series", looks, rests, n)
	}
}

// BenchmarkCollect collects and encodes nothing: what a scrape costs before it is written.
func BenchmarkCollect(b *testing.B) {
	c, err := New(fixed{}, Options{APIs: manyAPIs()})
	if err != nil {
		b.Fatal(err)
	}
	c.pace = func() *pace.Pace { return &pace.Pace{Sleep: func(time.Duration) {}} }
	registry := prometheus.NewRegistry()
	registry.MustRegister(c)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := registry.Gather(); err != nil {
			b.Fatal(err)
		}
	}
}
