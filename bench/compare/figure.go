package compare

import (
	"math"

	"kring/bench/stats"
)

// Figure is one figure of a run, for those who ask for ratios of their own.
type Figure struct {
	m     metric
	parts []Part
}

// Part is a figure that is a part of another, and what the part is called.
type Part struct {
	Name string
	Figure
}

// The figures.
var (
	Rate   = Figure{m: rate}
	P50    = Figure{m: p50}
	P99    = Figure{m: p99}
	P999   = Figure{m: p999}
	RSS    = Figure{m: rss}
	Allocs = Figure{m: allocs}
	// CPU is the server's processor time per request in microseconds; what its parts
	// are is known to 10 ms a run.
	CPU = Figure{m: cpu, parts: []Part{
		{"user", Figure{m: metric{"user time per request", true, true, func(r *Record) float64 { return r.perRequest(r.Server.UserSeconds * 1e6) }}}},
		{"kernel", Figure{m: metric{"kernel time per request", true, true, func(r *Record) float64 { return r.perRequest(r.Server.SystemSeconds * 1e6) }}}},
	}}
	// PerCPU is requests per second of the server's processor time.
	PerCPU = Figure{m: metric{"requests per CPU second", false, true, func(r *Record) float64 { return 1e6 / r.CPUMicros() }}}
	// IdleMemory is the resident bytes that an idle connection costs.
	IdleMemory = Figure{m: metric{"bytes per idle connection", true, true, func(r *Record) float64 {
		if r.Idle == 0 {
			return math.NaN()
		}
		return float64(r.IdleBytes) / float64(r.Idle)
	}}}
	// Waited is the share of the time in which the server was ready to run and
	// others had its processor.
	Waited = Figure{m: metric{"waited for its processor", true, true, func(r *Record) float64 {
		return r.Server.WaitedSeconds / r.Load.Window.Seconds()
	}}}
	// Syscall is system calls per request; it has a pass of its own.
	Syscall = Figure{m: metric{"system calls per request", true, true, nil}}
)

// Parts are what f is the sum of; none for most.
func (f Figure) Parts() []Part { return f.parts }

// disturbedRun is how much of a processor other work may take from a run that
// goals look at. The kernel's own threads take up to 0.3 where frames are large.
const disturbedRun = 0.35

// Calm is res without the runs that other work disturbed.
func (res *Results) Calm() *Results {
	calm := &Results{Env: res.Env}
	for _, r := range res.Records {
		if r.OtherCPU <= disturbedRun {
			calm.Records = append(calm.Records, r)
		}
	}
	return calm
}

// Across is how ours in one scenario compares, round by round, with the best of
// others in the same or another one; false when no round has both, or those that
// it has do not belong together.
func (res *Results) Across(scenario, ours, other string, others []string, f Figure) (stats.Ratio, bool) {
	a, b := res.pairs(scenario, ours, other, others, f.m)
	r := compareRuns(a, b, f.m)
	return r, r.Rounds > 0
}

// Best is who of some contestants has the best median; "" for none that was
// measured.
func (res *Results) Best(scenario string, of []string, f Figure) string {
	for _, r := range res.best(scenario, of, f.m) {
		if r != nil {
			return r.Contestant
		}
	}
	return ""
}

// pairs are the runs of ours and of the best of others. A round in which their
// generators held both back says nothing of either and is left out.
func (res *Results) pairs(scenario, ours, other string, others []string, m metric) (a, b []*Record) {
	a = res.runsThat(scenario, ours, m.counts)
	b = res.best(other, others, m, a)
	for i := range a {
		if a[i] != nil && b[i] != nil && !m.itsOwn && a[i].heldBack() && b[i].heldBack() {
			a[i] = nil
		}
	}
	return a, b
}

