package goals

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"kring/bench/compare"
	"kring/bench/stats"
)

// Goal is one line of the table.
type Goal struct {
	// ID is the row of the list of goals, Scenario where it is measured, Text
	// what is wanted.
	ID, Scenario, Text string
	// Bound of the measured value; AtMost says that it is an upper one.
	Bound  float64
	AtMost bool

	measure func(*compare.Results) (stats.Ratio, bool)
	itself  bool // a figure itself, no ratio of paired rounds
	// heldBack, if set, is in how many rounds the measured value is one at least,
	// or at most, because a generator was the limit.
	heldBack func(*compare.Results) (atLeast, atMost int)
	// remark, if set, says what is to be known of the measured value.
	remark func(*compare.Results) string
	// floor, if set, is the same goal with the better C floor in our place: what
	// it misses as well is beyond this machine.
	floor func(*compare.Results) (Goal, bool)
	// ofFloor, if set, says what is to be known of what the floor came to.
	ofFloor func(*compare.Results) string
}

// The contestants that goals name.
const (
	inline, pool = "kring-uring-inline", "kring-uring-pool"
	embedded     = "kring-uring-pool-embedded"
	epollInline  = "kring-epoll-inline"
	// What "kring serve" runs, and what it runs with --engine epoll.
	served, servedEpoll      = "kring", "kring-epoll"
	inlineParked, poolLocked = "kring-uring-inline-parked", "kring-uring-pool-locked"
	goNet                    = "go-net"
	cURing, cEpoll           = "c-uring", "c-epoll"
	cOpenSSL                 = "c-openssl"
	epollPool                = "kring-epoll-pool"
	gnet, gnetFrame          = "gnet", "gnet-frame"
	monoio, kafka            = "monoio", "kafka"
	busyPoll                 = "kring-uring-inline-busy"
)

// perCPU is what decides where a generator holds a rate back: how many requests a
// second of the server's processor is good for.
const perCPU = "requests per CPU second"

var (
	floors     = []string{cURing, cEpoll, cOpenSSL} // that one behind TLS, where the others are not
	otherPeers = []string{"netpoll", "nbio", "netty", monoio}
	peers      = append([]string{goNet, gnet}, otherPeers...)

	// echoes are the scenarios in which the floors, which speak no Kafka, answer
	// frames as long as those of a Kafka scenario, at its rate.
	echoes = map[string]string{"api-64x1": "echo-64x1", "api-64x16": "echo-64x16", "api-open": "echo-open", "api-paced": "echo-paced"}
)

// All are the goals, in the order of the table.
func All() []Goal {
	return append(append(append(append(small(), large()...), broker()...), busy()...), secured()...)
}

// secured are those of TLS.
func secured() []Goal {
	modes := []struct{ text, ours string }{
		{"inline", inline}, {"pool", pool}, {"epoll, inline", epollInline}, {"epoll, pool", epollPool},
	}
	var list []Goal
	for _, scenario := range []string{"64x1-tls", "64x16-tls", "16x1-64k-tls"} {
		for _, m := range modes {
			list = append(list,
				atLeast("T1", scenario, perCPU+", "+m.text+", to Go net and crypto/tls", 1.15, compare.PerCPU, m.ours, goNet),
				atLeast("T1", scenario, perCPU+", "+m.text+", to the C floor with OpenSSL", 0.85, compare.PerCPU, m.ours, cOpenSSL))
		}
	}
	for _, scenario := range []string{"handshakes-tls", "resumed-tls"} {
		for _, m := range modes {
			list = append(list, atLeast("T2", scenario, "handshakes per CPU second, "+m.text+", to Go net and crypto/tls", 0.9, compare.PerCPU, m.ours, goNet))
		}
	}
	return append(list, atLeast("T3", "api-64x1-tls", perCPU+", embedded cluster, to Apache Kafka's SSL listener", 3, compare.PerCPU, embedded, kafka))
}

