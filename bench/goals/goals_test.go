package goals

import (
	"cmp"
	"strings"
	"testing"
	"time"

	"kring/bench/compare"
	"kring/bench/contestant"
	"kring/bench/load"
)

// results of S1: kring is the given part of the floor, which beats the rest.
func results(part float64, rounds int) *compare.Results {
	res := &compare.Results{Env: compare.Environment{Rounds: rounds, Started: time.Unix(1e9, 0), Scenarios: []compare.Scenario{{Name: "1000x1"}}}}
	for c, rate := range map[string]float64{inline: 100_000 * part, cURing: 90_000, cEpoll: 100_000, goNet: 50_000} {
		res.Env.Order = append(res.Env.Order, c)
		for i := range rounds {
			res.Records = append(res.Records, &compare.Record{Scenario: "1000x1", Contestant: c, Round: i, Pass: compare.Measure,
				Load: &load.Result{Rate: rate, Completed: 1}, Server: contestant.Sample{UserSeconds: 1}})
		}
	}
	return res
}

func TestAGoalIsHeldAgainstTheBestOfTheOthers(t *testing.T) {
	for part, want := range map[float64]Outcome{1.02: Reached, 0.95: Missed} {
		if r, got := All()[0].Judge(results(part, 5)); got != want {
			t.Errorf("%v of the floor: %s, %v", part, got, r)
		}
	}
	mixed := results(1, 5)
	for _, r := range mixed.Records {
		if r.Contestant == inline && r.Round%2 == 0 {
			r.Load.Rate *= 0.9
		}
	}
	if _, got := All()[0].Judge(mixed); got != Undecided {
		t.Errorf("rounds on both sides of the bound: %s", got)
	}
}

// TestAGoalStandsBesideWhatTheFloorReaches: a peer that is nearly as fast as C
// can't be beaten by a quarter.
func TestAGoalStandsBesideWhatTheFloorReaches(t *testing.T) {
	res := results(0.9, 5)
	for _, r := range res.Records {
		if r.Contestant == goNet {
			r.Load.Rate = 95_000
		}
	}
	text := Table([]Source{{"x.jsonl", res}})
	for _, want := range []string{
		"| ≥ 1.25 | 0.95 [0.95, 0.95] | **missed** | 1.05 [1.05, 1.05], missed | x.jsonl |",
		"wanted ≥ 1.25; the better C floor in our place: 1.05 [1.05, 1.05], missed",
		"| ≥ 1 | 0.90 [0.90, 0.90] | **missed** |  | x.jsonl |", // the floor to itself says nothing
	} {
		if !strings.Contains(text, want) {
			t.Errorf("nothing says %q in:\n%s", want, text)
		}
	}
}

// TestProcessorTimeIsToldApartByUserAndKernel: of ours, and of the floor that it is
// held against.
func TestProcessorTimeIsToldApartByUserAndKernel(t *testing.T) {
	res := results(1, 5)
	for _, r := range res.Records {
		r.Load.Completed = 1_000_000
		switch r.Contestant {
		case inline:
			r.Server = contestant.Sample{UserSeconds: 2, SystemSeconds: 7}
		case cEpoll:
			r.Server = contestant.Sample{UserSeconds: 0.5, SystemSeconds: 8}
		default:
			r.Server = contestant.Sample{UserSeconds: 1, SystemSeconds: 9}
		}
	}
	want := "1.06 [1.06, 1.06] (user 2.00 for 0.50 µs, kernel 7.00 for 8.00 µs) | **missed**"
	if text := Table([]Source{{"x.jsonl", res}}); !strings.Contains(text, want) {
		t.Errorf("nothing says %q in:\n%s", want, text)
	}
}

// TestSystemCallsStandBesideThoseOfTheFloor: a server that is done sooner than the
// generator waits more often, in C, too.
func TestSystemCallsStandBesideThoseOfTheFloor(t *testing.T) {
	res := &compare.Results{}
	for contestant, calls := range map[string]uint64{inline: 400, cURing: 500, cEpoll: 2000} {
		res.Records = append(res.Records, &compare.Record{Scenario: "1000x1", Contestant: contestant, Pass: compare.Syscalls, Syscalls: calls,
			Load: &load.Result{Completed: 1000}})
	}
	want := "≤ 0.05 | 0.40 [0.40, 0.40] | **missed** | 0.50 [0.50, 0.50], missed |"
	if text := Table([]Source{{"x.jsonl", res}}); !strings.Contains(text, want) {
		t.Errorf("nothing says %q in:\n%s", want, text)
	}
}

