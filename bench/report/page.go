package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"maps"
	"math"
	"path/filepath"
	"slices"

	"kring/bench/compare"
	"kring/bench/stats"
)

//go:embed page.html
var pageText string

//go:embed page.css
var style string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// page is what the template needs.
type page struct {
	Style    template.CSS
	Title    string
	Raw      string // name of the raw results' files, without ending
	Base     string
	Rounds   int
	Warnings []string
	Facts    []fact
	Legend   []legend

	Scenarios []scenario
	Curves    []chart
	Heat      []heatTable
	Losses    []loss
	NoLosses  string   // says that there are none
	Judged    bool     // enough rounds to speak of losses
	Short     []string // who can't be judged, for want of runs that count
	Ties      []loss
	About     []fact
	Absent    []fact
}

type fact struct{ Name, Text string }

// legend is a contestant and the class of its colour.
type legend struct {
	Name  string
	Class string
}

type scenario struct {
	Name, About string
	Rate        []bar
	CPU         []bar
	Latency     *chart // nil when no run counts
	Open        bool
}

// bar is one contestant's figure. Lengths are percent of the widest.
type bar struct {
	legend
	Value, Unit string
	Length      float64 // of the median
	Part        float64 // of Length that is the system's, for CPU
	From, Span  float64 // of the range
	Ratio       string
	Verdict     string // a class: better, worse, or neither
	Hollow      bool   // no run counts: the lengths are of what was seen
	Why         string // what speaks against runs that do not count; "" for none
}

type loss struct{ Scenario, Ours, Against, Figure, Ratio string }

// HTML is the report as one page that needs nothing else; base names the files
// of the raw results.
func HTML(res *compare.Results, base string) ([]byte, error) {
	p := page{
		Style: template.CSS(style), Title: "Comparison of " + res.Env.Started.UTC().Format("2006-01-02 15:04 MST"),
		Raw: filepath.Base(base), Base: res.Env.Base, Rounds: res.Env.Rounds,
		Warnings: res.Warnings(), Facts: facts(&res.Env),
		Judged: res.Env.Rounds >= stats.ConclusionRounds, NoLosses: res.NoLosses(),
	}
	colours := colours(&res.Env)
	for _, c := range res.Env.Order {
		if l, ok := colours[c]; ok {
			p.Legend = append(p.Legend, l)
		}
		p.About = append(p.About, fact{c, res.Env.About[c]})
	}
	for _, c := range slices.Sorted(maps.Keys(res.Env.Absent)) {
		p.Absent = append(p.Absent, fact{c, res.Env.Absent[c]})
	}
	for i := range res.Env.Scenarios {
		if s := &res.Env.Scenarios[i]; s.Curve == "" {
			p.Scenarios = append(p.Scenarios, drawScenario(res, s, colours))
		}
	}
	p.Curves = drawCurves(res, colours)
	p.Heat = drawHeat(res)
	for _, l := range res.Losses() {
		p.Losses = append(p.Losses, loss{l.Scenario, l.Ours, l.Against, l.Figure, l.Ratio.String()})
	}
	for _, s := range res.Shortfalls() {
		p.Short = append(p.Short, s.String())
	}
	for _, t := range res.Ties() {
		p.Ties = append(p.Ties, loss{t.Scenario, t.Ours, t.Against, t.Figure, t.Ratio.String()})
	}
	var out bytes.Buffer
	if err := pageTemplate.Execute(&out, &p); err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	return out.Bytes(), nil
}

// colourCount is how many the style sheet knows.
const colourCount = 12

// colours gives each contestant that is drawn its colour; those of an ablation
// are in the heat map only.
func colours(e *compare.Environment) map[string]legend {
	of := map[string]legend{}
	for _, c := range e.Order {
		if e.Against[c] == "" {
			of[c] = legend{c, fmt.Sprintf("c%d", len(of)%colourCount)}
		}
	}
	return of
}

func facts(e *compare.Environment) []fact {
	cpu := fmt.Sprintf("%s, %d CPUs", orUnknown(e.CPU), e.CPUs)
	if e.Virtual {
		cpu += ", virtual machine"
	}
	list := []fact{
		{"machine", cpu}, {"system", fmt.Sprintf("%s %s %s", e.OS, e.Arch, e.Kernel)}, {"Go", e.Go}, {"commit", orUnknown(e.Commit)},
		{"placement", fmt.Sprintf("server on CPU %v, generator on CPU %v, loopback", e.ServerCPUs, e.GeneratorCPUs)},
		{"runs", fmt.Sprintf("%d rounds, alternating, each a fresh server; %v of warm-up, %v measured", e.Rounds, e.WarmUp, e.Duration)},
		{"load average", orUnknown(e.LoadAverage)},
	}
	for _, name := range slices.Sorted(maps.Keys(e.Settings)) {
		list = append(list, fact{name, e.Settings[name]})
	}
	for _, name := range slices.Sorted(maps.Keys(e.Mitigations)) {
		list = append(list, fact{name, e.Mitigations[name]})
	}
	return list
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

func drawScenario(res *compare.Results, s *compare.Scenario, colours map[string]legend) scenario {
	v := scenario{Name: s.Name, About: s.About, Open: s.Open != ""}
	var rateMost, cpuMost float64
	var rows []compare.Row
	for _, c := range res.Env.Order {
		if _, drawn := colours[c]; !drawn {
			continue
		}
		row := res.Row(s, c)
		if row.Of == 0 {
			continue
		}
		if row.Counted == 0 {
			row.Rate, row.CPU = row.Seen, row.SeenCPU
		}
		rows = append(rows, row)
		rateMost, cpuMost = max(rateMost, row.Rate.Max), max(cpuMost, row.CPU.Max)
	}
	for _, r := range rows {
		v.Rate = append(v.Rate, drawBar(colours[r.Contestant], r.Rate, rateMost, compare.Count(r.Rate.Median), "/s", r.RateRatio, r.RateVerdict).counts(&r))
		b := drawBar(colours[r.Contestant], r.CPU, cpuMost, fmt.Sprintf("%.2f", r.CPU.Median), "µs", r.CPURatio, r.CPUVerdict).counts(&r)
		if r.CPU.Median > 0 && !b.Hollow {
			b.Part = 100 * (1 - min(1, r.UserCPU.Median/r.CPU.Median))
		}
		v.CPU = append(v.CPU, b)
	}
	v.Latency = drawLatency(res, s, colours)
	return v
}

func drawBar(l legend, of stats.Spread, most float64, value, unit string, ratio stats.Ratio, verdict string) bar {
	b := bar{legend: l, Value: value, Unit: unit, Verdict: verdict}
	if most > 0 {
		b.Length, b.From, b.Span = 100*of.Median/most, 100*of.Min/most, 100*(of.Max-of.Min)/most
	}
	if ratio.Rounds > 1 && !math.IsNaN(ratio.Median) {
		b.Ratio = ratio.String()
	}
	return b
}

// counts says what is to be known of runs that do not count.
func (b bar) counts(r *compare.Row) bar {
	b.Hollow = r.Counted == 0
	switch {
	case r.Counted == r.Of:
	case b.Hollow && r.Seen.N == 0:
		b.Value, b.Unit, b.Why = "–", "", "does not count: "+r.Why
	case b.Hollow:
		b.Why = "does not count: " + r.Why
	case r.Counted < stats.ConclusionRounds:
		b.Why = fmt.Sprintf("%d of %d rounds count: %s", r.Counted, r.Of, r.Why)
	}
	return b
}
