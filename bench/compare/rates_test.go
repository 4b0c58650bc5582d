package compare

import (
	"math"
	"testing"
	"time"

	"kring/bench/contestant"
	"kring/bench/load"
)

// open is a run of an open loop.
func open(name string, round int, rate float64, asked *Asked) *Record {
	r := record(name, round, rate)
	r.Asked, r.Load.Config.Rate = asked, rate
	return r
}

func TestRunsThatWereAskedForDifferentRatesAreNotComparedWithOneAnother(t *testing.T) {
	own := func(capacity float64) *Asked { return &Asked{OfOwn, capacity, 0.5} }
	slowest := &Asked{OfSlowest, 2000, 0.5}
	for name, c := range map[string]struct {
		a, b *Record
		want bool
	}{
		"two closed loops":                        {record("a", 0, 10), record("b", 0, 900), true},
		"a closed and an open one":                {record("a", 0, 1000), open("b", 0, 1000, slowest), false},
		"one rate":                                {open("a", 0, 1000, slowest), open("b", 0, 1001, slowest), true},
		"one rate, from files that do not say":    {open("a", 0, 1000, nil), open("b", 0, 1000, nil), true},
		"two rates":                               {open("a", 0, 1000, slowest), open("b", 0, 1100, slowest), false},
		"half of each one's own":                  {open("a", 0, 1000, own(2000)), open("b", 0, 50, own(100)), true},
		"not half of its own":                     {open("a", 0, 1000, own(2000)), open("b", 0, 1000, own(100)), false},
		"its own and the slowest's":               {open("a", 0, 1000, own(2000)), open("b", 0, 1000, slowest), false},
		"a capacity that nobody knows":            {open("a", 0, 1000, own(2000)), open("b", 0, 0.1, own(0)), false},
		"different shares of each one's capacity": {open("a", 0, 1000, own(2000)), open("b", 0, 200, &Asked{OfOwn, 1000, 0.2}), false},
	} {
		if got := belong(c.a, c.b); got != c.want || belong(c.b, c.a) != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestARatioTakesOnlyRoundsThatBelongTogether(t *testing.T) {
	res := results(6, nil)
	for round := range 6 {
		other := 1000.0
		if round == 5 {
			other = 2000 // taken anew, of a server that had warmed up
		}
		res.Records = append(res.Records, open("ring", round, 1000, &Asked{OfSlowest, 2000, 0.5}), open("go-net", round, other, &Asked{OfSlowest, 2 * other, 0.5}))
	}
	if r, ok := res.Across("s", "ring", "s", []string{"go-net"}, CPU); !ok || r.Rounds != 5 {
		t.Errorf("%v, %v: want five rounds", r, ok)
	}
	if r := res.ratio("s", "ring", "go-net", cpu); r.Rounds != 5 {
		t.Errorf("%v: want five rounds", r)
	}
	if r, ok := res.Across("s", "ring", "s", []string{"poll"}, CPU); ok {
		t.Errorf("nobody ran, and the ratio is %v", r)
	}
}

func TestGrowthIsTakenAtOneRate(t *testing.T) {
	res := results(5, nil)
	add := func(scenario, name string, round int, asked, seconds float64) {
		r := open(name, round, asked, &Asked{OfSlowest, 2 * asked, 0.5})
		r.Scenario, r.Server = scenario, contestant.Sample{UserSeconds: seconds}
		res.Records = append(res.Records, r)
	}
	for i := range 5 {
		many := 1000.0
		if i == 4 {
			many = 1500
		}
		add("few", "ring", i, 1000, 0.2)
		add("many", "ring", i, many, 0.3)
		add("few", "poll", i, 1000, 0.1)
		add("many", "poll", i, 1000, 0.1)
	}
	if r, ok := res.Growth("few", "many", "ring", []string{"poll"}, CPU); !ok || r.Rounds != 4 || math.Abs(r.Median-1.5) > 1e-9 {
		t.Errorf("%v, %v: want 1.5 of four rounds", r, ok)
	}
}

func TestTheSlowestOfAGroupSetsItsRateAndEachItsOwn(t *testing.T) {
	few, many := &Scenario{Name: "few", Conns: 1, Open: OfSlowest}, &Scenario{Name: "many", Conns: 2, Open: OfSlowest}
	own := &Scenario{Name: "own", Conns: 1, Open: OfOwn, Share: 0.8}
	fast, slow, broken := &contestant.Contestant{Name: "fast"}, &contestant.Contestant{Name: "slow"}, &contestant.Contestant{Name: "broken"}
	r := &runner{capacity: map[capacityOf][]float64{}}
	turns := []turn{{few, fast}, {many, fast}, {few, slow}, {many, slow}, {few, broken}}
	for i, tries := range [][]float64{{900, 100, 800}, {700}, {600}, {500, 300}} {
		r.capacity[turns[i].capacityOf()] = tries
	}
	rates := r.ask(turns)
	for _, x := range turns[:4] {
		if got := rates[x].rate(); got != 200 {
			t.Errorf("%s %s: %v, want half of the median 400 of the slowest", x.s.Name, x.c.Name, got)
		}
	}
	if _, asked := rates[turns[4]]; asked {
		t.Error("who has no capacity is asked for a rate")
	}
	if got := r.ask([]turn{{own, fast}, {own, slow}}); got[turn{own, fast}].rate() != 640 || got[turn{own, slow}].rate() != 480 {
		t.Errorf("%v: want 0.8 of 800 and of 600", got)
	}
}

func TestScenariosOfAGroupAlternateAndOthersFollowOneAnother(t *testing.T) {
	all := []Scenario{{Name: "a"}, {Name: "b", Group: "g"}, {Name: "c"}, {Name: "d", Group: "g"}, {Name: "e", Group: "h"}}
	for i := range all {
		all[i].Kind = load.Frames
	}
	var names []string
	for _, g := range groups(all) {
		text := ""
		for _, s := range g {
			text += s.Name
		}
		names = append(names, text)
	}
	if len(names) != 4 || names[0] != "a" || names[1] != "bd" || names[2] != "c" || names[3] != "e" {
		t.Errorf("%v", names)
	}
	r := &runner{Options: Options{Rounds: 3}, present: []*contestant.Contestant{{Name: "x"}, {Name: "y"}}}
	g := groups(all)[1]
	for round, want := range []string{"x b x d y b y d ", "y b y d x b x d "} {
		text := ""
		for _, u := range r.turns(g, round) {
			text += u.c.Name + " " + u.s.Name + " "
		}
		if text != want {
			t.Errorf("round %d: %s, want %s", round, text, want)
		}
	}
}

func TestTheForecastHasEveryRun(t *testing.T) {
	r := &runner{Options: Options{Rounds: 5, WarmUp: time.Second, Duration: time.Second, Syscalls: true,
		Scenarios: []Scenario{{Name: "a"}, {Name: "b", Open: OfOwn}, {Name: "c", Open: OfOwn, Few: true}}},
		present: []*contestant.Contestant{{Name: "x", Quick: true, Usual: true, Ours: true}, {Name: "y", Usual: true}, {Name: "z", KafkaOnly: true}}}
	for i := range r.Scenarios {
		r.Scenarios[i].Kind = load.Frames
	}
	// a: two, 5 rounds and system calls, ours three times; b: the capacity instead; c: one, whose
	// capacity is known.
	runs, all := r.forecast()
	if want := 5 + 3 + 5 + 1 + 2*(3+5) + 5; runs != want {
		t.Errorf("%d runs, want %d", runs, want)
	}
	if least := time.Duration(runs) * 2 * time.Second; all < least || all > least+least/4 {
		t.Errorf("%v for %d runs of 2 s", all, runs)
	}
	r.Named = true // so c has both; the capacity of y is known from b
	if named, _ := r.forecast(); named != runs+5 {
		t.Errorf("%d runs of contestants that were named, want %d", named, runs+5)
	}
	p := &progress{all: 100 * time.Second, past: 50 * time.Second}
	if left := p.left(25 * time.Second); left != 25*time.Second {
		t.Errorf("half is done in 25 s, and %v are left", left)
	}
	if left := (&progress{all: 100 * time.Second}).left(time.Hour); left != 100*time.Second {
		t.Errorf("nothing is done, and %v are left", left)
	}
}

// TestARunThatItsGeneratorHeldBackCountsForWhatIsTheServersOwn: its CPU per
// request does; its rate is the least that it can.
func TestARunThatItsGeneratorHeldBackCountsForWhatIsTheServersOwn(t *testing.T) {
	res := results(5, map[string][]float64{"ring": {100, 100, 100, 100, 100}, "poll": {125, 125, 125, 125, 125}})
	for _, r := range res.Records {
		if r.Contestant == "poll" && r.Round < 2 || r.Contestant == "ring" && (r.Round == 0 || r.Round == 4) {
			r.Load.Bound, r.Invalid = true, []string{"the generator was busy"}
		}
	}
	if r, _ := res.Across("s", "ring", "s", []string{"poll"}, CPU); r.Rounds != 5 {
		t.Errorf("CPU: %v", r)
	}
	if r, _ := res.Across("s", "ring", "s", []string{"poll"}, Rate); r.Rounds != 4 || r.Median != 0.8 {
		t.Errorf("requests/s: %v", r)
	}
	if r, ok := res.Across("s", "ring", "s", []string{"poll"}, P99); ok && r.Rounds != 2 {
		t.Errorf("p99: %v", r)
	}
	if atLeast, atMost := res.HeldBack("s", "ring", "s", []string{"poll"}, Rate); atLeast != 1 || atMost != 1 {
		t.Errorf("at least in %d rounds, at most in %d: want one each, and the one without any news left out", atLeast, atMost)
	}
	if atLeast, atMost := res.HeldBack("s", "ring", "s", []string{"poll"}, CPU); atLeast+atMost != 0 {
		t.Errorf("CPU was held back: %d, %d", atLeast, atMost)
	}
	for _, r := range res.Records {
		r.Invalid = append(r.Invalid, "errors")
	}
	if r, ok := res.Across("s", "ring", "s", []string{"poll"}, CPU); ok {
		t.Errorf("runs with errors count: %v", r)
	}
}

// TestTheBestOfSeveralIsNotEachRoundsLuckiest: held against the best of each
// round, somebody would lose against his equals.
func TestTheBestOfSeveralIsNotEachRoundsLuckiest(t *testing.T) {
	res := results(6, map[string][]float64{
		"ring":   {100, 100, 100, 100, 100, 100},
		"poll":   {200, 100, 50, 200, 100, 100},
		"go-net": {50, 90, 200, 50, 90, 90},
		"few":    {900, 900, 900, 900},
	})
	if r, _ := res.Across("s", "ring", "s", []string{"go-net", "poll", "few", "nobody"}, Rate); r.Median != 1 || r.Rounds != 6 {
		t.Errorf("%v: want that to poll, whose median is the best of those with enough rounds", r)
	}
	if r, _ := res.Across("s", "ring", "s", []string{"few"}, Rate); r.Rounds != 4 {
		t.Errorf("%v: want what there is", r)
	}
}
