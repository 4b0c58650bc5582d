package compare

import (
	"fmt"
	"math"

	"kring/bench/stats"
)

// metric is one figure of a run.
type metric struct {
	name        string
	lowerBetter bool
	// itsOwn figures are the server's whatever held back the load: they count
	// also where the generator was the limit.
	itsOwn bool
	of     func(*Record) float64
}

var (
	rate    = metric{"requests/s", false, false, func(r *Record) float64 { return r.Load.Rate }}
	p50     = metric{"p50", true, false, func(r *Record) float64 { return float64(r.Load.Latency.P50) / 1e3 }}
	p99     = metric{"p99", true, false, func(r *Record) float64 { return float64(r.Load.Latency.P99) / 1e3 }}
	p999    = metric{"p99.9", true, false, func(r *Record) float64 { return float64(r.Load.Latency.P999) / 1e3 }}
	worst   = metric{"max", true, false, func(r *Record) float64 { return float64(r.Load.Latency.Max) / 1e3 }}
	cpu     = metric{"CPU per request", true, true, (*Record).CPUMicros}
	cpuUser = metric{"user CPU per request", true, true, func(r *Record) float64 { return r.perRequest(r.Server.UserSeconds * 1e6) }}
	rss     = metric{"RSS", true, true, func(r *Record) float64 { return float64(r.Server.RSSBytes) / (1 << 20) }}
	swaps   = metric{"context switches per request", true, true, func(r *Record) float64 {
		return r.perRequest(float64(r.Server.Voluntary + r.Server.Involuntary))
	}}
	allocs = metric{"allocations per request", true, true, func(r *Record) float64 {
		n, ok := r.Own["allocs"]
		if !ok {
			return math.NaN()
		}
		return r.perRequest(n)
	}}
)

// primary is the figure that a scenario is decided by.
func primary(s *Scenario) metric {
	if s.Open != "" {
		return p999
	}
	return rate
}

// runs are a contestant's runs that count for m, by round; nil where a round has
// none.
func (res *Results) runs(scenario, contestant string, m metric) []*Record {
	return res.runsThat(scenario, contestant, func(r *Record) bool { return r.Valid() || m.itsOwn && r.heldBack() })
}

func (res *Results) runsThat(scenario, contestant string, count func(*Record) bool) []*Record {
	runs := make([]*Record, res.Env.Rounds)
	for _, r := range res.Records {
		if r.Scenario == scenario && r.Contestant == contestant && r.Pass == Measure && r.Round < len(runs) && count(r) {
			runs[r.Round] = r
		}
	}
	return runs
}

// series are a contestant's valid values, by round; NaN where a round has none.
func (res *Results) series(scenario, contestant string, m metric) []float64 {
	return m.values(res.runs(scenario, contestant, m))
}

func (m metric) values(runs []*Record) []float64 {
	values := make([]float64, len(runs))
	for i, r := range runs {
		if values[i] = math.NaN(); r != nil {
			values[i] = m.of(r)
		}
	}
	return values
}

// compareRuns is the ratio of a to b over the rounds whose runs belong together.
func compareRuns(a, b []*Record, m metric) stats.Ratio {
	va, vb := m.values(a), m.values(b)
	for i := range va {
		if a[i] != nil && b[i] != nil && !belong(a[i], b[i]) {
			va[i] = math.NaN()
		}
	}
	return stats.Compare(va, vb)
}

// spread is a contestant's figure over the rounds.
func (res *Results) spread(scenario, contestant string, m metric) stats.Spread {
	return stats.Of(stats.Numbers(res.series(scenario, contestant, m)))
}

// ratio is how a compares with b, round by round.
func (res *Results) ratio(scenario, a, b string, m metric) stats.Ratio {
	return compareRuns(res.runs(scenario, a, m), res.runs(scenario, b, m), m)
}

// verdict is what a ratio means for a: better, worse, or nothing.
func verdict(r stats.Ratio, m metric) string {
	switch v := r.Verdict(); {
	case v == stats.Higher && !m.lowerBetter, v == stats.Lower && m.lowerBetter:
		return "better"
	case v == stats.Higher, v == stats.Lower:
		return "worse"
	default:
		return v.String()
	}
}

