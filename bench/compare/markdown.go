package compare

import (
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"kring/bench/stats"
)

// disturbed is the share of a processor that other work may take before the
// report warns.
const disturbed = 0.10

// Markdown is the report of a comparison; base names the files of its raw
// results.
func Markdown(res *Results, base string) string {
	b := &strings.Builder{}
	fmt.Fprintf(b, "# Comparison of %s\n\n", res.Env.Started.UTC().Format("2006-01-02 15:04 MST"))
	for _, w := range res.Warnings() {
		fmt.Fprintf(b, "> **%s**\n\n", w)
	}
	writeEnvironment(b, &res.Env, base)
	for i := range res.Env.Scenarios {
		writeScenario(b, res, &res.Env.Scenarios[i])
	}
	writeAblations(b, res)
	writeLosses(b, res)
	writeContestants(b, &res.Env)
	return b.String()
}

// Warnings say what speaks against conclusions.
func (res *Results) Warnings() []string {
	var list []string
	if other := res.Disturbance(); other > disturbed {
		list = append(list, fmt.Sprintf("Disturbed: while runs were measured, other work took %.2f processors (median). Draw no conclusion; repeat on a quiet machine.", other))
	}
	if res.Env.Rounds < stats.ConclusionRounds {
		list = append(list, fmt.Sprintf("Too few rounds (%d) for any conclusion: at least %d are needed.", res.Env.Rounds, stats.ConclusionRounds))
	}
	if len(res.Env.ServerCPUs) == 0 {
		list = append(list, "Nothing is pinned: server and generator share processors.")
	}
	return list
}

func writeEnvironment(b *strings.Builder, e *Environment, base string) {
	virtual := ""
	if e.Virtual {
		virtual = ", virtual machine"
	}
	fmt.Fprintf(b, "%s (%d CPUs%s) · %s %s %s · %s · commit %s\n\n", orUnknown(e.CPU), e.CPUs, virtual, e.OS, e.Arch, e.Kernel, e.Go, orUnknown(e.Commit))
	fmt.Fprintf(b, "Server on CPU %v, generator on CPU %v · loopback · %d rounds, alternating, each a fresh server, %v of warm-up and %v measured · load average at the start %s\n\n",
		e.ServerCPUs, e.GeneratorCPUs, e.Rounds, e.WarmUp, e.Duration, orUnknown(e.LoadAverage))
	fmt.Fprintf(b, "Medians, in parentheses the range. Ratios are medians of the rounds' ratios to %s with a %.0f %% interval; *within noise* means that the interval spans 1. Raw results: `%s.jsonl`, latency histograms: `%s.hlog`. What is measured and what not: bench/METHOD.md.\n\n",
		e.Base, stats.Confidence*100, filepath.Base(base), filepath.Base(base))
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

func writeScenario(b *strings.Builder, res *Results, s *Scenario) {
	m := primary(s)
	fmt.Fprintf(b, "## %s: %s\n\n", s.Name, s.About)
	fmt.Fprintf(b, "| contestant | requests/s | p50 µs | p99 µs | p99.9 µs | max µs | CPU µs/req (user) | syscalls/req | switches/req | allocs/req | RSS MiB | %s vs %s | | CPU vs %s | |\n", m.name, res.Env.Base, res.Env.Base)
	fmt.Fprintln(b, "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|")
	invalid := map[string]int{}
	notes := map[string]int{}
	for _, r := range res.Records {
		if r.Scenario == s.Name && !r.Valid() && r.Pass != Capacity {
			invalid[fmt.Sprintf("%s (%s): %s", r.Contestant, r.Pass, strings.Join(r.Invalid, "; "))]++
		}
		if r.Scenario == s.Name && r.Note != "" && r.Pass == Measure {
			notes[r.Contestant+": "+r.Note]++
		}
	}
	for _, c := range res.Env.Order {
		if slices.ContainsFunc(res.Records, func(r *Record) bool { return r.Scenario == s.Name && r.Contestant == c }) {
			writeRow(b, res, s, c)
		}
	}
	b.WriteByte('\n')
	writeCounts(b, "runs that do not count", invalid)
	writeCounts(b, "runs with a note", notes)
}

func writeRow(b *strings.Builder, res *Results, s *Scenario, c string) {
	at := func(m metric) stats.Spread { return res.spread(s.Name, c, m) }
	r := at(rate)
	if r.N == 0 {
		row := res.Row(s, c)
		text := "no valid run: " + row.Why
		if row.Seen.N > 0 {
			text = fmt.Sprintf("(%s) no valid run: %s", Count(row.Seen.Median), row.Why)
		}
		fmt.Fprintf(b, "| %s | %s |\n", c, text)
		return
	}
	fmt.Fprintf(b, "| %s | **%s** (%s..%s) | %s | %s | %s | %s | %.2f (%.2f) | %s | %s | %s | %.1f |", c,
		Count(r.Median), Count(r.Min), Count(r.Max), micros(at(p50)), micros(at(p99)), micros(at(p999)), micros(at(worst)),
		at(cpu).Median, at(cpuUser).Median, small(res.syscalls(s.Name, c)), small(at(swaps).Median), small(res.known(s.Name, c, allocs)), at(rss).Median)
	for _, m := range []metric{primary(s), cpu} {
		base := res.Env.against(c)
		if c == base {
			b.WriteString(" 1 | |")
			continue
		}
		ratio := res.ratio(s.Name, c, base, m)
		fmt.Fprintf(b, " %s | %s |", ratio.Paired(), res.explain(s.Name, c, base, ratio, m))
	}
	b.WriteByte('\n')
}

func writeCounts(b *strings.Builder, title string, counts map[string]int) {
	if len(counts) == 0 {
		return
	}
	fmt.Fprintf(b, "%s:\n\n", strings.ToUpper(title[:1])+title[1:])
	for _, text := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(b, "- %d × %s\n", counts[text], text)
	}
	b.WriteByte('\n')
}

