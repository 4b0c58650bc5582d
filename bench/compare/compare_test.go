package compare

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"kring/bench/contestant"
	"kring/bench/load"
	"kring/bench/stats"
)

// results makes a comparison of one scenario from each contestant's rates.
func results(rounds int, rates map[string][]float64) *Results {
	res := &Results{Env: Environment{
		Rounds: rounds, Base: "go-net", Order: []string{"ring", "poll", "go-net"}, ServerCPUs: []int{0},
		Scenarios: []Scenario{{Name: "s", About: "a scenario"}},
		About:     map[string]string{"ring": "r", "poll": "p", "go-net": "g"},
		URing:     map[string]bool{"ring": true}, Ours: map[string]bool{"ring": true, "poll": true},
		Absent: map[string]string{"c-epoll": "needs a C compiler: install one"},
	}}
	for name, list := range rates {
		for round, v := range list {
			res.Records = append(res.Records, record(name, round, v))
		}
	}
	return res
}

func record(name string, round int, rate float64) *Record {
	return &Record{Type: "run", Scenario: "s", Contestant: name, Round: round, Pass: Measure,
		Load:   &load.Result{Rate: rate, Completed: uint64(rate), Window: time.Second},
		Server: contestant.Sample{UserSeconds: 0.25, SystemSeconds: 0.75}}
}

func TestRatiosPairTheRunsOfARound(t *testing.T) {
	res := results(5, map[string][]float64{
		"ring":   {200, 20, 2000, 40, 80},
		"go-net": {100, 10, 1000, 20, 40},
	})
	if r := res.ratio("s", "ring", "go-net", rate); r.Low != 2 || r.High != 2 || verdict(r, rate) != "better" {
		t.Errorf("%v, %s", r, verdict(r, rate))
	}
	// A run that does not count takes its round's partner with it.
	for _, r := range res.Records {
		if r.Contestant == "ring" && r.Round == 1 {
			r.Invalid = []string{"spoiled"}
		}
	}
	if r := res.ratio("s", "ring", "go-net", rate); r.Rounds != 4 || verdict(r, rate) != stats.TooFewRounds.String() {
		t.Errorf("%v, %s", r, verdict(r, rate))
	}
}

func TestLowerIsBetterForCostsAndLatencies(t *testing.T) {
	a, b := []float64{1, 1, 1, 1, 1}, []float64{2, 2, 2, 2, 2}
	if v := verdict(stats.Compare(a, b), cpu); v != "better" {
		t.Errorf("half the CPU is %s", v)
	}
	if v := verdict(stats.Compare(a, b), rate); v != "worse" {
		t.Errorf("half the rate is %s", v)
	}
	if v := verdict(stats.Compare([]float64{0.9, 1.1, 1, 1.2, 0.8}, a), rate); v != "within noise" {
		t.Errorf("noise is %s", v)
	}
}

func TestWhereIOUringLosesIsFoundInTheData(t *testing.T) {
	slow, fast := []float64{90, 91, 92, 90, 91}, []float64{100, 100, 100, 100, 100}
	losses := results(5, map[string][]float64{"ring": slow, "poll": fast, "go-net": fast}).Losses()
	seen := map[string]bool{}
	for _, l := range losses {
		seen[l.Against+" "+l.Figure] = true
		if l.Ours != "ring" {
			t.Errorf("%+v: only io_uring can lose here", l)
		}
	}
	// A lower rate at the same processor time costs more of it per request too.
	for _, want := range []string{"poll requests/s", "go-net requests/s", "go-net CPU per request"} {
		if !seen[want] {
			t.Errorf("%q is missing in %+v", want, losses)
		}
	}
	if l := results(5, map[string][]float64{"ring": fast, "poll": slow, "go-net": slow}).Losses(); len(l) != 0 {
		t.Errorf("the winner loses: %+v", l)
	}
	if l := results(3, map[string][]float64{"ring": slow[:3], "go-net": fast[:3]}).Losses(); len(l) != 0 {
		t.Errorf("three rounds support a conclusion: %+v", l)
	}
}

func TestTheReportSaysWhatItMay(t *testing.T) {
	rates := []float64{1000, 1100, 900, 1050, 950}
	res := results(5, map[string][]float64{"ring": rates, "poll": {950, 1050, 1000, 900, 1100}, "go-net": {1000, 1000, 1000, 1000, 1000}})
	for round, calls := range []uint64{40, 500, 990} {
		res.Records = append(res.Records, &Record{Scenario: "s", Contestant: "ring", Round: round, Pass: Syscalls, Syscalls: calls,
			Load: &load.Result{Completed: 1000}})
	}
	if r, _ := res.Number("s", "ring", Syscall); r.Median != 0.5 || r.Low != 0.04 || r.High != 0.99 {
		t.Errorf("system calls of three passes: %v", r)
	}
	report := Markdown(res, "dir/base")
	for _, want := range []string{"within noise", "`base.jsonl`", "| 0.5 |", "## Where io_uring loses", "Nowhere", "c-epoll is absent. It needs a C compiler: install one", "**1000** (900..1100)"} {
		if !strings.Contains(report, want) {
			t.Errorf("no %q in the report:\n%s", want, report)
		}
	}
	for _, r := range res.Records {
		r.OtherCPU = 0.5
		r.Invalid = []string{"spoiled"}
	}
	res.Env.Rounds = 3
	report = Markdown(res, "base")
	for _, want := range []string{"Disturbed", "Too few rounds", "no valid run", "5 × ring (measure): spoiled"} {
		if !strings.Contains(report, want) {
			t.Errorf("no %q in the report:\n%s", want, report)
		}
	}
}