// busy are those of many busy connections: the default, and both dispatches with
// both waits.
func busy() []Goal {
	modes := []struct{ text, ours, epoll string }{
		{"the default", served, servedEpoll}, {"pool, locked", poolLocked, servedEpoll},
		{"inline, locked", inline, epollInline}, {"inline, parked", inlineParked, epollInline},
	}
	var list []Goal
	for _, scenario := range []string{"1x1", "64x1", "64x16", "1000x1", "3000x1", "5000x1", "10000x1", "1000x16"} {
		for _, m := range modes {
			if m.ours != served && !strings.HasPrefix(scenario, "1000") && scenario != "3000x1" && scenario != "5000x1" {
				continue
			}
			list = append(list,
				atLeast("A1", scenario, "requests/s, "+m.text+", to the better of our epoll engine and Go net", 1.0, compare.Rate, m.ours, m.epoll, goNet),
				atMost("A1", scenario, "p99, "+m.text+", to the better C floor", 1.3, compare.P99, m.ours, floors...))
		}
	}
	return list
}

func small() []Goal {
	return []Goal{
		atLeast("S1", "1000x1", "requests/s, inline, to the better C floor", 1.0, compare.Rate, inline, floors...),
		atLeast("S1", "1000x1", "requests/s, inline, to Go net", 1.25, compare.Rate, inline, goNet),
		atLeast("S1", "1000x1", "requests/s, inline, to gnet", 1.1, compare.Rate, inline, gnet),
		atLeast("S1", "1000x1", "requests/s, inline, to the best other peer", 1.03, compare.Rate, inline, otherPeers...),
		atLeast("S1", "1000x1", perCPU+", inline, to Go net", 1.25, compare.PerCPU, inline, goNet),
		atLeast("S1", "1000x1", perCPU+", inline, to gnet", 1.1, compare.PerCPU, inline, gnet),
		atLeast("S1", "1000x1", perCPU+", inline, to the best other peer", 1.03, compare.PerCPU, inline, otherPeers...),
		amongFloors(atMost("S1", "1000x1", "CPU per request, inline, to our own epoll engine", 0.92, compare.CPU, inline, epollInline), compare.CPU),
		atMost("S1", "1000x1", "CPU per request, inline, to the better C floor", 1.0, compare.CPU, inline, floors...),
		atMost("S1", "1000x1-paced", "CPU per request at an equal rate, inline, to the better C floor", 1.0, compare.CPU, inline, floors...),
		atLeast("S2", "1000x1", "requests/s, pool, to Go net", 1.2, compare.Rate, pool, goNet),
		atLeast("S2", "1000x1", "requests/s, pool to inline", 0.95, compare.Rate, pool, inline),
		atLeast("S2", "1000x1", perCPU+", pool, to Go net", 1.2, compare.PerCPU, pool, goNet),
		atLeast("S2", "1000x1", perCPU+", pool to inline", 0.95, compare.PerCPU, pool, inline),
		atLeast("S3", "64x1", "requests/s, pool, to Go net", 1.2, compare.Rate, pool, goNet),
		atLeast("S3", "64x1", "requests/s, pool, to the best peer", 0.95, compare.Rate, pool, peers...),
		atLeast("S3", "64x1", perCPU+", pool, to Go net", 1.2, compare.PerCPU, pool, goNet),
		atLeast("S3", "64x1", perCPU+", pool, to the best peer", 0.95, compare.PerCPU, pool, peers...),
		atMost("S3", "64x1", "p99, pool, to gnet", 1.0, compare.P99, pool, gnet),
		atMost("S4", "1x1", "p50, inline, to the best peer", 1.0, compare.P50, inline, peers...),
		atMost("S4", "1x1", "p50, pool to inline", 1.1, compare.P50, pool, inline),
		atMost("S4", "1x1", "p50, busy-poll to blocking", 0.75, compare.P50, busyPoll, inline),
		atLeast("S5", "64x16", "requests/s, inline, to the better C floor", 1.0, compare.Rate, inline, floors...),
		atMost("S5", "64x16", "CPU per request, inline, to the better C floor", 1.0, compare.CPU, inline, floors...),
		atMost("S5", "64x16-paced", "CPU per request at an equal rate, inline, to the better C floor", 1.0, compare.CPU, inline, floors...),
		atLeast("S5", "64x16", "requests/s, inline, to Go net", 1.2, compare.Rate, inline, goNet),
		atLeast("S5", "64x16", "requests/s, inline, to gnet in batches", 1.1, compare.Rate, inline, gnet),
		atLeast("S5", "64x16", perCPU+", inline, to Go net", 1.2, compare.PerCPU, inline, goNet),
		atLeast("S5", "64x16", perCPU+", inline, to gnet in batches", 1.1, compare.PerCPU, inline, gnet),
		atLeast("S5", "64x16", "requests/s, inline, to gnet per frame", 10, compare.Rate, inline, gnetFrame),
		atLeast("S6", "64x16", "requests/s, pool to inline", 0.95, compare.Rate, pool, inline),
		atLeast("S6", "64x16", perCPU+", pool to inline", 0.95, compare.PerCPU, pool, inline),
		atMost("S6", "64x16", "p99, pool to inline", 2, compare.P99, pool, inline),
	}
}

