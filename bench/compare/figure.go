package compare

import (
	"math"

	"kring/bench/stats"
)

// Figure is one figure of a run, for those who ask for ratios of their own.
type Figure struct{ m metric }

// The figures.
var (
	Rate   = Figure{rate}
	CPU    = Figure{cpu}
	P50    = Figure{p50}
	P99    = Figure{p99}
	P999   = Figure{p999}
	RSS    = Figure{rss}
	Allocs = Figure{allocs}
	// PerCPU is requests per second of the server's processor time.
	PerCPU = Figure{metric{"requests per CPU second", false, func(r *Record) float64 { return 1e6 / r.CPUMicros() }}}
	// Syscall is system calls per request; it has a pass of its own.
	Syscall = Figure{metric{"system calls per request", true, nil}}
)

// ToBest is how ours compares, round by round, with the best of others; false
// when a round has not both.
func (res *Results) ToBest(scenario, ours string, others []string, f Figure) (stats.Ratio, bool) {
	r := stats.Compare(res.series(scenario, ours, f.m), res.best(scenario, others, f.m))
	return r, r.Rounds > 0
}

// best is the best of some contestants in each round.
func (res *Results) best(scenario string, of []string, m metric) []float64 {
	best := make([]float64, res.Env.Rounds)
	for i := range best {
		best[i] = math.NaN()
	}
	for _, c := range of {
		for i, v := range res.series(scenario, c, m) {
			if math.IsNaN(best[i]) || m.lowerBetter && v < best[i] || !m.lowerBetter && v > best[i] {
				best[i] = v
			}
		}
	}
	return best
}

// Across compares ours in one scenario with the best of others in another one.
func (res *Results) Across(scenario, ours, other string, others []string, f Figure) (stats.Ratio, bool) {
	r := stats.Compare(res.series(scenario, ours, f.m), res.best(other, others, f.m))
	return r, r.Rounds > 0
}

// Number is a figure itself, with its range.
func (res *Results) Number(scenario, contestant string, f Figure) (stats.Ratio, bool) {
	var values []float64
	if f.m.of == nil {
		if v := res.syscalls(scenario, contestant); !math.IsNaN(v) {
			values = []float64{v}
		}
	} else {
		values = stats.Numbers(res.series(scenario, contestant, f.m))
	}
	if len(values) == 0 {
		return stats.Ratio{}, false
	}
	s := stats.Of(values)
	return stats.Ratio{Rounds: s.N, Median: s.Median, Low: s.Min, High: s.Max}, true
}

// Growth is how much more a figure of ours grows from one scenario to another
// than that of the best of others does.
func (res *Results) Growth(from, to, ours string, others []string, f Figure) (stats.Ratio, bool) {
	grown := func(before, after []float64) []float64 {
		for i := range after {
			after[i] /= before[i]
		}
		return after
	}
	a := grown(res.series(from, ours, f.m), res.series(to, ours, f.m))
	b := grown(res.best(from, others, f.m), res.best(to, others, f.m))
	r := stats.Compare(a, b)
	return r, r.Rounds > 0
}

// PerIdle is the resident memory in bytes that each idle connection of a
// scenario costs, by comparison with one without them.
func (res *Results) PerIdle(idle, without, contestant string) (stats.Ratio, bool) {
	conns := 0
	for i := range res.Env.Scenarios {
		if res.Env.Scenarios[i].Name == idle {
			conns = res.Env.Scenarios[i].Idle
		}
	}
	with, base := res.series(idle, contestant, rss), res.series(without, contestant, rss)
	var values []float64
	for i := range with {
		if v := (with[i] - base[i]) * (1 << 20) / float64(conns); conns > 0 && !math.IsNaN(v) {
			values = append(values, v)
		}
	}
	if len(values) == 0 {
		return stats.Ratio{}, false
	}
	s := stats.Of(values)
	return stats.Ratio{Rounds: s.N, Median: s.Median, Low: s.Min, High: s.Max}, true
}
