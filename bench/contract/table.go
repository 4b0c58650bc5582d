package contract

import (
	"fmt"
	"math"
	"strings"
	"text/tabwriter"

	"kring/bench/stats"
)

// Row is one goal on one engine.
type Row struct {
	Scenario, Engine, Goal string
	// Quiet, Value and Spread are what was measured, in words. Floor says what
	// the same costs elsewhere.
	Quiet, Value, Ratio, Floor string
	// Judged rows have an outcome; the others are there for comparison.
	Judged, Reached bool
	Outcome         string
}

// Rows are all there are, engine by engine.
func (r *Results) Rows() []Row {
	var rows []Row
	for _, e := range append(append([]string(nil), r.Options.Engines...), goNet) {
		for i := range r.Options.Scenarios {
			s := &r.Options.Scenarios[i]
			rows = append(rows, s.rows(r, s, e)...)
		}
	}
	return rows
}

// Missed is how many goals were.
func (r *Results) Missed() (n int) {
	for _, row := range r.Rows() {
		if row.Judged && !row.Reached {
			n++
		}
	}
	return n
}

// Table is one table for each engine, as text.
func (r *Results) Table() string {
	b := &strings.Builder{}
	e := &r.Env
	fmt.Fprintf(b, "%s %s, %d CPUs, commit %s, load average %s; server on CPUs %v, generators on %v; %d rounds\n",
		e.OS, e.Kernel, e.CPUs, e.Commit, e.LoadAverage, e.ServerCPUs, e.GeneratorCPUs, e.Rounds)
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	engine := ""
	for _, row := range r.Rows() {
		if row.Engine != engine {
			engine = row.Engine
			fmt.Fprintf(w, "\n%s\nscenario\tgoal\tquiet\tvalue\tratio (range)\t\tbeside it\n", engine)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", row.Scenario, row.Goal, row.Quiet, row.Value, row.Ratio, row.Outcome, row.Floor)
	}
	_ = w.Flush() // a Builder takes everything
	for _, s := range r.Samples {
		if s.Load != nil && !s.Load.Realtime {
			fmt.Fprint(b, "\nThe system did not let the measuring threads go before others: what disturbs them there is in the figures.\n")
			break
		}
	}
	for _, s := range r.Samples {
		if len(s.Invalid) > 0 {
			fmt.Fprintf(b, "\ndoes not count: %s, %s, %s, round %d: %s", s.Scenario, s.Engine, s.Way, s.Round+1, strings.Join(s.Invalid, "; "))
		}
	}
	return b.String()
}

// series are the values of a way, by round; NaN where none counts.
func (r *Results) series(s *Scenario, engine, way string, of func(*Sample) float64) []float64 {
	values := make([]float64, r.Options.Rounds)
	for i := range values {
		values[i] = math.NaN()
	}
	for _, x := range r.Samples {
		if x.Scenario == s.Name && x.Engine == engine && x.Way == way && len(x.Invalid) == 0 {
			values[x.Round] = of(x)
		}
	}
	return values
}

// micros writes a spread of microseconds.
func micros(values []float64) string {
	s := stats.Of(stats.Numbers(values))
	if s.N == 0 {
		return "–"
	}
	return fmt.Sprintf("%.0f µs (%.0f–%.0f)", s.Median, s.Min, s.Max)
}

// ratioRow holds the p99 of a way against bound times the quiet one; bound 0
// only shows it.
func (r *Results) ratioRow(s *Scenario, engine, way, goal string, bound float64) Row {
	q, v := r.series(s, engine, quiet, (*Sample).p99), r.series(s, engine, way, (*Sample).p99)
	c := stats.Compare(v, q)
	row := Row{Scenario: s.Name, Engine: engine, Goal: goal, Quiet: micros(q), Value: micros(v), Ratio: c.String(), Judged: bound > 0}
	if row.Judged {
		row.judge(c.Median <= bound, c.Low <= bound && c.High > bound)
	}
	delay := func(x *Sample) float64 { return float64(x.Load.SendDelay.P99) / 1e3 }
	row.Floor = fmt.Sprintf("p99 before the send %s; stolen %.1f %% (quiet %.1f)", micros(r.series(s, engine, way, delay)),
		100*stats.Median(stats.Numbers(r.series(s, engine, way, (*Sample).stolen))), 100*stats.Median(stats.Numbers(r.series(s, engine, quiet, (*Sample).stolen))))
	return row
}

func (row *Row) judge(reached, noise bool) {
	row.Reached, row.Outcome = reached, "MISSED"
	if reached {
		row.Outcome = "reached"
	}
	if noise {
		row.Outcome += ", within noise"
	}
}

func slowRows(r *Results, s *Scenario, engine string) []Row {
	if engine == goNet {
		return nil
	}
	const mib = 1 << 20
	memory := func(x *Sample) float64 { return float64(x.Server.RSSBytes) / mib }
	q, v := r.series(s, engine, quiet, memory), r.series(s, engine, neverRead, memory)
	grown := stats.Of(stats.Numbers(difference(v, q)))
	limit := float64(r.Options.slowClients()*slowCap()) / mib
	if engine == ioURing {
		limit += float64(receiveBuffers*receiveBufferBytes) / mib
	}
	row := Row{Scenario: s.Name, Engine: engine, Goal: fmt.Sprintf("memory ≤ %.0f MiB more", limit), Judged: true,
		Quiet: fmt.Sprintf("%.0f MiB", stats.Median(stats.Numbers(q))), Value: fmt.Sprintf("%.0f MiB (%.0f–%.0f) more", grown.Median, grown.Min, grown.Max)}
	row.judge(grown.N > 0 && grown.Max <= limit, false)
	sent := func(x *Sample) float64 { return float64(x.Load.Company.SlowBytes) / mib }
	row.Floor = fmt.Sprintf("%.0f MiB were asked for", stats.Median(stats.Numbers(r.series(s, engine, neverRead, sent))))
	return []Row{r.ratioRow(s, engine, neverRead, "p99 of the others ≤ 1.5 × quiet", 1.5), row}
}

// slowCap is what the Config lets one connection occupy that never reads: the
// responses that wait, the one that went over the bound, what was read ahead,
// and the request that was being received.
func slowCap() int {
	return queuedResponseBytes + heldBytes + 2*(slowPayload+4)
}

func difference(a, b []float64) []float64 {
	d := make([]float64, len(a))
	for i := range a {
		d[i] = a[i] - b[i]
	}
	return d
}

func burstRows(r *Results, s *Scenario, engine string) []Row {
	return r.disturbedRows(s, engine, burst, burstUnseen)
}

func shakeRows(r *Results, s *Scenario, engine string) []Row {
	return r.disturbedRows(s, engine, shaking, shaken)
}

// disturbedRows are those of a burst at the server, and of the same one elsewhere, which is
// the floor.
func (r *Results) disturbedRows(s *Scenario, engine, burst, burstUnseen string) []Row {
	took := func(way string) string {
		sec := func(x *Sample) float64 { return x.Beside["seconds"] * 1e3 }
		return fmt.Sprintf("; the burst took %.0f ms", stats.Median(stats.Numbers(r.series(s, engine, way, sec))))
	}
	goal, bound := "p99 of 64 established ≤ 2 × quiet", 2.0
	if engine == goNet {
		goal, bound = "for comparison", 0
	}
	rows := []Row{r.ratioRow(s, engine, burst, goal, bound)}
	rows[0].Floor += took(burst)
	if engine == goNet {
		return rows
	}
	rows = append(rows, r.ratioRow(s, engine, burstUnseen, "floor: "+burstUnseen, 0))
	rows[1].Floor += took(burstUnseen)
	p99 := func(way string) []float64 { return r.series(s, engine, way, (*Sample).p99) }
	rows[0].Floor = fmt.Sprintf("to the floor %s; %s", stats.Compare(p99(burst), p99(burstUnseen)), rows[0].Floor)
	if over := stats.Compare(p99(burstUnseen), p99(quiet)); !rows[0].Reached && over.Median > bound {
		rows[0].Outcome += ", as does the floor"
	}
	return rows
}

func fileRows(r *Results, s *Scenario, engine string) []Row {
	if engine == goNet {
		return nil
	}
	rows := []Row{r.ratioRow(s, engine, byParts, "p99 of the others ≤ 1.5 × quiet", 1.5), r.ratioRow(s, engine, onTheLoop, "beside it: "+onTheLoop, 0)}
	for i, way := range []string{byParts, onTheLoop} {
		mib := func(x *Sample) float64 { return x.Beside["fetched_bytes"] / (1 << 20) }
		rows[i].Floor += fmt.Sprintf("; %.0f MiB cold a run", stats.Median(stats.Numbers(r.series(s, engine, way, mib))))
	}
	return rows
}

func stallRows(r *Results, s *Scenario, engine string) []Row {
	var rows []Row
	for _, x := range r.Samples {
		if x.Scenario != s.Name || x.Engine != engine {
			continue
		}
		for _, what := range []struct{ key, goal string }{
			{"delivered", "complete responses are delivered"},
			{"closed", "connections are closed"},
			{"accepted", "new connections are accepted"},
		} {
			row := Row{Scenario: s.Name, Engine: engine, Goal: what.goal, Judged: true,
				Value: fmt.Sprintf("%.0f of %.0f", x.Beside[what.key], x.Beside["probes"]), Floor: fmt.Sprintf("worst %.1f ms", x.Beside[what.key+"_worst_ms"])}
			row.judge(len(x.Invalid) == 0 && x.Beside[what.key] == stallProbes, false)
			rows = append(rows, row)
		}
		const all = stallHandlers + stallQueued + stallBeyond
		row := Row{Scenario: s.Name, Engine: engine, Goal: "nobody is stranded", Judged: true, Value: fmt.Sprintf("%.0f of %d", x.Beside["answered_after"], all)}
		row.judge(len(x.Invalid) == 0 && x.Beside["answered_after"] == all, false)
		rows = append(rows, row)
	}
	return rows
}
