package compare

import (
	"cmp"
	"fmt"
	"strings"

	"kring/bench/stats"
)

// against is what a contestant's ratios are against.
func (e *Environment) against(contestant string) string {
	if b := e.Against[contestant]; b != "" {
		return b
	}
	return e.Base
}

// Ablation is what one switched technique does in every scenario.
type Ablation struct {
	Contestant, Base string
	Cells            []AblationCell // as Environment.Scenarios
}

// AblationCell is one scenario: ratios with the switch to without it.
type AblationCell struct {
	Rate, CPU               stats.Ratio
	RateVerdict, CPUVerdict string
	// RateReason and CPUReason are the verdicts, with the reason for none.
	RateReason, CPUReason string
}

// Ablations are the contestants that are held against another than the base.
func (res *Results) Ablations() []Ablation {
	var list []Ablation
	for _, c := range res.Env.Order {
		base := res.Env.Against[c]
		if base == "" {
			continue
		}
		a := Ablation{Contestant: c, Base: base}
		for i := range res.Env.Scenarios {
			s := res.Env.Scenarios[i].Name
			cell := AblationCell{Rate: res.ratio(s, c, base, rate), CPU: res.ratio(s, c, base, cpu)}
			cell.RateVerdict, cell.CPUVerdict = verdict(cell.Rate, rate), verdict(cell.CPU, cpu)
			cell.RateReason, cell.CPUReason = res.explain(s, c, base, cell.Rate, rate), res.explain(s, c, base, cell.CPU, cpu)
			a.Cells = append(a.Cells, cell)
		}
		list = append(list, a)
	}
	return list
}

func writeAblations(b *strings.Builder, res *Results) {
	list := res.Ablations()
	if len(list) == 0 {
		return
	}
	fmt.Fprint(b, "## Ablation\n\nOne technique switched at a time. Each cell: requests/s, then CPU per request, with the switch to without it; bold where the interval excludes 1.\n\n| switched |")
	for _, s := range res.Env.Scenarios {
		fmt.Fprintf(b, " %s |", s.Name)
	}
	fmt.Fprintf(b, "\n|---|%s\n", strings.Repeat("---|", len(res.Env.Scenarios)))
	for _, a := range list {
		fmt.Fprintf(b, "| %s |", a.Contestant)
		for _, c := range a.Cells {
			fmt.Fprintf(b, " %s, %s |", ablated(c.Rate, c.RateVerdict), ablated(c.CPU, c.CPUVerdict))
		}
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	for _, s := range res.AblationSentences() {
		fmt.Fprintf(b, "- %s\n", s)
	}
	b.WriteByte('\n')
}

// AblationSentences say of each switched technique in words what it does.
func (res *Results) AblationSentences() []string {
	var list []string
	for _, a := range res.Ablations() {
		var parts []string
		for i, c := range a.Cells {
			parts = append(parts, "in "+res.Env.Scenarios[i].Name+" "+c.sentence())
		}
		about := strings.TrimPrefix(res.Env.About[a.Contestant], "kring on io_uring, ")
		list = append(list, cmp.Or(about, a.Contestant)+": "+strings.Join(parts, "; ")+".")
	}
	return list
}

func (c *AblationCell) sentence() string {
	var said []string
	if c.CPU.Decided() {
		said = append(said, fmt.Sprintf("a request costs %.2f × the CPU (%.2f to %.2f)", c.CPU.Median, c.CPU.Low, c.CPU.High))
	}
	if c.Rate.Decided() {
		said = append(said, fmt.Sprintf("it serves %.2f × the requests a second (%.2f to %.2f)", c.Rate.Median, c.Rate.Low, c.Rate.High))
	}
	switch {
	case said != nil:
		return strings.Join(said, " and ")
	case c.CPU.Verdict() == stats.WithinNoise:
		return fmt.Sprintf("no difference you can rely on (%d rounds)", c.CPU.Rounds)
	default:
		return c.CPUReason
	}
}

func ablated(r stats.Ratio, verdict string) string {
	switch {
	case r.Rounds < 2:
		return "–"
	case r.Rounds < stats.ConclusionRounds:
		return fmt.Sprintf("(%v)", r)
	case verdict == "better" || verdict == "worse":
		return fmt.Sprintf("**%.2f**", r.Median)
	default:
		return fmt.Sprintf("%.2f", r.Median)
	}
}