func TestASaturatedServerWasNotHeldBackByItsGenerator(t *testing.T) {
	bound := &load.Result{Invalid: []string{"the generator was busy"}, Bound: true}
	r := &Record{Load: bound, ServerBusy: 0.97}
	if r.judge(); !r.Valid() || r.Note == "" {
		t.Errorf("both saturated: %q, %q", r.Invalid, r.Note)
	}
	r = &Record{Load: bound, ServerBusy: 0.80}
	if r.judge(); r.Valid() {
		t.Error("a server with time to spare was held back, and the run counts")
	}
	kept := &load.Result{Invalid: bound.Invalid, Bound: true, Window: time.Second}
	r = &Record{Load: kept, ServerBusy: 0.90, OtherCPU: 0.07, Server: contestant.Sample{WaitedSeconds: 0.06}}
	if r.judge(); !r.Valid() {
		t.Errorf("a server that was kept waiting by other work: %q", r.Invalid)
	}
	r = &Record{Load: kept, ServerBusy: 0.60, OtherCPU: 0.01, Server: contestant.Sample{WaitedSeconds: 0.60}}
	if r.judge(); r.Valid() {
		t.Error("threads that wait for each other are taken for a server without time to spare")
	}
	r = &Record{Load: &load.Result{Invalid: []string{"busy", "errors"}, Bound: true}, ServerBusy: 1}
	if r.judge(); r.Valid() {
		t.Error("errors were forgiven")
	}
}

