package compare

import (
	"fmt"
	"math"
	"strings"

	"kring/bench/stats"
)

// Change is how a figure of a contestant moved from an old comparison to a new
// one.
type Change struct {
	Scenario, Contestant, Figure string
	Old, New                     stats.Spread
	// Ratio of new to old. With a yardstick, both were first divided by what the
	// base did in the same round, so that a slower machine is no regression.
	Ratio     stats.Ratio
	Yardstick string
	Verdict   string // better, worse, within noise, too few rounds
}

// Changes compares two comparisons, scenario by scenario, for what both have.
// Only kring's own contestants are looked at: others' changes are news of
// theirs.
func Changes(old, new *Results) []Change {
	var list []Change
	yardstick := ""
	if old.Env.Base == new.Env.Base && !new.Env.Ours[new.Env.Base] {
		yardstick = new.Env.Base
	}
	for i := range new.Env.Scenarios {
		s := &new.Env.Scenarios[i]
		for _, c := range new.Env.Order {
			if !new.Env.Ours[c] {
				continue
			}
			for _, m := range []metric{primary(s), p99, cpu} {
				if ch, ok := change(old, new, s.Name, c, yardstick, m); ok {
					list = append(list, ch)
				}
			}
		}
	}
	return list
}

func change(old, new *Results, scenario, contestant, yardstick string, m metric) (Change, bool) {
	before, after := old.series(scenario, contestant, m), new.series(scenario, contestant, m)
	ch := Change{
		Scenario: scenario, Contestant: contestant, Figure: m.name,
		Old: stats.Of(stats.Numbers(before)), New: stats.Of(stats.Numbers(after)),
	}
	if ch.Old.N == 0 || ch.New.N == 0 {
		return ch, false
	}
	if yardstick != "" {
		b, a := old.series(scenario, yardstick, m), new.series(scenario, yardstick, m)
		if len(stats.Numbers(b)) > 0 && len(stats.Numbers(a)) > 0 {
			ch.Yardstick = yardstick
			divide(before, b)
			divide(after, a)
		}
	}
	ch.Ratio = stats.CompareUnpaired(stats.Numbers(after), stats.Numbers(before))
	ch.Verdict = verdict(ch.Ratio, m)
	return ch, true
}

// divide makes values relative, NaN where either is missing.
func divide(values, by []float64) {
	for i := range values {
		if i >= len(by) || !(by[i] > 0) {
			values[i] = math.NaN()
			continue
		}
		values[i] /= by[i]
	}
}

// tolerated is a change that nobody needs to look at, however sure it is.
const tolerated = 0.05

// Regression says that the change is for the worse, beyond noise and beyond
// what is tolerated.
func (c *Change) Regression() bool {
	return c.Verdict == "worse" && math.Abs(c.Ratio.Median-1) > tolerated
}

// ChangesMarkdown is the table of changes.
func ChangesMarkdown(list []Change) string {
	b := &strings.Builder{}
	fmt.Fprint(b, "| scenario | contestant | figure | old | new | new / old | |\n|---|---|---|---|---|---|---|\n")
	for i := range list {
		c := &list[i]
		text := c.Verdict
		if c.Regression() {
			text = "**REGRESSION**"
		}
		by := ""
		if c.Yardstick != "" {
			by = " of " + c.Yardstick
		}
		fmt.Fprintf(b, "| %s | %s | %s | %.4g | %.4g | %s%s | %s |\n", c.Scenario, c.Contestant, c.Figure, c.Old.Median, c.New.Median, c.Ratio, by, text)
	}
	return b.String()
}