func large() []Goal {
	return []Goal{
		atMost("S7", "16x1-64k", "CPU per request, inline, to the C epoll floor", 0.85, compare.CPU, inline, cEpoll),
		atMost("S7", "16x1-64k", "CPU per request, inline, to Go net", 0.65, compare.CPU, inline, goNet),
		atMost("S7", "16x1-64k", "CPU per request, inline, to monoio", 1.0, compare.CPU, inline, monoio),
		atMost("S7", "16x1-64k", "CPU per request, inline, to the better C floor", 1.0, compare.CPU, inline, floors...),
		atLeast("S7", "4x1-1m", "requests/s, inline, to Go net", 2, compare.Rate, inline, goNet),
		atLeast("S7", "4x1-1m", "requests/s, inline, to gnet", 2, compare.Rate, inline, gnet),
		atMost("S7", "16x1-16k", "CPU per request, inline, to Go net", 0.95, compare.CPU, inline, goNet),
		besideOthers(atMost("S8", "open-own", "p99.9 at half of each one's capacity, inline, to the best peer", 1.0, compare.P999, inline, peers...)),
		besideOthers(atMost("S8", "open-slowest", "p99.9 at half of the slowest's capacity, inline, to the best peer", 1.0, compare.P999, inline, peers...)),
	}
}

func broker() []Goal {
	return []Goal{
		atLeast("S9", "api-64x1", perCPU+", embedded cluster, to Apache Kafka", 5, compare.PerCPU, embedded, kafka),
		atLeast("S9", "api-64x16", perCPU+", embedded cluster, to Apache Kafka", 40, compare.PerCPU, embedded, kafka),
		besideOthers(atMost("S9", "api-open", "p99.9 at half of Kafka's capacity, embedded cluster, to Apache Kafka", 0.2, compare.P999, embedded, kafka)),
		toEcho("S9", "api-64x1", "CPU per request, embedded cluster, to the better C floor's echo of frames of that size", 1.15),
		atMost("S9", "api-64x1", "resident memory, embedded cluster, to Apache Kafka", 0.1, compare.RSS, embedded, kafka),
		toEcho("S9", "api-paced", "CPU per request at an equal rate, embedded cluster, to the better C floor's echo of frames of that size", 1.15),
		atLeast("S10", "produce-64x1", "requests/s, pool, to Go net", 1.2, compare.Rate, pool, goNet),
		number("S10", "produce-64x1", "allocations per request, pool", 0.01, pool, compare.Allocs),
		besideIdle(number("S11", "idle50k-paced", "user memory per idle connection, bytes, inline", 1024, inline, compare.IdleMemory)),
		besideIdle(against(Goal{ID: "S11", Scenario: "idle50k-paced", Text: "p99 of the busy ones, inline, beside 50,000 idle ones to without", Bound: 1.2, AtMost: true},
			compare.P99, "idle50k-paced", inline, "64x1-paced", []string{inline})),
		calls("1000x1", 0.05),
		calls("64x16", 0.01),
		calls("1x1", 1.1),
		{ID: "S13", Scenario: "10000x1-paced", Text: "growth of CPU per request at an equal rate from 64 to 10,000 connections, inline, to the better floor's", Bound: 1.15, AtMost: true,
			measure: func(res *compare.Results) (stats.Ratio, bool) {
				return res.Growth("64x1-paced", "10000x1-paced", inline, floors, compare.CPU)
			}},
	}
}

