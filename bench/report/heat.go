package report

import (
	"fmt"
	"math"
	"strings"

	"kring/bench/compare"
	"kring/bench/stats"
)

// heatTable is the ablation of one base.
type heatTable struct {
	Base, Figure string
	Columns      []string
	Rows         []heatRow
}

type heatRow struct {
	Name  string
	Cells []heatCell
}

// heatCell has a class for its colour: h-3 (much worse) to h3 (much better), or
// "" where the rounds say nothing.
type heatCell struct{ Text, Class, Title string }

// drawHeat makes two tables for each base: requests a second, and CPU.
func drawHeat(res *compare.Results) []heatTable {
	var tables []heatTable
	find := func(base, figure string) *heatTable {
		for i := range tables {
			if tables[i].Base == base && tables[i].Figure == figure {
				return &tables[i]
			}
		}
		t := heatTable{Base: base, Figure: figure}
		for _, s := range res.Env.Scenarios {
			t.Columns = append(t.Columns, s.Name)
		}
		tables = append(tables, t)
		return &tables[len(tables)-1]
	}
	for _, a := range res.Ablations() {
		_, name, found := strings.Cut(a.Contestant, ": ")
		if !found {
			name = a.Contestant
		}
		rates, cpus := heatRow{Name: name}, heatRow{Name: name}
		for _, c := range a.Cells {
			rates.Cells = append(rates.Cells, drawHeatCell(c.Rate, c.RateVerdict, c.RateReason))
			cpus.Cells = append(cpus.Cells, drawHeatCell(c.CPU, c.CPUVerdict, c.CPUReason))
		}
		t := find(a.Base, "requests a second")
		t.Rows = append(t.Rows, rates)
		t = find(a.Base, "CPU per request")
		t.Rows = append(t.Rows, cpus)
	}
	return tables
}

// heatSteps are the distances from 1 at which the colour changes.
var heatSteps = []float64{0.05, 0.15}

func drawHeatCell(r stats.Ratio, verdict, reason string) heatCell {
	if r.Rounds < 2 || math.IsNaN(r.Median) {
		return heatCell{Text: "–", Title: reason}
	}
	c := heatCell{Text: fmt.Sprintf("%.2f", r.Median), Title: r.String() + ", " + reason}
	if verdict != "better" && verdict != "worse" {
		return c
	}
	step := 1
	for _, at := range heatSteps {
		if math.Abs(r.Median-1) > at {
			step++
		}
	}
	c.Class = fmt.Sprintf("%s%d", verdict, step)
	return c
}