// explain is the verdict on a beside b, with the reason where the rounds are too few
// for one.
func (res *Results) explain(scenario, a, b string, r stats.Ratio, m metric) string {
	v := verdict(r, m)
	if r.Verdict() != stats.TooFewRounds {
		return v
	}
	ran := res.rounds(scenario)
	if ran < stats.ConclusionRounds {
		return fmt.Sprintf("%s: %d of the %d that it takes", v, ran, stats.ConclusionRounds)
	}
	for _, c := range []string{a, b} {
		if counted, of, why := res.notCounted(scenario, c); counted < stats.ConclusionRounds && why != "" {
			return fmt.Sprintf("%s: of %s %d of %d count (%s)", v, c, counted, of, why)
		}
	}
	return fmt.Sprintf("%s: both count in %d of %d", v, r.Rounds, ran)
}

// rounds is how many the scenario was run for.
func (res *Results) rounds(scenario string) int {
	for i := range res.Env.Scenarios {
		if s := &res.Env.Scenarios[i]; s.Name == scenario {
			return s.rounds(res.Env.Rounds)
		}
	}
	return res.Env.Rounds
}

// syscalls per request, the median; NaN when they were not counted.
func (res *Results) syscalls(scenario, contestant string) float64 {
	return stats.Median(res.syscallPasses(scenario, contestant))
}

func (res *Results) syscallPasses(scenario, contestant string) []float64 {
	var passes []float64
	for _, r := range res.Records {
		if r.Scenario == scenario && r.Contestant == contestant && r.Pass == Syscalls && r.Load != nil && r.Load.Completed > 0 {
			passes = append(passes, r.perRequest(float64(r.Syscalls)))
		}
	}
	return passes
}

// Versus is kring on io_uring beside a contestant that is not, by one figure of a scenario.
type Versus struct {
	Scenario, Ours, Against, Figure string
	Ratio                           stats.Ratio
}

// Losses finds where kring on io_uring did worse than whatever is not, as far
// as the rounds support it.
func (res *Results) Losses() []Versus {
	var losses []Versus
	res.versus(func(s *Scenario, ours, other string) {
		for _, m := range []metric{primary(s), p99, cpu} {
			if r := res.ratio(s.Name, ours, other, m); verdict(r, m) == "worse" {
				losses = append(losses, Versus{s.Name, ours, other, m.name, r})
			}
		}
	})
	return losses
}

// versus calls does for each scenario with each of kring on io_uring and whoever is
// on something else.
func (res *Results) versus(does func(s *Scenario, ours, other string)) {
	for i := range res.Env.Scenarios {
		for _, ours := range res.Env.Order {
			if !res.Env.Ours[ours] || !res.Env.URing[ours] {
				continue
			}
			for _, other := range res.Env.Order {
				if !res.Env.URing[other] { // else io_uring itself, ours or not
					does(&res.Env.Scenarios[i], ours, other)
				}
			}
		}
	}
}

// Disturbance is the median of what other work took of the processors while
// runs were measured.
func (res *Results) Disturbance() float64 {
	var other []float64
	for _, r := range res.Records {
		if r.Pass == Measure && r.Load != nil {
			other = append(other, r.OtherCPU)
		}
	}
	if len(other) == 0 {
		return 0
	}
	return stats.Median(other)
}

// known is a figure's median, NaN when no run has it.
func (res *Results) known(scenario, contestant string, m metric) float64 {
	return stats.Median(stats.Numbers(res.series(scenario, contestant, m)))
}

// Row is what a contestant did in a scenario. Ratios are against its base, and
// empty for the base itself.
type Row struct {
	Contestant              string
	Rate, CPU, UserCPU      stats.Spread
	RateRatio, CPURatio     stats.Ratio
	RateVerdict, CPUVerdict string
	// Counted of Of rounds count; Why most of the others do not. When none does,
	// Seen and SeenCPU are what they came to.
	Counted, Of   int
	Why           string
	Seen, SeenCPU stats.Spread
}

// Row of a contestant; N of its Rate is 0 when no run counts, and Of when it took
// no part.
func (res *Results) Row(s *Scenario, contestant string) Row {
	r := Row{
		Contestant: contestant,
		Rate:       res.spread(s.Name, contestant, rate), CPU: res.spread(s.Name, contestant, cpu), UserCPU: res.spread(s.Name, contestant, cpuUser),
	}
	r.Counted, r.Of, r.Why = res.notCounted(s.Name, contestant)
	if r.Counted == 0 {
		r.Seen, r.SeenCPU = res.seen(s.Name, contestant, rate), res.seen(s.Name, contestant, cpu)
	}
	if base := res.Env.against(contestant); base != contestant {
		r.RateRatio, r.CPURatio = res.ratio(s.Name, contestant, base, rate), res.ratio(s.Name, contestant, base, cpu)
		r.RateVerdict, r.CPUVerdict = verdict(r.RateRatio, rate), verdict(r.CPURatio, cpu)
	}
	return r
}
