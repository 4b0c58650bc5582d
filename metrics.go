package kring

import (
	"cmp"
	"maps"
	"slices"

	"kring/engine"
	"kring/internal/measure"
	"kring/processor"
	"kring/reqchan"
)

// SoftwareCount is how many open connections say that they are of a client
// software (KIP-511). Those that have not said are "unknown"; beyond
// reqchan.LabelsMax kinds, all others are "other".
type SoftwareCount struct {
	Name, Version string
	Connections   int
}

// DeprecatedCount is how many requests of a deprecated version a client
// software has sent (KIP-896).
type DeprecatedCount struct {
	processor.DeprecatedUse
	Requests uint64
}

// unknownSoftware is Kafka's word for who has not said what it is.
const unknownSoftware = "unknown"

// gone are the counts of processors that are no more.
type gone struct {
	processors processor.Stats
	engines    engine.Counts
	requests   []RequestStats // by API
	deprecated map[processor.DeprecatedUse]uint64
}

// clone shares nothing with g.
func (g *gone) clone() gone {
	c := gone{processors: g.processors, engines: g.engines, deprecated: maps.Clone(g.deprecated)}
	for i := range g.requests {
		c.addRequests(&g.requests[i])
	}
	return c
}

// addProcessor adds what a processor has counted, and gives its own part of it.
func (g *gone) addProcessor(p *processor.Processor) processor.Stats {
	s := p.Stats()
	g.processors.Add(&s)
	if s.Engine != nil {
		g.engines.Add(s.Engine.Snapshot())
	}
	for _, r := range p.Requests() {
		g.addRequests(&r)
	}
	for use, n := range p.Deprecated() {
		if g.deprecated == nil {
			g.deprecated = map[processor.DeprecatedUse]uint64{}
		}
		g.deprecated[use] += n
	}
	return s
}

func (g *gone) addRequests(r *RequestStats) {
	i, known := slices.BinarySearchFunc(g.requests, r.API, func(s RequestStats, api int16) int { return cmp.Compare(s.API, api) })
	if !known {
		g.requests = slices.Insert(g.requests, i, RequestStats{API: r.API})
	}
	g.requests[i].Add(r)
}

func (g *gone) deprecatedCounts() (counts []DeprecatedCount) {
	for use, n := range g.deprecated {
		counts = append(counts, DeprecatedCount{use, n})
	}
	slices.SortFunc(counts, func(a, b DeprecatedCount) int {
		return cmp.Or(cmp.Compare(a.API, b.API), cmp.Compare(a.Version, b.Version),
			cmp.Compare(a.Software.Name, b.Software.Name), cmp.Compare(a.Software.Version, b.Software.Version))
	})
	return counts
}

// softwareCounts lists the connections by what they say, and those that have
// said nothing.
func softwareCounts(said map[reqchan.Software]int, silent int) (counts []SoftwareCount) {
	for software, n := range said {
		counts = append(counts, SoftwareCount{software.Name, software.Version, n})
	}
	if silent > 0 {
		counts = append(counts, SoftwareCount{unknownSoftware, unknownSoftware, silent})
	}
	slices.SortFunc(counts, func(a, b SoftwareCount) int {
		return cmp.Or(cmp.Compare(b.Connections, a.Connections), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version))
	})
	return counts
}

// NetworkIdle is the share of time that processors had nothing to do
// [NetworkProcessorAvgIdlePercent], 0 to 1, between an earlier snapshot and st;
// the zero Stats is the start. Under 0.3 more of them may help. On io_uring it
// says a little more than elsewhere: see processor.Stats.
func (st *Stats) NetworkIdle(since Stats) float64 {
	return measure.Ratio(st.Total.IdleNanos-since.Total.IdleNanos, st.Total.AliveNanos-since.Total.AliveNanos)
}

// HandlerIdle is the same for the goroutines of the handler pool
// [RequestHandlerAvgIdlePercent]; 1 when there are none.
func (st *Stats) HandlerIdle(since Stats) float64 {
	return measure.Ratio(st.Handlers.IdleNanos-since.Handlers.IdleNanos, st.Handlers.AliveNanos-since.Handlers.AliveNanos)
}