// atLeast wants ours to be so many times the best of others.
func atLeast(id, scenario, text string, bound float64, f compare.Figure, ours string, others ...string) Goal {
	return beside(Goal{ID: id, Scenario: scenario, Text: text, Bound: bound}, f, ours, others)
}

func atMost(id, scenario, text string, bound float64, f compare.Figure, ours string, others ...string) Goal {
	return beside(Goal{ID: id, Scenario: scenario, Text: text, Bound: bound, AtMost: true}, f, ours, others)
}

// toEcho wants the embedded cluster to take at most so many times the CPU that
// the better floor takes for frames of the same size.
func toEcho(id, scenario, text string, bound float64) Goal {
	return against(Goal{ID: id, Scenario: scenario, Text: text, Bound: bound, AtMost: true}, compare.CPU, scenario, embedded, echoes[scenario], floors)
}

// beside holds ours against the best of others, and the better floor as well
// where the others are neither ours nor floors.
func beside(g Goal, f compare.Figure, ours string, others []string) Goal {
	g = against(g, f, g.Scenario, ours, g.Scenario, others)
	if !slices.Contains(peers, others[0]) && others[0] != gnetFrame && others[0] != kafka {
		return g
	}
	g.floor = func(res *compare.Results) (Goal, bool) {
		in, best := betterFloor(res, g.Scenario, f)
		return against(g, f, in, best, g.Scenario, others), best != ""
	}
	return g
}

// amongFloors sets beside g, which holds our engines against each other, the same
// of the floors.
func amongFloors(g Goal, f compare.Figure) Goal {
	g.floor = func(*compare.Results) (Goal, bool) {
		return against(g, f, g.Scenario, cURing, g.Scenario, []string{cEpoll}), true
	}
	g.ofFloor = func(*compare.Results) string { return " (C on io_uring to C on epoll)" }
	return g
}

// betterFloor is the one that f is better of, and the scenario that the floors have
// in place of the given one; "" for none that was measured.
func betterFloor(res *compare.Results, scenario string, f compare.Figure) (in, floor string) {
	in = cmp.Or(echoes[scenario], scenario)
	return in, res.Best(in, floors, f)
}

// against measures one in its scenario against the best of others in theirs.
func against(g Goal, f compare.Figure, in, one, theirs string, others []string) Goal {
	g.measure = func(res *compare.Results) (stats.Ratio, bool) { return res.Across(in, one, theirs, others, f) }
	g.heldBack = func(res *compare.Results) (int, int) { return res.HeldBack(in, one, theirs, others, f) }
	if len(f.Parts()) > 0 {
		g.remark = func(res *compare.Results) string { return parts(res, f, in, one, theirs, res.Best(theirs, others, f)) }
	}
	return g
}

// parts says what a figure of two contestants is the sum of.
func parts(res *compare.Results, f compare.Figure, in, one, theirs, other string) string {
	var texts []string
	for _, part := range f.Parts() {
		a, ok := res.Mean(in, one, part.Figure)
		b, too := res.Mean(theirs, other, part.Figure)
		if ok && too {
			texts = append(texts, fmt.Sprintf("%s %.2f for %.2f µs", part.Name, a, b))
		}
	}
	if texts == nil {
		return ""
	}
	return " (" + strings.Join(texts, ", ") + ")"
}