func TestOurEnginesStandBesideTheFloorsTwo(t *testing.T) {
	res := results(1, 5)
	micros := map[string]float64{inline: 6, epollInline: 6, cURing: 5.7, cEpoll: 5.8}
	for round := range 5 {
		res.Records = append(res.Records, &compare.Record{Scenario: "1000x1", Contestant: epollInline, Round: round, Pass: compare.Measure, Load: &load.Result{Rate: 100_000}})
	}
	for _, r := range res.Records {
		r.Load.Completed = 1_000_000
		r.Server = contestant.Sample{UserSeconds: cmp.Or(micros[r.Contestant], 9)}
	}
	want := "≤ 0.92 | 1.00 [1.00, 1.00] (user 6.00 for 6.00 µs, kernel 0.00 for 0.00 µs) | **missed** | 0.98 [0.98, 0.98], missed (C on io_uring to C on epoll) |"
	if text := Table([]Source{{"x.jsonl", res}}); !strings.Contains(text, want) {
		t.Errorf("nothing says %q in:\n%s", want, text)
	}
}

// TestATailStandsBesideWhatOthersTookOfTheFloorsProcessor: of a percentile above
// that share no server is the cause.
func TestATailStandsBesideWhatOthersTookOfTheFloorsProcessor(t *testing.T) {
	res := &compare.Results{Env: compare.Environment{Rounds: 5, Scenarios: []compare.Scenario{{Name: "api-open"}, {Name: "echo-open"}}}}
	for i := range 5 {
		for _, c := range []struct {
			name, scenario string
			p999           int64
		}{{embedded, "api-open", 400}, {kafka, "api-open", 1000}, {cURing, "echo-open", 300}} {
			res.Records = append(res.Records, &compare.Record{Scenario: c.scenario, Contestant: c.name, Round: i, Pass: compare.Measure,
				Load:   &load.Result{Completed: 1, Window: time.Second, Latency: load.Summary{P999: c.p999}},
				Server: contestant.Sample{WaitedSeconds: 0.004}})
		}
	}
	want := "| 0.40 [0.40, 0.40] | **missed** | 0.30 [0.30, 0.30], missed (other work had its processor 0.40 % of the time) |"
	if text := Table([]Source{{"x.jsonl", res}}); !strings.Contains(text, want) {
		t.Errorf("nothing says %q in:\n%s", want, text)
	}
}

func TestADisturbedRunDecidesNothing(t *testing.T) {
	res := results(1.1, 5)
	for _, r := range res.Records {
		if r.Contestant == inline && r.Round == 2 {
			r.OtherCPU = 0.5
		}
	}
	if text := Table([]Source{{"x.jsonl", res}}); !strings.Contains(text, "too few rounds |  | x.jsonl") {
		t.Errorf("it counts:\n%s", text)
	}
}

func TestTooFewRoundsDecideNothing(t *testing.T) {
	few := results(1.1, 4)
	if _, got := All()[0].Judge(few); got != TooFew {
		t.Errorf("four rounds: %s", got)
	}
	text := Table([]Source{{"old.jsonl", results(1.1, 5)}, {"new.jsonl", few}})
	if !strings.Contains(text, "reached |  | old.jsonl") {
		t.Errorf("a newer run with too few rounds hides an older one:\n%s", text)
	}
	if text := Table([]Source{{"new.jsonl", few}}); !strings.Contains(text, "too few rounds |  | new.jsonl") {
		t.Errorf("what little there is is not shown:\n%s", text)
	}
}

func TestAGoalIsNotMeasuredByRunsOfDifferentRates(t *testing.T) {
	var goal Goal
	for _, g := range All() {
		if g.Scenario == "open-slowest" {
			goal = g
		}
	}
	res := results(1, 5)
	res.Env.Scenarios[0].Name = "open-slowest"
	for _, r := range res.Records {
		r.Scenario = "open-slowest"
		r.Load.Config.Rate, r.Load.Latency.P999 = 10_000, 1000
	}
	if _, got := goal.Judge(res); got != Reached {
		t.Errorf("one rate: %s", got)
	}
	for _, r := range res.Records {
		if r.Contestant == inline {
			r.Load.Config.Rate = 9_000
		}
	}
	if r, got := goal.Judge(res); got != NotMeasured {
		t.Errorf("two rates: %s, %v", got, r)
	}
}

