package compare

import (
	"fmt"
	"slices"
	"strings"

	"kring/bench/stats"
)

// Ceiling is what the generator and a server cost in a scenario of a closed loop,
// each on the processors it was given.
type Ceiling struct {
	Scenario, Server string
	Rate             float64 // requests/s, median
	// Micros of processor time a request, of the generator and of the server.
	Generator, Floor float64
	// Counted of Of runs count, Both of them with both sides saturated.
	Counted, Of, Both int
}

// Limit says who was the limit.
func (c Ceiling) Limit() string {
	switch {
	case c.Counted == 0:
		return "the generator"
	case 2*c.Both > c.Counted:
		return "both"
	default:
		return "the server"
	}
}

// Ceilings are those of every scenario and contestant that ran.
func (res *Results) Ceilings() []Ceiling {
	var list []Ceiling
	for i := range res.Env.Scenarios {
		for _, server := range res.Env.Order {
			c := Ceiling{Scenario: res.Env.Scenarios[i].Name, Server: server}
			var rates, ours, theirs []float64
			rounds := map[int]bool{}
			for _, r := range res.Records {
				if r.Scenario != c.Scenario || r.Contestant != server || r.Load == nil || r.Load.Completed == 0 {
					continue
				}
				rates = append(rates, r.Load.Rate)
				ours = append(ours, 1e6*r.Load.GeneratorCPU*float64(r.Load.Config.Threads)/r.Load.Rate)
				theirs = append(theirs, r.CPUMicros())
				rounds[r.Round] = rounds[r.Round] || r.Valid()
				if r.Valid() && r.Note != "" {
					c.Both++
				}
			}
			for _, ok := range rounds {
				if c.Of++; ok {
					c.Counted++
				}
			}
			if c.Of > 0 {
				c.Rate, c.Generator, c.Floor = stats.Median(rates), stats.Median(ours), stats.Median(theirs)
				list = append(list, c)
			}
		}
	}
	return list
}

// CeilingTable says what the generator carries on this machine beside what the
// servers do, and in the last line what follows.
func CeilingTable(res *Results) string {
	b := &strings.Builder{}
	line := func(cells ...any) { fmt.Fprintf(b, "%-10s %-10s %11s %13s %13s %13s %13s  %s\n", cells...) }
	line("scenario", "server", "requests/s", "generator µs", "server µs", "it carries", "server's", "the limit was")
	var bound []string
	for _, c := range res.Ceilings() {
		line(c.Scenario, c.Server, Count(c.Rate), fmt.Sprintf("%.2f", c.Generator), fmt.Sprintf("%.2f", c.Floor),
			Count(1e6/c.Generator), Count(1e6/c.Floor), fmt.Sprintf("%s (%d of %d runs count)", c.Limit(), c.Counted, c.Of))
		if c.Counted == 0 && !slices.Contains(bound, c.Scenario) {
			bound = append(bound, c.Scenario)
		}
	}
	fmt.Fprintln(b, "\nµs: processor time a request. It carries: what a processor of its own is good for at that price.")
	if bound == nil {
		fmt.Fprintln(b, "The generator holds no server back here.")
	} else {
		fmt.Fprintf(b, "The generator is the limit in %s: there, rates on this machine are the least that servers can. Give it more processors, or read CPU per request.\n", strings.Join(bound, ", "))
	}
	return b.String()
}