func writeLosses(b *strings.Builder, res *Results) {
	fmt.Fprint(b, "## Where io_uring loses\n\n")
	if res.Env.Rounds < stats.ConclusionRounds {
		fmt.Fprint(b, "Too few rounds to say.\n\n")
		return
	}
	losses := res.Losses()
	if len(losses) == 0 {
		fmt.Fprintf(b, "%s\n\n", res.NoLosses())
	} else {
		fmt.Fprint(b, "| scenario | kring on io_uring | against | figure | ratio |\n|---|---|---|---|---|\n")
		for _, l := range losses {
			fmt.Fprintf(b, "| %s | %s | %s | %s | %s |\n", l.Scenario, l.Ours, l.Against, l.Figure, l.Ratio)
		}
		b.WriteByte('\n')
	}
	writeOpen(b, res)
}

// NoLosses says that there are none, as far as the rounds can tell.
func (res *Results) NoLosses() string {
	switch short, ties := len(res.Shortfalls()), len(res.Ties()); {
	case short+ties == 0:
		return "Nowhere, as far as these rounds can tell."
	case short == 0:
		return fmt.Sprintf("Nowhere, as far as these rounds can tell; in %d comparisons the difference is within noise.", ties)
	default:
		return fmt.Sprintf("Nowhere in what is decided; %d rows are not, and in %d comparisons the difference is within noise.", short, ties)
	}
}

// writeOpen says what the rounds do not decide.
func writeOpen(b *strings.Builder, res *Results) {
	if short := res.Shortfalls(); len(short) > 0 {
		fmt.Fprint(b, "Not decided, because too few runs count:\n\n")
		for _, s := range short {
			fmt.Fprintf(b, "- %v\n", s)
		}
		b.WriteByte('\n')
	}
	if ties := res.Ties(); len(ties) > 0 {
		fmt.Fprint(b, "Within noise, so neither won nor lost:\n\n")
		for _, t := range ties {
			fmt.Fprintf(b, "- %s, %s: %s to %s %v\n", t.Scenario, t.Figure, t.Ours, t.Against, t.Ratio)
		}
		b.WriteByte('\n')
	}
}

func writeContestants(b *strings.Builder, e *Environment) {
	fmt.Fprint(b, "## Contestants\n\n")
	for _, c := range e.Order {
		fmt.Fprintf(b, "- **%s**: %s\n", c, e.About[c])
	}
	for _, c := range slices.Sorted(maps.Keys(e.Absent)) {
		fmt.Fprintf(b, "- %s is absent. It %s\n", c, e.Absent[c])
	}
}

// Count is a number of requests a second in three or four digits.
func Count(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.2f M", v/1e6)
	case v >= 1e4:
		return fmt.Sprintf("%.1f k", v/1e3)
	default:
		return fmt.Sprintf("%.0f", v)
	}
}

func micros(s stats.Spread) string {
	if s.Median >= 1000 {
		return fmt.Sprintf("%.0f", s.Median)
	}
	return fmt.Sprintf("%.1f", s.Median)
}

// small is a number per request; "–" when it is not known.
func small(v float64) string {
	if math.IsNaN(v) {
		return "–"
	}
	return fmt.Sprintf("%.3g", v)
}