// TestWhatAGeneratorHeldBackDecidesOnlyOneWay: ours may have been faster, or the
// other one.
func TestWhatAGeneratorHeldBackDecidesOnlyOneWay(t *testing.T) {
	for _, c := range []struct {
		who  string
		part float64
		want Outcome
		says string
	}{
		{cEpoll, 1.02, Undecided, "at most: in 1 rounds"}, {cEpoll, 0.95, Missed, "at most: in 1 rounds"},
		{inline, 1.02, Reached, "at least: in 1 rounds"}, {inline, 0.95, Undecided, "at least: in 1 rounds"},
	} {
		res := results(c.part, 5)
		for _, r := range res.Records {
			if r.Contestant == c.who && r.Round == 0 {
				r.Load.Bound, r.Invalid = true, []string{"the generator was busy"}
			}
		}
		if r, got := All()[0].Judge(res); got != c.want {
			t.Errorf("%s held back, %v of the floor: %s, %v", c.who, c.part, got, r)
		}
		if text := Table([]Source{{"x.jsonl", res}}); !strings.Contains(text, c.says) {
			t.Errorf("nothing says %q:\n%s", c.says, text)
		}
	}
}

func TestTheTableSaysBesideHowManyIdleConnectionsItWas(t *testing.T) {
	res := &compare.Results{Env: compare.Environment{Rounds: 5, Scenarios: []compare.Scenario{{Name: "idle50k-paced", Idle: 50_000}}}}
	for i := range 5 {
		for c, bytes := range map[string]int64{inline: 8_000_000, goNet: 80_000_000} {
			res.Records = append(res.Records, &compare.Record{Scenario: "idle50k-paced", Contestant: c, Round: i, Pass: compare.Measure,
				Load: &load.Result{Completed: 1}, Idle: 15_000, IdleBytes: bytes})
		}
	}
	want := "533.33 [533.33, 533.33] (beside 15000 of 50000 idle connections: no more fit into the limit on open files; Go net takes 5333 bytes for each) | reached"
	if text := Table([]Source{{"idle.jsonl", res}}); !strings.Contains(text, want) {
		t.Errorf("nothing says %q in:\n%s", want, text)
	}
}

func TestTheTableTakesEachGoalFromTheNewestRunThatHasIt(t *testing.T) {
	text := Table([]Source{{"old.jsonl", results(0.5, 5)}, {"new.jsonl", results(1.1, 5)}, {"other.jsonl", &compare.Results{}}})
	for _, want := range []string{"1.10 [1.10, 1.10] | reached |  | new.jsonl", "| not measured |", "- `other.jsonl`"} {
		if !strings.Contains(text, want) {
			t.Errorf("nothing says %q in:\n%s", want, text)
		}
	}
	if text := Table([]Source{{"old.jsonl", results(0.5, 5)}}); !strings.Contains(text, "**missed**") || !strings.Contains(text, "## Missed") {
		t.Errorf("a missed goal is not listed:\n%s", text)
	}
}

func TestEveryGoalNamesAScenarioAndContestantsThatExist(t *testing.T) {
	scenarios, contestants := map[string]bool{}, map[string]bool{}
	for _, s := range compare.Scenarios() {
		scenarios[s.Name] = true
	}
	for _, c := range contestant.All() {
		contestants[c.Name] = true
	}
	for _, g := range All() {
		if !scenarios[g.Scenario] {
			t.Errorf("%s: there is no scenario %q", g.ID, g.Scenario)
		}
	}
	for _, c := range append(append([]string{served, servedEpoll, inlineParked, poolLocked, inline, pool, epollInline, gnetFrame, kafka, embedded, busyPoll}, floors...), peers...) {
		if !contestants[c] {
			t.Errorf("there is no contestant %q", c)
		}
	}
}

// TestTheDefaultIsHeldAtManyBusyConnections: what collapsed once was measured
// inline only.
func TestTheDefaultIsHeldAtManyBusyConnections(t *testing.T) {
	has := map[string]bool{}
	for _, g := range All() {
		if g.ID == "A1" {
			has[g.Scenario+" "+g.Text[:4]] = true
		}
	}
	for _, s := range []string{"1x1", "64x1", "64x16", "1000x1", "3000x1", "5000x1", "10000x1", "1000x16"} {
		if !has[s+" requ"] || !has[s+" p99,"] {
			t.Errorf("%s: requests/s and p99 are no goals there", s)
		}
	}
}
