package compare

import (
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
}

func ablated(r stats.Ratio, verdict string) string {
	switch {
	case r.Rounds == 0:
		return "–"
	case verdict == "better" || verdict == "worse":
		return fmt.Sprintf("**%.2f**", r.Median)
	default:
		return fmt.Sprintf("%.2f", r.Median)
	}
}