// TestTheGeneratorIsNamedWhereItIsTheLimit: and only there.
func TestTheGeneratorIsNamedWhereItIsTheLimit(t *testing.T) {
	res := results(2, map[string][]float64{"ring": {1000, 1200}, "poll": {1000, 1000}, "go-net": {1000, 1000}})
	for _, r := range res.Records {
		r.Load.GeneratorCPU, r.Load.Config.Threads = 0.5, 1
		switch r.Contestant {
		case "ring":
			r.Invalid, r.Load.Bound = []string{"the generator was busy"}, true
		case "poll":
			r.Note = "server and generator were both saturated"
		}
	}
	limits := map[string]string{}
	for _, c := range res.Ceilings() {
		limits[c.Server] = c.Limit()
	}
	if limits["ring"] != "the generator" || limits["poll"] != "both" || limits["go-net"] != "the server" {
		t.Errorf("the limits were %v", limits)
	}
	for _, want := range []string{"The generator is the limit in s:", "0 of 2 runs count", "458.33"} {
		if text := CeilingTable(res); !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
}

func TestServerAndGeneratorShareNoProcessor(t *testing.T) {
	for _, cpus := range [][]int{nil, {3}} {
		if s, g := Placement(cpus); s != nil || g != nil {
			t.Errorf("%v: pinned to %v and %v", cpus, s, g)
		}
	}
	s, g := Placement([]int{0, 1, 2, 3, 4, 5, 6, 7})
	if len(s) != 1 || len(g) < 1 || len(g) > 3 {
		t.Errorf("server %v, generator %v", s, g)
	}
	for _, c := range g {
		if c == s[0] {
			t.Errorf("server %v, generator %v", s, g)
		}
	}
}

func TestRawResultsReadBackAsWritten(t *testing.T) {
	want := results(2, map[string][]float64{"ring": {5, 6}})
	want.Env.Type = "environment"
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	if err := enc.Encode(want.Env); err != nil {
		t.Fatal(err)
	}
	for _, r := range want.Records {
		if err := enc.Encode(r); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Read(&b)
	if err != nil || len(got.Records) != 2 || got.Env.Base != "go-net" {
		t.Fatalf("%+v, %v", got, err)
	}
	if v := got.series("s", "ring", rate); v[0] != 5 || v[1] != 6 {
		t.Errorf("%v", v)
	}
	if v := got.series("s", "nobody", rate); !math.IsNaN(v[0]) {
		t.Errorf("%v", v)
	}
	if _, err := Read(strings.NewReader("{")); err == nil {
		t.Error("half a line is read without complaint")
	}
}

func TestScenariosAreNamedApartAndFoundByPattern(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range Scenarios() {
		if seen[s.Name] || s.About == "" || !s.isKafka() && s.Kind != load.Frames {
			t.Errorf("%+v", s)
		}
		seen[s.Name] = true
	}
	if some, err := SelectScenarios(Scenarios(), []string{"open-*"}); err != nil || len(some) != 2 {
		t.Errorf("%v, %v", some, err)
	}
	if _, err := SelectScenarios(Scenarios(), []string{"nothing"}); err == nil {
		t.Error("an unknown scenario is no error")
	}
}

func TestOnlyChangesForTheWorseThatTheRoundsSupportAreRegressions(t *testing.T) {
	old := results(5, map[string][]float64{"ring": {100, 101, 102, 100, 99}, "go-net": {50, 50, 50, 50, 50}})
	for _, c := range []struct {
		name        string
		ring, goNet []float64
		regression  bool
	}{
		{"the same", []float64{100, 102, 99, 101, 100}, []float64{50, 50, 50, 50, 50}, false},
		{"slower", []float64{70, 71, 72, 70, 69}, []float64{50, 50, 50, 50, 50}, true},
		{"slower as the machine is", []float64{50, 50, 51, 50, 49}, []float64{25, 25, 25, 25, 25}, false},
		{"slower, too few rounds", []float64{70, 71}, []float64{50, 50}, false},
	} {
		now := results(5, map[string][]float64{"ring": c.ring, "go-net": c.goNet})
		for _, r := range []*Results{old, now} {
			r.Env.Base, r.Env.Ours = "go-net", map[string]bool{"ring": true}
		}
		changes := Changes(old, now)
		if len(changes) == 0 {
			t.Fatalf("%s: %d changes", c.name, len(changes))
		}
		if got := changes[0].Regression(); got != c.regression {
			t.Errorf("%s: regression %v, %+v", c.name, got, changes[0])
		}
		if text := ChangesMarkdown(changes); strings.Contains(text, "REGRESSION") != c.regression {
			t.Errorf("%s: %s", c.name, text)
		}
	}
}

// TestAnAblationIsSaidInASentence: what the rounds support, and why they support nothing.
func TestAnAblationIsSaidInASentence(t *testing.T) {
	for name, c := range map[string]struct {
		with, without []float64
		valid, rounds int
		want          string
	}{
		"dearer": {[]float64{130, 131, 129, 130, 132}, []float64{100, 100, 100, 100, 100}, 5, 5, "in s a request costs 1.30 × the CPU (1.29 to 1.32)."},
		"noise":  {[]float64{100, 101, 99, 102, 98}, []float64{100, 100, 100, 100, 100}, 5, 5, "in s no difference you can rely on (5 rounds)."},
		"less than is printed": {[]float64{100.3, 100.2, 100.4, 100.3, 100.3}, []float64{100, 100, 100, 100, 100}, 5, 5,
			"in s no difference you can rely on (5 rounds)."},
		"three rounds":       {[]float64{130, 131, 129}, []float64{100, 100, 100}, 3, 3, "in s too few rounds: 3 of the 5 that it takes."},
		"too few that count": {[]float64{130, 131, 129, 130, 132}, []float64{100, 100, 100, 100, 100}, 2, 5, "in s too few rounds: of x 2 of 5 count (3 errors)."},
	} {
		res := results(c.rounds, nil)
		res.Env.Order, res.Env.Against = []string{"base", "x"}, map[string]string{"x": "base"}
		res.Env.About = map[string]string{"x": "kring on io_uring, handler inline, y (z=off)"}
		for i := range c.rounds {
			a, b := record("base", i, 1000), record("x", i, 1000)
			a.Server, b.Server = contestant.Sample{UserSeconds: c.without[i] / 1e3}, contestant.Sample{UserSeconds: c.with[i] / 1e3}
			if i >= c.valid {
				b.Invalid = []string{"3 errors"}
			}
			res.Records = append(res.Records, a, b)
		}
		if got := res.AblationSentences(); len(got) != 1 || got[0] != "handler inline, y (z=off): "+c.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestOneRoundGivesNoRatio(t *testing.T) {
	if r := stats.Compare([]float64{2}, []float64{1}); r.Paired() != "–" || ablated(r, verdict(r, rate)) != "–" {
		t.Errorf("of one round: %v, %s", r, ablated(r, verdict(r, rate)))
	}
}

// TestTooFewRoundsAreThoseOfTheScenario, which may have been run for fewer than were asked for.
func TestTooFewRoundsAreThoseOfTheScenario(t *testing.T) {
	for most, want := range map[int]string{3: "too few rounds: 3 of the 5 that it takes", 6: "too few rounds: both count in 4 of 6"} {
		res := results(9, nil)
		res.Env.Scenarios[0].RoundsMax = most
		for i := range most {
			a, b := record("ring", i, 1000), record("poll", i, 1000)
			if most == 6 && i == 0 {
				b.Invalid = []string{"an error"}
			}
			if most == 6 && i == most-1 {
				a.Invalid = []string{"an error"}
			}
			res.Records = append(res.Records, a, b)
		}
		r := res.ratio("s", "ring", "poll", rate)
		if got := res.explain("s", "ring", "poll", r, rate); got != want {
			t.Errorf("at most %d rounds: %q, want %q", most, got, want)
		}
	}
}