// number wants a figure itself to be at most so much.
func number(id, scenario, text string, bound float64, ours string, f compare.Figure) Goal {
	return Goal{ID: id, Scenario: scenario, Text: text, Bound: bound, AtMost: true, itself: true,
		measure: func(res *compare.Results) (stats.Ratio, bool) { return res.Number(scenario, ours, f) }}
}

// calls wants inline to make at most so many system calls a request. Of the floors
// the one on io_uring makes fewer.
func calls(scenario string, bound float64) Goal {
	by := func(one string) Goal {
		return number("S12", scenario, "system calls per request, inline", bound, one, compare.Syscall)
	}
	g := by(inline)
	g.floor = func(*compare.Results) (Goal, bool) { return by(cURing), true }
	return g
}

// besideIdle says beside how many idle connections g was measured, and what
// they cost others.
func besideIdle(g Goal) Goal {
	g.remark = func(res *compare.Results) string {
		held, want := res.IdleHeld(g.Scenario, inline)
		text := fmt.Sprintf("beside %d idle connections", held)
		if held < want {
			text = fmt.Sprintf("beside %d of %d idle connections: no more fit into the limit on open files", held, want)
		}
		if r, ok := res.Number(g.Scenario, goNet, compare.IdleMemory); ok {
			text += fmt.Sprintf("; Go net takes %.0f bytes for each", r.Median)
		}
		return " (" + text + ")"
	}
	return g
}

// besideOthers says how long the C floor, which is one thread with a processor to
// itself, had to wait for it: a percentile above that share of the requests is
// other work's, for every server.
func besideOthers(g Goal) Goal {
	g.ofFloor = func(res *compare.Results) string {
		in, floor := betterFloor(res, g.Scenario, compare.P999)
		r, ok := res.Number(in, floor, compare.Waited)
		if !ok {
			return ""
		}
		return fmt.Sprintf(" (other work had its processor %.2f %% of the time)", r.Median*100)
	}
	return g
}

// Remark is what is to be known of what Judge measured in res; "" for nothing.
func (g *Goal) Remark(res *compare.Results) string {
	text := ""
	if g.remark != nil {
		text = g.remark(res)
	}
	atLeast, atMost := g.bounds(res)
	if atLeast > 0 {
		text += fmt.Sprintf(" (at least: in %d rounds the generator held ours back)", atLeast)
	}
	if atMost > 0 {
		text += fmt.Sprintf(" (at most: in %d rounds the generator held the other one back)", atMost)
	}
	return text
}

// Outcome is what a goal came to.
type Outcome string

// The outcomes.
const (
	Reached     Outcome = "reached"
	Missed      Outcome = "missed"
	Undecided   Outcome = "within noise"
	TooFew      Outcome = "too few rounds"
	NotMeasured Outcome = "not measured"
)

// Judge measures g in res.
func (g *Goal) Judge(res *compare.Results) (stats.Ratio, Outcome) {
	r, ok := g.measure(res)
	switch {
	case !ok || r.Rounds == 0 || math.IsNaN(r.Median):
		return r, NotMeasured
	case !g.itself && r.Rounds < stats.ConclusionRounds:
		return r, TooFew
	}
	inside, outside := r.Low >= g.Bound, r.High < g.Bound
	if g.AtMost {
		inside, outside = r.High <= g.Bound, r.Low > g.Bound
	}
	atLeast, atMost := g.bounds(res)
	switch {
	case inside && atMost == 0:
		return r, Reached
	case outside && atLeast == 0:
		return r, Missed
	default:
		return r, Undecided
	}
}

func (g *Goal) bounds(res *compare.Results) (atLeast, atMost int) {
	if g.heldBack == nil {
		return 0, 0
	}
	return g.heldBack(res)
}

// Want writes the bound.
func (g *Goal) Want() string {
	if g.AtMost {
		return fmt.Sprintf("≤ %g", g.Bound)
	}
	return fmt.Sprintf("≥ %g", g.Bound)
}
