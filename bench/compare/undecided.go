package compare

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"kring/bench/stats"
)

// Shortfall is a contestant that has too few runs that count in a scenario.
type Shortfall struct {
	Scenario, Contestant string
	Counted, Of          int
	Why                  string // of most of the others
}

func (s Shortfall) String() string {
	return fmt.Sprintf("%s, %s: %d of %d rounds count: %s", s.Scenario, s.Contestant, s.Counted, s.Of, s.Why)
}

// Shortfalls are those who can't be judged in a scenario, though there were rounds
// enough: for their own runs, or because too few of them are in rounds in which what
// they are held against counts.
func (res *Results) Shortfalls() []Shortfall {
	var list []Shortfall
	for i := range res.Env.Scenarios {
		s := &res.Env.Scenarios[i]
		for _, c := range res.Env.Order {
			base := res.Env.against(c)
			r, of := res.Row(s, c), res.Row(s, base)
			switch {
			case r.Of < stats.ConclusionRounds:
			case r.Counted < stats.ConclusionRounds:
				list = append(list, Shortfall{s.Name, c, r.Counted, r.Of, r.Why})
			case base != c && r.RateRatio.Verdict() == stats.TooFewRounds:
				list = append(list, Shortfall{s.Name, c, r.RateRatio.Rounds, r.Of,
					strings.TrimSuffix("together with "+base+": "+cmp.Or(of.Why, r.Why), ": ")})
			}
		}
	}
	return list
}

// Ties are where kring on io_uring may be better or worse than what is not, by the figure
// that decides the scenario: the rounds leave it open.
func (res *Results) Ties() []Versus {
	var ties []Versus
	res.versus(func(s *Scenario, ours, other string) {
		m := primary(s)
		if r := res.ratio(s.Name, ours, other, m); r.Verdict() == stats.WithinNoise {
			ties = append(ties, Versus{s.Name, ours, other, m.name, r})
		}
	})
	return ties
}

// Undecided says in one line what the comparison leaves open for want of rounds or of
// runs that count, and what to do about it; "" for nothing.
func (res *Results) Undecided() string {
	if n := res.Env.Rounds; n < stats.ConclusionRounds {
		return fmt.Sprintf("Not decided: any row, of %d rounds. Run this again with --rounds %d or more.", n, stats.ConclusionRounds)
	}
	short := res.Shortfalls()
	if len(short) == 0 {
		return ""
	}
	scenarios := map[string]bool{}
	bound := false
	for _, s := range short {
		scenarios[s.Scenario] = true
		bound = bound || strings.Contains(s.Why, "generator")
	}
	remedy := "on a machine that does nothing else"
	if bound {
		remedy += ", or give the generator more processors (go run ./bench self says what it carries here)"
	}
	names := slices.Sorted(maps.Keys(scenarios))
	return fmt.Sprintf("Not decided: %d rows, in %s. Run these again with --scenario %s --rounds %d, %s.",
		len(short), strings.Join(names, ", "), strings.Join(names, ","), 3*stats.ConclusionRounds, remedy)
}

// notCounted is in how many rounds the contestant took part, in how many of them
// its run counts, and why most of the others do not.
func (res *Results) notCounted(scenario, contestant string) (counted, of int, why string) {
	ok, reasons := map[int]bool{}, map[int]string{}
	for _, r := range res.Records {
		if r.Scenario != scenario || r.Contestant != contestant || r.Pass != Measure {
			continue
		}
		if r.Valid() {
			ok[r.Round] = true
		} else {
			reasons[r.Round] = reason(r)
		}
	}
	times := map[string]int{}
	for round, text := range reasons {
		if !ok[round] {
			times[text]++
		}
	}
	for _, text := range slices.Sorted(maps.Keys(times)) {
		if why == "" || times[text] > times[why] {
			why = text
		}
	}
	of = len(ok)
	for _, n := range times {
		of += n
	}
	return len(ok), of, why
}

// reason is why a run does not count, short enough for a chart.
func reason(r *Record) string {
	if r.Load != nil && r.Load.Bound {
		return "the generator was the limit"
	}
	return cmp.Or(strings.Join(r.Invalid, "; "), "it could not be run")
}

// seen are a contestant's values of m over all its runs, those that do not count
// as well: what is drawn where none does.
func (res *Results) seen(scenario, contestant string, m metric) stats.Spread {
	runs := res.runsThat(scenario, contestant, func(r *Record) bool { return r.Load != nil && r.Load.Completed > 0 })
	return stats.Of(stats.Numbers(m.values(runs)))
}
