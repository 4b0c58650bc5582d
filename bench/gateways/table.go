package gateways

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"kring/bench/stats"
)

// Results are the records of one or more runs. Rounds of different runs are different.
type Results struct {
	records []Record
	names   []string // the contestants, as they came first
	runs    int
}

// roundsPerRun keeps the rounds of runs apart.
const roundsPerRun = 1000

// Read adds the records of a run. Lines of another type are passed over.
func (s *Results) Read(r io.Reader) error {
	for d := json.NewDecoder(r); ; {
		var rec Record
		if err := d.Decode(&rec); err == io.EOF {
			s.runs++
			return nil
		} else if err != nil {
			return fmt.Errorf("gateways: raw results: %w", err)
		}
		if rec.Type != "gateway" || rec.Round == 0 {
			continue // warming up
		}
		rec.Round += s.runs * roundsPerRun
		s.records = append(s.records, rec)
	}
}

// order puts the contestants in the order given, those of no place behind.
func (s *Results) order(first []string) {
	s.names = slices.Clone(first)
	for _, r := range s.records {
		if !slices.Contains(s.names, r.Contestant) {
			s.names = append(s.names, r.Contestant)
		}
	}
}

// find is what a contestant's rounds found, by round. A run that does not count is left out.
func (s *Results) find(name, step, kind string, of func(Record) float64) map[int]float64 {
	found := map[int]float64{}
	for _, r := range s.records {
		if r.Contestant == name && r.Step == step && r.Kind == kind && len(r.Invalid) == 0 {
			found[r.Round] = of(r)
		}
	}
	return found
}

// against joins two contestants' rounds.
func against(a, b map[int]float64, join func(a, b float64) float64) []float64 {
	var joined []float64
	for round, v := range a {
		if w, both := b[round]; both {
			joined = append(joined, join(v, w))
		}
	}
	return joined
}

func values(m map[int]float64) []float64 {
	var v []float64
	for _, x := range m {
		v = append(v, x)
	}
	return v
}

// row is one line of the table: what of a record, and how it stands beside the base.
type row struct {
	title      string
	step, kind string
	of         func(Record) float64
	format     string                          // of a value
	beside     func(own, base float64) float64 // nil: the value alone
	sign       string                          // format of what beside gives
	gateways   bool                            // the base has none
}

func rows(kinds []string) (all []row) {
	micros := func(ns func(Record) int64) func(Record) float64 {
		return func(r Record) float64 { return float64(ns(r)) / 1e3 }
	}
	less := func(own, base float64) float64 { return own - base }
	ratio := func(own, base float64) float64 { return own / base }
	for _, k := range kinds {
		all = append(all,
			row{k + ", half load: p50, µs (added)", stepHalf, k, micros(func(r Record) int64 { return r.P50 }), "%.0f", less, "%+.0f", false},
			row{k + ", half load: p99, µs (× direct)", stepHalf, k, micros(func(r Record) int64 { return r.P99 }), "%.0f", ratio, "%.2f ×", false})
	}
	for _, k := range kinds {
		all = append(all,
			row{k + ", 64 clients: requests/s (× direct)", stepMax, k, func(r Record) float64 { return r.Rate }, "%.0f", ratio, "%.2f ×", false},
			row{k + ", 64 clients: requests per CPU second of the gateway", stepMax, k, func(r Record) float64 { return r.PerCPU }, "%.0f", nil, "", true})
	}
	return all
}

// Table is the results in Markdown, a row for each question and a column for each
// contestant, the broker itself first.
func (s *Results) Table(order []string) string {
	s.order(order)
	var b strings.Builder
	fmt.Fprintf(&b, "| median (range over %d rounds) | %s |\n|---|%s\n", s.rounds(), strings.Join(s.names, " | "), strings.Repeat("---|", len(s.names)))
	for _, r := range append(rows(s.kindsOf(stepMax)), s.clientRows()...) {
		fmt.Fprintf(&b, "| %s |", r.title)
		for _, name := range s.names {
			fmt.Fprintf(&b, " %s |", s.cell(r, name))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func (s *Results) clientRows() (all []row) {
	ratio := func(own, base float64) float64 { return own / base }
	for _, k := range s.kindsOf(stepProducer) {
		all = append(all, row{"producer, batches of " + k + ": records/s (× direct)", stepProducer, k, func(r Record) float64 { return r.Rate }, "%.0f", ratio, "%.2f ×", false})
	}
	for _, k := range s.kindsOf(stepIdle) {
		all = append(all,
			row{k + " that do nothing: connections at the broker", stepIdle, k, func(r Record) float64 { return float64(r.Upstream) }, "%.0f", nil, "", false},
			row{k + " that do nothing: RSS of the gateway, MiB", stepIdle, k, func(r Record) float64 { return float64(r.RSSBytes) / (1 << 20) }, "%.0f", nil, "", true})
	}
	return all
}

func (s *Results) cell(r row, name string) string {
	base := s.names[0]
	own := s.find(name, r.step, r.kind, r.of)
	if len(own) == 0 || r.gateways && name == base {
		return "–"
	}
	text := spread(r.format, stats.Of(values(own)))
	if r.beside == nil || name == base {
		return text
	}
	joined := against(own, s.find(base, r.step, r.kind, r.of), r.beside)
	if len(joined) == 0 {
		return text
	}
	return fmt.Sprintf("%s (**%s**)", text, fmt.Sprintf(r.sign, stats.Median(joined)))
}

func spread(format string, v stats.Spread) string {
	if math.IsNaN(v.Median) {
		return "–"
	}
	return fmt.Sprintf(format+" ("+format+"–"+format+")", v.Median, v.Min, v.Max)
}

func (s *Results) rounds() int {
	seen := map[int]bool{}
	for _, r := range s.records {
		seen[r.Round] = true
	}
	return len(seen)
}

func (s *Results) kindsOf(step string) (kinds []string) {
	for _, r := range s.records {
		if r.Step == step && !slices.Contains(kinds, r.Kind) {
			kinds = append(kinds, r.Kind)
		}
	}
	return kinds
}