// best are the runs of the best of some contestants, of those runs that belong
// with the others of their round: of who has the best median, not of each
// round's luckiest, who would beat an equal. Who has enough rounds comes before
// who has not.
func (res *Results) best(scenario string, of []string, m metric, with ...[]*Record) []*Record {
	best, most, median := make([]*Record, res.Env.Rounds), 0, math.NaN()
	for _, c := range of {
		runs, n := res.runsThat(scenario, c, m.counts), 0
		for i, r := range runs {
			if r == nil || math.IsNaN(m.of(r)) || !belongs(r, i, with) {
				runs[i] = nil
			} else if len(with) == 0 || with[0][i] != nil {
				n++
			}
		}
		n = min(n, stats.ConclusionRounds)
		if v := stats.Median(stats.Numbers(m.values(runs))); n > most || n == most && n > 0 && m.better(v, median) {
			best, most, median = runs, n, v
		}
	}
	return best
}

// counts says whether a run may be the one that ours is held against: what a
// held back one reached is the least that it can.
func (m metric) counts(r *Record) bool {
	return r.Valid() || r.heldBack() && (m.itsOwn || m.name == rate.name)
}

// HeldBack is in how many rounds the ratio that Across gives is one at least,
// because the generator held ours back, and in how many one at most, because it
// held the other back.
func (res *Results) HeldBack(scenario, ours, other string, others []string, f Figure) (atLeast, atMost int) {
	a, b := res.pairs(scenario, ours, other, others, f.m)
	for i := range a {
		switch {
		case a[i] == nil || b[i] == nil || f.m.itsOwn:
		case a[i].heldBack():
			atLeast++
		case b[i].heldBack():
			atMost++
		}
	}
	return atLeast, atMost
}

// belongs says whether r belongs with the runs of round i, as far as there are
// any.
func belongs(r *Record, i int, with [][]*Record) bool {
	for _, runs := range with {
		if runs[i] != nil && !belong(r, runs[i]) {
			return false
		}
	}
	return true
}

func (m metric) better(a, b float64) bool { return a < b == m.lowerBetter && a != b }

// Number is a figure itself, with its range.
func (res *Results) Number(scenario, contestant string, f Figure) (stats.Ratio, bool) {
	var values []float64
	if f.m.of == nil {
		values = res.syscallPasses(scenario, contestant)
	} else {
		values = stats.Numbers(res.series(scenario, contestant, f.m))
	}
	if len(values) == 0 {
		return stats.Ratio{}, false
	}
	s := stats.Of(values)
	return stats.Ratio{Rounds: s.N, Median: s.Median, Low: s.Min, High: s.Max}, true
}

// Mean is the mean of a figure over all runs that count; false when there is none.
// Where a clock is coarse, it is finer than a median.
func (res *Results) Mean(scenario, contestant string, f Figure) (mean float64, ok bool) {
	values := stats.Numbers(res.series(scenario, contestant, f.m))
	for _, v := range values {
		mean += v / float64(len(values))
	}
	return mean, len(values) > 0
}

// Growth is how much more a figure of ours grows from one scenario to another
// than that of whoever is the best of others in the other one; all four were
// asked for the same.
func (res *Results) Growth(from, to, ours string, others []string, f Figure) (stats.Ratio, bool) {
	before, after := res.runs(from, ours, f.m), res.runs(to, ours, f.m)
	theirs := res.best(to, others, f.m, before)
	var first []*Record
	for _, r := range theirs {
		if r != nil && first == nil {
			first = res.best(from, []string{r.Contestant}, f.m, before)
		}
	}
	if first == nil {
		return stats.Ratio{}, false
	}
	r := stats.Compare(grown(before, after, f.m), grown(first, theirs, f.m))
	return r, r.Rounds > 0
}

// grown is by what a figure was multiplied, NaN where that is not known.
func grown(before, after []*Record, m metric) []float64 {
	values := make([]float64, len(after))
	for i := range values {
		values[i] = math.NaN()
		if before[i] != nil && after[i] != nil && belong(before[i], after[i]) {
			values[i] = m.of(after[i]) / m.of(before[i])
		}
	}
	return values
}

// IdleHeld is how many idle connections a scenario's contestant held, of how
// many it was to.
func (res *Results) IdleHeld(scenario, contestant string) (held, want int) {
	for i := range res.Env.Scenarios {
		if res.Env.Scenarios[i].Name == scenario {
			want = res.Env.Scenarios[i].Idle
		}
	}
	for _, r := range res.runs(scenario, contestant, rss) {
		if r != nil && (held == 0 || r.Idle < held) {
			held = r.Idle
		}
	}
	return held, want
}
